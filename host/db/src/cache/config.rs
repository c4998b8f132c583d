//! The `[cache]` table of the host's configuration.
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
        let ranges = [
            ("bytes_max", self.bytes_max, 1 << 40),
            ("entry_bytes_max", self.entry_bytes_max.into(), 1 << 30),
            ("ttl_s_max", self.ttl_s_max.into(), 86_400),
        ];
        match ranges.into_iter().find(|(_, value, max)| !(1..=*max).contains(value)) {
            None => Ok(()),
            Some((key, value, max)) => Err(DbError::rejected(
                "CONFIG_CACHE",
                format!("[cache] {key} is {value}; expected 1 to {max}, or no table [cache] to keep nothing"),
            )),
        }
    }
}
