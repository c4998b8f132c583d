//! The `[database]`, `[embedders]` and `[collections]` tables of the host's configuration.
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::cache::CacheConfig;
use crate::embedded::EmbeddedConfig;
use crate::identity::ReaderRole;
use crate::secret::Secret;

mod adjustable;
mod search;

pub(crate) use adjustable::Adjustable;
pub use search::{CollectionConfig, EmbedderConfig, OpenAiConfig};

/// `[database]`: where the data is, and the limits under which it is read.
///
/// Exactly one of `url` and `embedded` is set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://login:password@host/database`. The login owns nothing and is no superuser.
    pub url: Option<Secret>,
    /// Standbys of `url`, as URLs of the same form with the same login. Callers' statements run on one that is
    /// close enough behind, else on the primary. None by default; not with `embedded`.
    #[serde(default)]
    pub replicas: Vec<Secret>,
    /// A replica is used while it is at most this many milliseconds behind, as the host measures it.
    #[serde(default = "default_replica_lag_ms_max")]
    pub replica_lag_ms_max: u64,
    /// A private cluster that the host starts and stops.
    pub embedded: Option<EmbeddedConfig>,
    /// The database within the embedded cluster.
    #[serde(default = "default_database")]
    pub database: String,
    /// The login within the embedded cluster.
    #[serde(default = "default_login_role")]
    pub login_role: String,
    /// The roles that callers' queries may run under.
    pub reader_roles: Vec<ReaderRole>,
    /// Where unqualified names are looked up, in this order.
    pub search_path: Vec<String>,
    /// Tables and views, each `schema.name`, that hold no tenant's rows: every caller may read all of
    /// them, so they need no row security. None by default.
    #[serde(default)]
    pub shared_tables: Vec<String>,
    /// Start though the readers keep rights that the lock-down takes away, as on a managed server whose
    /// administrator is no superuser. Logged as a warning. False by default.
    #[serde(default)]
    pub accept_unrevoked: bool,
    /// The file with the key that signs callers' claims, as `ContextKey::write_file` writes it.
    pub context_key_file: PathBuf,
    /// Connections that calls hold at the same time. For the moment in which one is given back or opened anew, up to
    /// `connections_min` more may be open.
    #[serde(default = "default_connections_max")]
    pub connections_max: u32,
    /// Connections that one tenant's calls may hold at the same time; without it one more than this machine has
    /// processors, at most three quarters of `connections_max`, and two where there are two. Cursors may hold all
    /// but one of them, and all but one of the pool's: a call with an open cursor can always query, unless there is
    /// one alone.
    pub connections_per_tenant_max: Option<u32>,
    /// Connections kept open when idle.
    #[serde(default = "default_connections_min")]
    pub connections_min: u32,
    /// An idle connection beyond the minimum is closed after this many seconds.
    #[serde(default = "default_idle_timeout_s")]
    pub idle_timeout_s: u64,
    /// A query waits this many milliseconds for its tenant's turn, as many for a connection, and as many for the server
    /// to begin its transaction.
    #[serde(default = "default_acquire_timeout_ms")]
    pub acquire_timeout_ms: u64,
    /// A statement runs this many milliseconds at most, and never past the call's deadline.
    #[serde(default = "default_statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// A statement waits this many milliseconds for a lock.
    #[serde(default = "default_lock_timeout_ms")]
    pub lock_timeout_ms: u64,
    /// A cursor's transaction may sit idle this many milliseconds between two fetches.
    #[serde(default = "default_idle_in_transaction_timeout_ms")]
    pub idle_in_transaction_timeout_ms: u64,
    /// Memory of one sort or hash of a statement, in KiB; what needs more goes to temporary files.
    #[serde(default = "default_work_mem_kib")]
    pub work_mem_kib: u32,
    /// Whether PostgreSQL compiles expensive statements; for short ones that takes longer than running them.
    #[serde(default)]
    pub jit: bool,
    /// How the host's connections are called in `pg_stat_activity`; those for control have ` control` behind.
    #[serde(default = "default_application_name")]
    pub application_name: String,
    /// A read is tried at most this many times, the first included, when its connection is lost or refused, or
    /// when its transaction stood in another's way.
    #[serde(default = "default_attempts_max")]
    pub attempts_max: u32,
    /// Between two attempts lies a random time up to this many milliseconds, doubled with each, at most 1 s.
    #[serde(default = "default_retry_backoff_ms")]
    pub retry_backoff_ms: u64,
    /// Of 100 calls, so many may be tried again, and beyond that as many as there are connections.
    #[serde(default = "default_retry_budget_percent")]
    pub retry_budget_percent: u32,
    /// After so many transactions in a row that could not begin, calls fail at once.
    #[serde(default = "default_breaker_failures_max")]
    pub breaker_failures_max: u32,
    /// For this many milliseconds; then one call is let through to see.
    #[serde(default = "default_breaker_open_ms")]
    pub breaker_open_ms: u64,
    /// Prepared statements kept a connection; 0 for a pooler in transaction mode, such as PgBouncer. With 0 no
    /// statement is cancelled by its backend's number, which may serve another: it ends when its connection does.
    #[serde(default = "default_statement_cache_capacity")]
    pub statement_cache_capacity: usize,
    /// A statement that takes this many milliseconds is slow: it is counted as such, and logged.
    #[serde(default = "default_slow_statement_ms")]
    pub slow_statement_ms: u64,
    /// Log the plan of a slow statement too. Its texts are left out, its numbers are not. False by default.
    #[serde(default)]
    pub slow_statement_plan: bool,
    /// `[embedders.<name>]`. Not part of `[database]`: whoever reads the file puts them here.
    #[serde(skip)]
    pub embedders: BTreeMap<String, EmbedderConfig>,
    /// `[collections.<name>]`. Not part of `[database]`: whoever reads the file puts them here.
    #[serde(skip)]
    pub collections: BTreeMap<String, CollectionConfig>,
    /// `[cache]`. Not part of `[database]`: whoever reads the file puts it here.
    #[serde(skip)]
    pub cache: Option<CacheConfig>,
}

impl DatabaseConfig {
    /// Whether backends change from one transaction to the next.
    pub(crate) fn is_pooled(&self) -> bool {
        self.statement_cache_capacity == 0
    }
}

fn default_database() -> String {
    "stockade".to_owned()
}
fn default_login_role() -> String {
    "stockade_login".to_owned()
}
fn default_connections_max() -> u32 {
    10
}
fn default_connections_min() -> u32 {
    2
}
fn default_idle_timeout_s() -> u64 {
    300
}
fn default_acquire_timeout_ms() -> u64 {
    5_000
}
fn default_statement_timeout_ms() -> u64 {
    30_000
}
fn default_lock_timeout_ms() -> u64 {
    1_000
}
fn default_idle_in_transaction_timeout_ms() -> u64 {
    10_000
}
fn default_slow_statement_ms() -> u64 {
    1_000
}
fn default_replica_lag_ms_max() -> u64 {
    1_000
}
fn default_work_mem_kib() -> u32 {
    4_096
}
fn default_application_name() -> String {
    "stockade".to_owned()
}
fn default_attempts_max() -> u32 {
    3
}
fn default_retry_backoff_ms() -> u64 {
    100
}
fn default_retry_budget_percent() -> u32 {
    10
}
fn default_breaker_failures_max() -> u32 {
    5
}
fn default_breaker_open_ms() -> u64 {
    1_000
}
fn default_statement_cache_capacity() -> usize {
    100
}
