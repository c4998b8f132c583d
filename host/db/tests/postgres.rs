//! The crate against a real PostgreSQL, which it starts itself (`STOCKADE_POSTGRES_BIN`, or what is found).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test says what went wrong by panicking"
)]

#[path = "postgres/bed.rs"]
mod bed;
#[path = "postgres/cache.rs"]
mod cache;
#[path = "postgres/cancel.rs"]
mod cancel;
#[path = "postgres/context.rs"]
mod context;
#[path = "postgres/embedded.rs"]
mod embedded;
#[path = "postgres/embedder.rs"]
mod embedder;
#[path = "postgres/endpoint.rs"]
mod endpoint;
#[path = "../../../tests/src/fault_table.rs"]
#[expect(unreachable_pub, reason = "the end-to-end suite's library exports it")]
mod fault_table;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/fitness.rs"]
mod fitness;
#[path = "postgres/keys.rs"]
mod keys;
#[path = "postgres/managed.rs"]
mod managed;
#[path = "postgres/pool.rs"]
mod pool;
#[path = "postgres/pooler.rs"]
mod pooler;
#[path = "postgres/query.rs"]
mod query;
#[path = "postgres/rebuild.rs"]
mod rebuild;
#[path = "postgres/recall.rs"]
mod recall;
#[path = "postgres/replica.rs"]
mod replica;
#[path = "postgres/search.rs"]
mod search;
#[path = "postgres/settings.rs"]
mod settings;
#[path = "postgres/share.rs"]
mod share;
#[path = "postgres/types.rs"]
mod types;
#[path = "postgres/wall.rs"]
mod wall;
#[path = "postgres/wide.rs"]
mod wide;

/// Where the tables of faults stand.
const FAULTS_PAGE: &str = include_str!("../../README.md");
