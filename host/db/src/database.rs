//! The database as the rest of the host sees it.
use std::sync::Arc;

use crate::config::DatabaseConfig;
use crate::error::DbError;
use crate::identity::Identity;
use crate::session::{Session, SessionLimits};

/// A pool of connections, the signing key and the collections. Cloning is cheap.
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<()>,
}

impl Database {
    /// Opens the pools and checks that the login is fit to serve from: no superuser, no BYPASSRLS,
    /// owner of nothing, and a signing key that the database knows.
    pub async fn connect(_config: &DatabaseConfig) -> Result<Self, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// What one tool call may do. Opens nothing.
    pub fn session(&self, identity: Identity, limits: SessionLimits) -> Session {
        Session { database: self.clone(), identity, limits }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        Err(DbError::internal("not yet"))
    }

    /// Embeds texts with the collection's model, in order. At most 64 texts.
    pub async fn embed(&self, _collection: &str, _texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// Closes the pools, and stops the embedded cluster where there is one.
    pub async fn close(&self) {}
}
