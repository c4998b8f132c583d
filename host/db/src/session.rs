//! One tool call's way to the database.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cursor::Cursor;
use crate::database::Database;
use crate::error::DbError;
use crate::identity::Identity;
use crate::value::{ResultSet, Statement};

/// What one call may take from the database.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Rows of one result at most, whatever a query asks for.
    pub rows_max: u32,
    /// Bytes of all results of the session together.
    pub bytes_max: u64,
    /// No statement runs past this moment.
    pub deadline: tokio::time::Instant,
    /// The schemas whose tables and functions the plugin may name.
    pub schemas: Arc<BTreeSet<String>>,
    /// The collections that the plugin may search.
    pub collections: Arc<BTreeSet<String>>,
}

/// What a session has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Statements run, failed ones included.
    pub statements: u64,
    /// Rows given out.
    pub rows: u64,
    /// Bytes of values given out.
    pub bytes: u64,
}

/// One tool call's way to the database. It holds no connection between two calls of its methods.
pub struct Session {
    pub(crate) database: Database,
    pub(crate) identity: Identity,
    pub(crate) limits: SessionLimits,
}

impl Session {
    /// Runs one query. At most `rows_max` rows come back, and never more than the limits allow.
    pub async fn query(&self, _statement: Statement, _rows_max: u32) -> Result<ResultSet, DbError> {
        let _ = (&self.database.inner, &self.identity, &self.limits);
        Err(DbError::internal("not yet"))
    }

    /// Runs several queries on one snapshot, in one transaction; `rows_max` holds for each.
    pub async fn query_all(&self, _statements: Vec<Statement>, _rows_max: u32) -> Result<Vec<ResultSet>, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// Starts a query whose rows come in batches. It holds a connection until the cursor is dropped.
    pub async fn open(&self, _statement: Statement) -> Result<Cursor, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// The collection's rows nearest to `embedding` that the caller may see, nearest first.
    pub async fn search(
        &self,
        _collection: &str,
        _embedding: Vec<f32>,
        _rows_max: u32,
        _similarity_min: f64,
    ) -> Result<ResultSet, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// What the session has taken so far.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }
}
