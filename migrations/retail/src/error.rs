//! What can go wrong.

/// Why a migration or a load failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetailError {
    /// The database could not be reached, or refused a statement.
    #[error("the database failed while {doing}: {source}")]
    Database {
        /// What was being done, as in "while …".
        doing: &'static str,
        /// The driver's error.
        source: sqlx::Error,
    },
    /// A migration failed, or one that has been applied is not the one in this build.
    #[error("the migration of the schema retail failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The options contradict the data that is to be generated.
    #[error("{0}")]
    Options(String),
    /// A data file of this crate is malformed.
    #[error("{file}, line {line}: {message}")]
    DataFile {
        /// The file, relative to the crate.
        file: &'static str,
        /// The line, the first being 1.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// The embedder failed.
    #[error("the descriptions could not be embedded: {0}")]
    Embedding(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The embedder gave something other than was asked for.
    #[error("the embedder gave {found}, expected {expected}")]
    EmbeddingShape {
        /// What came.
        found: String,
        /// What had to come.
        expected: String,
    },
    /// The generator's thread ended before its work was done.
    #[error("the generator stopped before its end: {0}")]
    Generator(String),
}

/// Says what was being done when the database failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, RetailError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, RetailError> {
        self.map_err(|source| RetailError::Database { doing, source })
    }
}
