//! Prepares a database for the host: roles, the schema `stockade`, the lock-down. An administrator's act.
use crate::context::ContextKey;
use crate::error::DbError;
use crate::identity::ReaderRole;
use crate::secret::Secret;

/// What [`apply`] creates.
#[derive(Debug, Clone)]
pub struct SetupConfig {
    /// The host's login.
    pub login_role: String,
    /// Its password; without one the login is left without (trust or peer authentication).
    pub login_password: Option<Secret>,
    /// The roles that callers' queries may run under.
    pub reader_roles: Vec<ReaderRole>,
}

/// Creates or updates roles, the extension `vector`, the schema `stockade` and the lock-down, and
/// registers `key`. Idempotent. Run it again after an application's schema has changed.
pub async fn apply(_admin_url: &str, _config: &SetupConfig, _key: &ContextKey) -> Result<(), DbError> {
    Err(DbError::internal("not yet"))
}
