//! The signed context: how the database knows who is calling.
use std::path::Path;

use crate::error::DbError;

/// The key that signs callers' claims. `Debug` does not show it.
#[derive(Clone)]
pub struct ContextKey {
    pub(crate) id: String,
    pub(crate) secret: [u8; 32],
}

impl ContextKey {
    /// A new key from the system's randomness, with a new id.
    pub fn generate() -> Self {
        Self { id: String::new(), secret: [0; 32] }
    }

    /// Reads what [`ContextKey::write_file`] wrote. Refuses a file that others may read.
    pub fn read_file(_path: &Path) -> Result<Self, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// Writes a new file with mode 0600. Fails when the file exists.
    pub fn write_file(&self, _path: &Path) -> Result<(), DbError> {
        Err(DbError::internal("not yet"))
    }

    /// The id under which the database knows the key.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for ContextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextKey").field("id", &self.id).finish_non_exhaustive()
    }
}
