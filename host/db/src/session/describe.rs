//! The columns of a result without rows.
//!
//! The driver tells columns only through rows, so an empty result is described apart: by a row of NULLs
//! that has its columns, in another short transaction as the caller. Empty results pay for it alone, with
//! their tenant's share of the connections.
use sqlx::postgres::PgRow;

use super::gather::builders;
use super::{Admitted, Session, give_up};
use crate::cache::QueryCache;
use crate::database::Database;
use crate::decode::Builder;
use crate::encode;
use crate::error::DbError;
use crate::lease::{Isolation, Lease, TakeRow};
use crate::share::Purpose;
use crate::value::{Column, ResultSet};

/// What a description depends on: the text, its parameters' types, the role and the version of the
/// database's definitions, which is empty where there is no cache of results to hear of it.
pub(crate) type Key = (String, String, String, String);

/// The statement's columns, without rows. Remembered for a minute: where no cache hears of definitions, what
/// changes in the schema meanwhile shows as an empty result with yesterday's columns. Where there is a cache,
/// which would keep such a result for longer, they are remembered by the definitions' version or not at all.
pub(crate) async fn describe(session: &Session, admitted: &Admitted) -> Result<ResultSet, DbError> {
    let statement = &admitted.statement;
    let cache = session.database().inner.cache.as_deref();
    let definitions = cache.map_or_else(|| Some(String::new()), QueryCache::definitions);
    let key: Option<Key> = definitions.map(|version| {
        let role = session.identity().reader_role.to_string();
        (statement.text.clone(), encode::signature(&statement.parameters), role, version)
    });
    if let Some(known) = key.as_ref().and_then(|key| session.database().description(key)) {
        return Ok(known);
    }
    let mut attempts = session.attempts();
    let described = loop {
        // On the heap: few statements come to it, and each would keep room for it.
        match Box::pin(columns(session, admitted)).await {
            Ok(columns) => break ResultSet { columns, row_count: 0, truncated: false },
            Err(error) if attempts.again(&error).await => session.leave_replica(),
            Err(error) => return Err(error),
        }
    };
    if let Some(key) = key {
        session.database().remember_description(key, described.clone());
    }
    Ok(described)
}

async fn columns(session: &Session, admitted: &Admitted) -> Result<Vec<Column>, DbError> {
    let mut lease = session.begin(Isolation::ReadCommitted, Purpose::Statements).await?;
    let mut columns = Columns { database: session.database(), builders: Vec::new() };
    if let Err(error) = ask(&mut lease, admitted, &mut columns).await {
        return Err(give_up(lease, error).await);
    }
    Ok(columns.builders.into_iter().map(Builder::finish).collect())
}

async fn ask(lease: &mut Lease, admitted: &Admitted, columns: &mut Columns<'_>) -> Result<(), DbError> {
    let arguments = encode::arguments(&admitted.statement.parameters)?;
    lease.declare_columns(&admitted.cursor, &admitted.statement.text, arguments).await?;
    lease.fetch(format!("FETCH FORWARD 1 FROM {}; COMMIT", admitted.cursor), true, columns).await
}

struct Columns<'a> {
    database: &'a Database,
    builders: Vec<Builder>,
}

impl TakeRow for Columns<'_> {
    async fn take(&mut self, _: usize, row: PgRow) -> Result<(), DbError> {
        self.builders = builders(self.database, &row).await?;
        Ok(())
    }
}
