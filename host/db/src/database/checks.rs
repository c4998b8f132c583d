//! Whether a database is fit to serve from. A host that would serve on a login which row security
//! does not bind refuses to start.
use sqlx::Row;
use sqlx::postgres::PgPool;

use super::Database;
use crate::error::DbError;
use crate::identity::{Identity, ReaderRole};
use crate::lease::{Isolation, Lease};

/// Every row is a reason not to start.
const LOGIN: &str = "
WITH RECURSIVE mine (oid) AS (
    SELECT oid FROM pg_roles WHERE rolname = session_user
    UNION
    SELECT m.roleid FROM pg_auth_members AS m JOIN mine ON m.member = mine.oid
), role AS (
    SELECT r.* FROM pg_roles AS r JOIN mine ON mine.oid = r.oid
)
SELECT format('PostgreSQL 15 or later is needed, this is %s', current_setting('server_version'))
  WHERE current_setting('server_version_num')::int < 150000
UNION ALL SELECT format('role %s has SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION', rolname)
  FROM role WHERE rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
UNION ALL SELECT format('the login is a member of %s, which is none of reader_roles', rolname)
  FROM role WHERE rolname <> session_user AND rolname <> ALL ($1)
UNION ALL SELECT format('role %s owns %s', rolname, c.oid::regclass)
  FROM role JOIN pg_class AS c ON c.relowner = role.oid
UNION ALL SELECT format('role %s owns schema %I', rolname, n.nspname)
  FROM role JOIN pg_namespace AS n ON n.nspowner = role.oid
UNION ALL SELECT format('role %s owns function %s', rolname, p.oid::regprocedure)
  FROM role JOIN pg_proc AS p ON p.proowner = role.oid
UNION ALL SELECT format('role %s owns the database', rolname)
  FROM role JOIN pg_database AS d ON d.datdba = role.oid WHERE d.datname = current_database()
UNION ALL SELECT format('the reader role %s does not exist', name)
  FROM unnest($1) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
UNION ALL SELECT format('the reader role %s must not have LOGIN', rolname)
  FROM pg_roles WHERE rolname = ANY ($1) AND rolcanlogin
UNION ALL SELECT format('the login is no member of the reader role %s', rolname)
  FROM pg_roles AS r WHERE rolname = ANY ($1) AND NOT EXISTS (SELECT FROM mine WHERE mine.oid = r.oid)
UNION ALL SELECT 'the schema stockade is missing'
  WHERE NOT EXISTS (SELECT FROM pg_proc WHERE proname = 'claims' AND pronargs = 0 AND pronamespace = to_regnamespace('stockade'))";

pub(super) async fn login(control: &PgPool, readers: &[ReaderRole]) -> Result<(), DbError> {
    let names: Vec<String> = readers.iter().map(ToString::to_string).collect();
    let rows = sqlx::query(LOGIN)
        .persistent(false)
        .bind(&names)
        .fetch_all(control)
        .await
        .map_err(|error| DbError::unavailable(format!("the database cannot be used: {error}")))?;
    if rows.is_empty() {
        return Ok(());
    }
    let reasons = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
    Err(DbError::unavailable(format!(
        "the database is not fit to serve from: {}; run the setup with an administrator's connection",
        reasons.join("; ")
    )))
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
    let deadline = tokio::time::Instant::now() + super::CONTROL_TIMEOUT;
    let mut lease = Lease::begin(database, &nobody, Isolation::ReadCommitted, deadline).await?;
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
