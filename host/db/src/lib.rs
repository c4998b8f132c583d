//! Stockade's PostgreSQL side: everything that may touch the database, and nothing else may.
//!
//! A [`Session`] belongs to one tool call. It runs queries that a plugin wrote, as the caller, and
//! gives columns back; no pool, connection or SQL string leaves this crate. `README.md` beside the
//! manifest says how a query runs, and which walls stand around it.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test says what went wrong by panicking"
    )
)]

mod audit;
pub mod background;
mod breaker;
mod cache;
mod collection;
mod config;
mod context;
mod cursor;
mod database;
mod decode;
pub mod embedded;
mod embedder;
mod encode;
mod error;
mod guard;
mod identity;
mod lease;
mod node;
mod replica;
mod retry;
mod scope;
mod secret;
mod session;
pub mod setup;
mod share;
mod statistics;
mod stats;
mod value;

pub use audit::{AuditDecision, AuditKey, AuditKind, AuditLine, AuditRecord};
pub use breaker::BreakerState;
pub use cache::{CacheConfig, CacheStats, RedisConfig};
pub use collection::{RebuildOptions, RebuildProgress, Rebuilt, rebuild};
pub use config::{CollectionConfig, DatabaseConfig, EmbedderConfig, OpenAiConfig};
pub use context::ContextKey;
pub use cursor::Cursor;
pub use database::{Database, Migrations};
pub use embedder::{Embedder, embedder};
pub use error::{DbError, Inner};
pub use guard::judge_statement;
pub use identity::{Identity, PrincipalId, ReaderRole, TenantId};
pub use scope::{SqlScope, TableName};
pub use secret::Secret;
pub use session::{CacheScope, Comparison, Condition, Session, SessionLimits, Usage};
pub use statistics::{Dimension, StatementStatistics, Timing};
pub use stats::{DatabaseStats, ReplicaStats};
pub use value::{Column, ColumnValues, FixedPoint, Packed, ResultSet, Statement, Value, VectorArray};
