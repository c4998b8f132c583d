//! The schema's migrations.

use sqlx::Connection;
use sqlx::migrate::Migrator;

use crate::RetailError;
use crate::connection::administrator;
use crate::error::Doing;

static MIGRATIONS: Migrator = sqlx::migrate!("./sql");

/// Where this application keeps what only its administrator needs, apart from the host's own.
const SETUP_SCHEMA: &str = "zava_setup";

/// Bring the schema `retail` up to date: role `zava_owner`, tables, policies, search.
///
/// `admin_url` is an administrator of the database: a superuser, or a role with CREATEROLE that may
/// create schemas and is a member of the host's `stockade_owner`. The host's migration comes first.
/// May be called again at any time.
///
/// # Errors
/// [`RetailError::Database`] without a connection, [`RetailError::Migrate`] when a statement fails
/// (the message says what is missing) or when an applied migration differs from this build's.
pub async fn migrate(admin_url: &str) -> Result<(), RetailError> {
    let mut connection = administrator(admin_url).await?;
    let mut migrator = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    migrator.create_schema(SETUP_SCHEMA);
    migrator.dangerous_set_table_name(format!("{SETUP_SCHEMA}.migrations"));
    migrator.run(&mut connection).await?;
    connection.close().await.doing("closing the administrator's connection")
}
