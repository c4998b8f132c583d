//! A private PostgreSQL cluster that lives and dies with the host.
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::DbError;

/// `embedded = { data_dir = "…", bin_dir = "…" }`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// The folder with `postgres` and `initdb`; without it [`find_bin_dir`] looks for one.
    pub bin_dir: Option<PathBuf>,
    /// The cluster; created when absent, reused when there.
    pub data_dir: PathBuf,
}

/// A PostgreSQL of version 15 or later with pgvector on this machine.
pub fn find_bin_dir() -> Option<PathBuf> {
    None
}

/// A running cluster. Dropping it stops it too, without waiting.
pub struct EmbeddedPostgres {
    _private: (),
}

impl EmbeddedPostgres {
    /// Starts the cluster, creating it first when it is not there.
    pub async fn start(_config: &EmbeddedConfig) -> Result<Self, DbError> {
        Err(DbError::internal("not yet"))
    }

    /// `postgres://` URL over the private socket.
    pub fn url(&self, _user: &str, _database: &str) -> String {
        String::new()
    }

    /// Stops the cluster and waits until it has stopped.
    pub async fn stop(self) -> Result<(), DbError> {
        Ok(())
    }
}
