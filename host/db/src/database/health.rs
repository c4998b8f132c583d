//! What an operator wants to know of the database.
use std::time::{Duration, Instant};

use sqlx::Row;

use super::{Database, checks};
use crate::error::DbError;
use crate::node::within_control_time;
use crate::setup;

/// The migrations of `migrations/host`, by the digest of their text, 12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// Those that this host brings.
    pub expected: String,
    /// Those that the database was last set up with. `None` where no setup has said so.
    pub applied: Option<String>,
}

impl Database {
    /// Whether calls can be served: the database answers, has the control plane, lets the host become a
    /// reader and believes what it signs. Takes a control connection. Gives the time of one round trip.
    pub async fn check(&self) -> Result<Duration, DbError> {
        let began = Instant::now();
        self.ping().await?;
        let took = began.elapsed();
        within_control_time(checks::signing_key(self)).await?;
        Ok(took)
    }

    /// Which migrations the database has.
    pub async fn migrations(&self) -> Result<Migrations, DbError> {
        let comment = async {
            let query = "SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace WHERE nspname = 'stockade'";
            let row = sqlx::query(query).persistent(false).fetch_optional(self.control()).await?;
            Ok(row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?.flatten())
        };
        let comment = within_control_time(comment).await?;
        Ok(Migrations {
            expected: setup::migrations_digest(),
            applied: comment.as_deref().and_then(setup::digest_in_comment).map(str::to_owned),
        })
    }

    /// The names of `[embedders.*]`.
    pub fn embedders(&self) -> Vec<String> {
        self.inner.embedders.names()
    }

    /// Has a model embed a word, and gives the time that it took. A local model is loaded, if it is not.
    pub async fn probe_embedder(&self, name: &str) -> Result<Duration, DbError> {
        let began = Instant::now();
        self.inner.embedders.probe(name).await?;
        Ok(began.elapsed())
    }
}
