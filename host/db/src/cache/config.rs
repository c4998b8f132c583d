//! The `[cache]` table of the host's configuration.
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::DbError;
use crate::secret::Secret;

/// `[cache]`: results of queries, kept until a table that they read changes. Without the table nothing is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// Memory for results, in bytes.
    #[serde(default = "default_bytes_max")]
    pub bytes_max: u64,
    /// A result of more bytes than this is not kept.
    #[serde(default = "default_entry_bytes_max")]
    pub entry_bytes_max: u32,
    /// No result is kept for longer than this many seconds, whatever a manifest or a plugin asks for.
    #[serde(default = "default_ttl_s_max")]
    pub ttl_s_max: u32,
    /// Where to hear of changes: a direct connection to the database, for a pooler in transaction mode hands
    /// no notification on. Without it `url` of `[database]`.
    pub listen_url: Option<Secret>,
    /// `[cache.redis]`: a tier behind the memory. Without it there is none.
    pub redis: Option<RedisConfig>,
}

/// `[cache.redis]`: a Redis or Valkey that hosts of one database share, and that outlives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// The file with `redis://` or `rediss://login:password@host:port/number`.
    pub url_file: PathBuf,
    /// What names of entries begin with.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// An answer may take this many milliseconds; then Redis is not asked until it answers again.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// A larger entry stays in memory, in bytes.
    #[serde(default = "default_value_bytes_max")]
    pub value_bytes_max: u32,
}

fn default_prefix() -> String {
    "stockade".to_owned()
}
fn default_timeout_ms() -> u64 {
    50
}
fn default_value_bytes_max() -> u32 {
    1 << 20
}

fn default_bytes_max() -> u64 {
    64 << 20
}
fn default_entry_bytes_max() -> u32 {
    1 << 20
}
fn default_ttl_s_max() -> u32 {
    300
}

impl CacheConfig {
    pub(crate) fn check(&self) -> Result<(), DbError> {
        let mut ranges = vec![
            ("bytes_max", self.bytes_max, 1 << 40),
            ("entry_bytes_max", self.entry_bytes_max.into(), 1 << 30),
            ("ttl_s_max", self.ttl_s_max.into(), 86_400),
        ];
        if let Some(redis) = &self.redis {
            ranges.push(("redis.timeout_ms", redis.timeout_ms, 10_000));
            ranges.push(("redis.value_bytes_max", redis.value_bytes_max.into(), 1 << 29));
        }
        match ranges.into_iter().find(|(_, value, max)| !(1..=*max).contains(value)) {
            None => Ok(()),
            Some((key, value, max)) => Err(DbError::rejected(
                "CONFIG_CACHE",
                format!("[cache] {key} is {value}; expected 1 to {max}, or no table [cache] to keep nothing"),
            )),
        }
    }
}
