//! Whether a database is fit to serve from. A host that would serve on a login which row security
//! does not bind refuses to start.
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::Database;
use crate::config::DatabaseConfig;
use crate::context::Transaction;
use crate::error::DbError;
use crate::identity::Identity;
use crate::lease::quoted;

/// Every row is a reason not to start.
const UNFIT: &str = include_str!("checks/unfit.sql");
/// Every row is something that the lock-down should have taken away.
const UNREVOKED: &str = include_str!("checks/unrevoked.sql");

/// Reasons that one message names; a superuser's login would have thousands.
const REASONS_MAX: usize = 20;

/// The login, the reader roles, and every table and view that they can read.
pub(crate) async fn fitness(control: &PgPool, config: &DatabaseConfig) -> Result<(), DbError> {
    let readers: Vec<String> = config.reader_roles.iter().map(ToString::to_string).collect();
    // Behind a pooler what is prepared and what is bound could reach two backends but for the transaction.
    let mut transaction = control.begin().await.map_err(unusable)?;
    let query = sqlx::query(UNFIT).bind(&readers).bind(&config.shared_tables);
    let unfit = reasons(query.persistent(false).fetch_all(&mut *transaction).await)?;
    if !unfit.is_empty() {
        return Err(DbError::unavailable(format!("the database is not fit to serve from: {}", list(&unfit))));
    }
    let query = sqlx::query(UNREVOKED).bind(&readers);
    let unrevoked = reasons(query.persistent(false).fetch_all(&mut *transaction).await)?;
    if unrevoked.is_empty() {
        return Ok(());
    }
    if config.accept_unrevoked {
        tracing::warn!(
            left = list(&unrevoked),
            "the readers keep rights that the lock-down takes away; the guard, the cursor and the signed context stand alone"
        );
        return Ok(());
    }
    Err(DbError::unavailable(format!(
        "the readers keep rights that the lock-down takes away: {}; run the setup as a superuser, or, on a managed \
         server that has none to give, set accept_unrevoked = true",
        list(&unrevoked)
    )))
}

fn reasons(rows: Result<Vec<PgRow>, sqlx::Error>) -> Result<Vec<String>, DbError> {
    let rows = rows.map_err(unusable)?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

fn unusable(error: sqlx::Error) -> DbError {
    DbError::unavailable(format!("the database cannot be used: {error}"))
}

fn list(reasons: &[String]) -> String {
    let mut shown = reasons.iter().take(REASONS_MAX).cloned().collect::<Vec<_>>().join("; ");
    if let Some(more) = reasons.len().checked_sub(REASONS_MAX).filter(|more| *more > 0) {
        shown.push_str(&format!("; and {more} more"));
    }
    shown
}

/// Signs a context for nobody and asks whether the database believes it, on a control connection: it
/// says so also while calls hold all others.
pub(super) async fn signing_key(database: &Database) -> Result<(), DbError> {
    let Some(reader_role) = database.inner.config.reader_roles.first() else { return Ok(()) };
    let nobody = Identity {
        tenant: "stockade-check".parse()?,
        principal: "stockade-check".parse()?,
        roles: Vec::new(),
        reader_role: reader_role.clone(),
    };
    let mut transaction = database.control().begin_with("BEGIN READ ONLY").await?;
    let began = "SELECT pg_backend_pid(), (extract(epoch FROM transaction_timestamp()) * 1000000)::int8";
    let row = sqlx::query(began).persistent(false).fetch_one(&mut *transaction).await?;
    let (pid, began_us): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
    let life_us = i64::try_from(crate::node::CONTROL_TIMEOUT.as_micros()).unwrap_or(i64::MAX);
    let claimed = Transaction { pid, began_us, expires_us: began_us.saturating_add(life_us) };
    let context = database.inner.key.sign(&nobody, &claimed)?;
    // Base64url and an identifier: nothing to quote.
    let become_nobody =
        format!("SET LOCAL stockade.context = '{context}'; SET LOCAL ROLE {}", quoted(reader_role.as_str()));
    let cannot = |error: DbError| {
        DbError::unavailable(format!(
            "the role {reader_role} cannot call stockade.claims() ({}): run the setup",
            error.for_log()
        ))
    };
    sqlx::raw_sql(AssertSqlSafe(become_nobody)).execute(&mut *transaction).await.map_err(|e| cannot(e.into()))?;
    let believed = sqlx::query("SELECT stockade.claims() IS NOT NULL").persistent(false);
    let believed: bool = believed.fetch_one(&mut *transaction).await.map_err(|e| cannot(e.into()))?.try_get(0)?;
    transaction.rollback().await?;
    if believed {
        return Ok(());
    }
    Err(DbError::unavailable(format!(
        "the database does not know the key {} of context_key_file: run the setup with this file",
        database.inner.key.id()
    )))
}
