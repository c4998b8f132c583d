//! Whether a database is fit to serve from. A host that would serve on a login which row security
//! does not bind refuses to start.
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::Database;
use crate::config::DatabaseConfig;
use crate::error::DbError;
use crate::identity::Identity;
use crate::lease::{Isolation, Lease};
use crate::share::Purpose;

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

/// Signs a context for nobody and asks whether the database believes it.
pub(super) async fn signing_key(database: &Database) -> Result<(), DbError> {
    let Some(reader_role) = database.inner.config.reader_roles.first() else { return Ok(()) };
    let nobody = Identity {
        tenant: "stockade-startup-check".parse()?,
        principal: "stockade-startup-check".parse()?,
        roles: Vec::new(),
        reader_role: reader_role.clone(),
    };
    let deadline = tokio::time::Instant::now() + crate::node::CONTROL_TIMEOUT;
    let mut lease = Lease::begin(
        database,
        &database.inner.primary,
        &nobody,
        Isolation::ReadCommitted,
        Purpose::Statements,
        deadline,
    )
    .await?;
    let believed = lease.scalar_bool("SELECT stockade.claims() IS NOT NULL").await;
    lease.rollback().await?;
    match believed {
        Ok(true) => Ok(()),
        Ok(false) => Err(DbError::unavailable(format!(
            "the database does not know the key {} of context_key_file: run the setup with this file",
            database.inner.key.id()
        ))),
        Err(error) => Err(DbError::unavailable(format!(
            "the role {reader_role} cannot call stockade.claims() ({}): run the setup",
            error.for_log()
        ))),
    }
}
