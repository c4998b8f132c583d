//! A query whose rows come in batches.
use crate::error::DbError;
use crate::value::ResultSet;

/// An open query. It holds a connection and a transaction; dropping it ends both, and no connection
/// in an unknown state goes back to the pool.
pub struct Cursor {
    _private: (),
}

impl Cursor {
    /// The next rows, at most `rows_max`. `truncated` says that more follow; after the last row, empty results.
    pub async fn fetch(&mut self, _rows_max: u32) -> Result<ResultSet, DbError> {
        Err(DbError::internal("not yet"))
    }
}
