//! The columns of a result without rows.
//!
//! The driver tells columns only through rows, so an empty result is described apart: prepared, not
//! run, on a control connection, under the same role and path. Empty results pay for it alone.
use sqlx::{AssertSqlSafe, Column as _, Executor, SqlSafeStr, Statement as _};

use crate::database::Database;
use crate::decode::Builder;
use crate::encode;
use crate::error::DbError;
use crate::identity::Identity;
use crate::lease::{quoted, quoted_path};
use crate::value::{ResultSet, Statement};

/// What a description depends on: the text, its parameters' types and the role.
pub(crate) type Key = (String, String, String);

/// The statement's columns, without rows. Remembered for a minute: what changes in the schema meanwhile
/// would show only as an empty result with yesterday's columns.
pub(crate) async fn describe(
    database: &Database,
    identity: &Identity,
    statement: &Statement,
) -> Result<ResultSet, DbError> {
    let key: Key = (statement.text.clone(), encode::signature(&statement.parameters), identity.reader_role.to_string());
    if let Some(known) = database.description(&key) {
        return Ok(known);
    }
    let described = ask(database, identity, statement).await?;
    database.remember_description(key, described.clone());
    Ok(described)
}

async fn ask(database: &Database, identity: &Identity, statement: &Statement) -> Result<ResultSet, DbError> {
    let mut connection = database.inner.control.acquire().await?;
    // Dropped half-way it would sit in a transaction, under a reader's role.
    connection.close_on_drop();
    let prologue = format!(
        "BEGIN READ ONLY; DEALLOCATE ALL; SET LOCAL statement_timeout = {}; SET LOCAL search_path = {}; SET LOCAL ROLE {}",
        database.inner.config.statement_timeout_ms,
        quoted_path(&database.inner.config.search_path),
        quoted(identity.reader_role.as_str())
    );
    sqlx::raw_sql(AssertSqlSafe(prologue)).execute(&mut *connection).await?;
    let types = encode::types(&statement.parameters);
    let text = AssertSqlSafe(statement.text.clone()).into_sql_str();
    let prepared = (&mut *connection).prepare_with(text, &types).await?;
    let mut columns = Vec::with_capacity(prepared.columns().len());
    for column in prepared.columns() {
        let oid = column.type_info().oid().ok_or_else(|| DbError::internal("a column without a type"))?;
        columns.push((column.name().to_owned(), oid.0));
    }
    // The driver names what it prepares. Behind a pooler the name would stay for the next client.
    sqlx::raw_sql("DEALLOCATE ALL; ROLLBACK").execute(&mut *connection).await?;
    connection.close().await?;
    let mut builders = Vec::with_capacity(columns.len());
    for (name, oid) in columns {
        builders.push(Builder::new(&name, database.type_of(oid).await?)?.finish());
    }
    Ok(ResultSet { columns: builders, row_count: 0, truncated: false })
}
