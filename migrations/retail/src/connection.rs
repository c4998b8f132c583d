//! Connections of the administrator.

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::RetailError;
use crate::error::Doing;

/// At once: one for each table that is loaded in parallel.
const CONNECTIONS_MAX: u32 = 5;

/// What a connection needs to do a load. Catalogue functions print names with their schema when
/// the search path has none.
const BECOME_OWNER: &str = "SET ROLE zava_owner; SET search_path = pg_catalog, pg_temp; SET statement_timeout = 0; SET synchronous_commit = off";

fn options(admin_url: &str) -> Result<PgConnectOptions, RetailError> {
    let options = admin_url.parse::<PgConnectOptions>().doing("reading the administrator's URL")?;
    // A load is thousands of rows a statement: warnings of slow ones would say nothing.
    Ok(options.application_name("zava-retail").disable_statement_logging())
}

/// One connection as the administrator.
pub(crate) async fn administrator(admin_url: &str) -> Result<PgConnection, RetailError> {
    PgConnection::connect_with(&options(admin_url)?).await.doing("connecting as the administrator")
}

/// Connections that act as `zava_owner`: all that a load does is done with the owner's rights, so
/// that it works where the administrator is not a superuser.
pub(crate) async fn owner_pool(admin_url: &str) -> Result<PgPool, RetailError> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(BECOME_OWNER).await?;
                Ok(())
            })
        })
        .connect_with(options(admin_url)?)
        .await
        .doing("connecting as zava_owner")
}

/// One connection that acts as `zava_owner` and holds the advisory lock `key` until it is closed.
pub(crate) async fn owner_with_lock(admin_url: &str, key: i64) -> Result<PgConnection, RetailError> {
    let doing = "waiting for another load to end";
    let mut connection = administrator(admin_url).await?;
    // Before the role changes: on a locked-down server only the administrator may take such locks.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut connection).await.doing(doing)?;
    connection.execute(BECOME_OWNER).await.doing(doing)?;
    Ok(connection)
}
