//! Prepares a database for the host: roles, the schema `stockade`, the lock-down. An administrator's act.
//!
//! The SQL stands in `migrations/host`; its README says what each file does. The names of roles reach
//! it as settings of the transaction, and it quotes them.
use std::str::FromStr;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::audit;
use crate::context::ContextKey;
use crate::error::DbError;
use crate::identity::{ReaderRole, is_plain_identifier};
use crate::secret::Secret;

const ROLES: &str = include_str!("../../../migrations/host/001_roles.sql");
const CONTEXT: &str = include_str!("../../../migrations/host/002_context.sql");
const LOCKDOWN: &str = include_str!("../../../migrations/host/003_lockdown.sql");
const AUDIT: &str = include_str!("../../../migrations/host/004_audit.sql");
const COLLECTIONS: &str = include_str!("../../../migrations/host/005_collections.sql");
const VERSIONS: &str = include_str!("../../../migrations/host/006_versions.sql");
/// All of them, in order.
const MIGRATIONS: [&str; 6] = [ROLES, CONTEXT, LOCKDOWN, AUDIT, COLLECTIONS, VERSIONS];

/// The advisory lock that keeps two runs on one database apart: "stockade" in ASCII.
const SETUP_LOCK: i64 = 0x7374_6f63_6b61_6465;

/// What [`apply`] creates.
#[derive(Debug, Clone)]
pub struct SetupConfig {
    /// The host's login, `[a-z_][a-z0-9_]{0,62}`.
    pub login_role: String,
    /// Its password; without one the login is left without (trust or peer authentication).
    pub login_password: Option<Secret>,
    /// The roles that callers' queries may run under; at least one.
    pub reader_roles: Vec<ReaderRole>,
}

/// Creates or updates roles, the extension `vector`, the schema `stockade` and the lock-down, and
/// registers `key`, all in one transaction. Idempotent.
///
/// `admin_url` is a superuser's, or the nearest to it that a managed server gives; what could not be
/// locked down there is logged as a warning.
pub async fn apply(admin_url: &str, config: &SetupConfig, key: &ContextKey) -> Result<(), DbError> {
    check(config)?;
    let options = PgConnectOptions::from_str(admin_url)?.disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await.map_err(setup_failed)?;
    let outcome = apply_with(&mut connection, config, key).await;
    // The work is committed or lost by now; a failure to say goodbye changes neither.
    let _ = connection.close().await;
    outcome
}

fn check(config: &SetupConfig) -> Result<(), DbError> {
    if !is_plain_identifier(&config.login_role) {
        return Err(DbError::rejected("CONFIG_LOGIN_ROLE", "login_role: expected an identifier of a-z, 0-9 and _"));
    }
    if config.reader_roles.is_empty() {
        return Err(DbError::rejected("CONFIG_READER_ROLES", "reader_roles: expected at least one role"));
    }
    Ok(())
}

async fn apply_with(connection: &mut PgConnection, config: &SetupConfig, key: &ContextKey) -> Result<(), DbError> {
    let readers: Vec<&str> = config.reader_roles.iter().map(ReaderRole::as_str).collect();
    let password = config.login_password.as_ref().map_or("", Secret::expose);
    let mut transaction = connection.begin().await?;
    sqlx::query(
        "SELECT pg_advisory_xact_lock($1), set_config('stockade.setup_login', $2, true),
                set_config('stockade.setup_readers', $3, true), set_config('stockade.setup_password', $4, true),
                -- \"already exists, skipping\" is what a second run is for
                set_config('client_min_messages', 'warning', true)",
    )
    .bind(SETUP_LOCK)
    .bind(&config.login_role)
    .bind(readers.join(","))
    .bind(password)
    .execute(&mut *transaction)
    .await
    .map_err(setup_failed)?;
    for sql in [ROLES, CONTEXT] {
        sqlx::raw_sql(sql).execute(&mut *transaction).await.map_err(setup_failed)?;
    }
    let new_key = register(&mut transaction, key).await?;
    let left = sqlx::raw_sql(LOCKDOWN).fetch_all(&mut *transaction).await.map_err(setup_failed)?;
    for sql in [AUDIT, COLLECTIONS, VERSIONS] {
        sqlx::raw_sql(sql).execute(&mut *transaction).await.map_err(setup_failed)?;
    }
    sqlx::raw_sql(AssertSqlSafe(schema_comment())).execute(&mut *transaction).await.map_err(setup_failed)?;
    let key_is = if new_key { "new" } else { "known" };
    let detail =
        format!("login {}, readers {}, signing key {} ({key_is})", config.login_role, readers.join(", "), key.id());
    audit::record_setup(&mut transaction, &detail).await.map_err(setup_failed)?;
    transaction.commit().await.map_err(setup_failed)?;
    if !left.is_empty() {
        let functions: Vec<String> = left.iter().filter_map(|row| row.try_get(0).ok()).collect();
        tracing::warn!(
            functions = functions.join(", "),
            "readers may still execute these functions: the administrator is no superuser"
        );
    }
    Ok(())
}

/// Before the digest in the comment of the schema.
const DIGEST_MARK: &str = "Migrations: ";

/// The migrations that this build brings, by the digest of their text: 12 hexadecimal digits.
pub(crate) fn migrations_digest() -> String {
    let digest = MIGRATIONS.into_iter().fold(Sha256::new(), |digest, sql| digest.chain_update(sql));
    hex::encode(digest.finalize()).chars().take(12).collect()
}

/// The comment stands where anybody may read it, so an operator sees what a database was set up with.
fn schema_comment() -> String {
    format!(
        "SET LOCAL ROLE stockade_owner; COMMENT ON SCHEMA stockade IS 'Stockade''s control plane: the signed context. \
         Applications call stockade.claims() and nothing else. {DIGEST_MARK}{}'; RESET ROLE",
        migrations_digest()
    )
}

pub(crate) fn digest_in_comment(comment: &str) -> Option<&str> {
    comment.rsplit_once(DIGEST_MARK).map(|(_, digest)| digest)
}

/// Whether the database did not know the key before.
async fn register(connection: &mut PgConnection, key: &ContextKey) -> Result<bool, DbError> {
    let (inner_pad, outer_pad) = key.pads();
    sqlx::raw_sql("SET LOCAL ROLE stockade_owner").execute(&mut *connection).await.map_err(setup_failed)?;
    let registered = sqlx::query(
        "INSERT INTO stockade.context_keys (key_id, inner_pad, outer_pad) VALUES ($1, $2, $3) ON CONFLICT (key_id) DO NOTHING",
    )
    .bind(key.id())
    .bind(&inner_pad[..])
    .bind(&outer_pad[..])
    .execute(&mut *connection)
    .await
    .map_err(setup_failed)?;
    let usable: bool = sqlx::query_scalar(
        "SELECT inner_pad = $2 AND outer_pad = $3 AND retired_at IS NULL FROM stockade.context_keys WHERE key_id = $1",
    )
    .bind(key.id())
    .bind(&inner_pad[..])
    .bind(&outer_pad[..])
    .fetch_one(&mut *connection)
    .await
    .map_err(setup_failed)?;
    if !usable {
        return Err(DbError::unavailable(format!(
            "the database knows another key, or a retired one, under the id {}: write a new key file",
            key.id()
        )));
    }
    sqlx::raw_sql("RESET ROLE").execute(&mut *connection).await.map_err(setup_failed)?;
    Ok(registered.rows_affected() == 1)
}

/// Here the administrator is the reader of the message, so it is kept whole.
fn setup_failed(error: sqlx::Error) -> DbError {
    DbError::unavailable(format!("database setup failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_of_every_file_of_the_folder_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/host");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "sql"));
        files.sort();
        let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert_eq!(migrations_digest(), hex::encode(Sha256::digest(text))[..12]);
    }
}
