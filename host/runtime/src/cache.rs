//! What plugins keep between calls, in memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

/// All plugins' entries, bounded in bytes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PluginCache(Cache<Arc<[u8]>, Entry>);

#[derive(Clone)]
struct Entry {
    value: Arc<[u8]>,
    ttl: Duration,
}

struct ByEntry;

impl Expiry<Arc<[u8]>, Entry> for ByEntry {
    fn expire_after_create(&self, _: &Arc<[u8]>, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &Arc<[u8]>, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// Whose entries: the exact plugin and all that the caller is.
pub(crate) struct Scope<'a> {
    pub(crate) plugin_digest: &'a [u8; 32],
    pub(crate) identity: &'a stockade_db::Identity,
}

impl PluginCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let weigh = |key: &Arc<[u8]>, entry: &Entry| u32::try_from(key.len() + entry.value.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(bytes_max).weigher(weigh).expire_after(ByEntry).build())
    }

    pub(crate) fn get(&self, scope: &Scope<'_>, key: &str) -> Option<Arc<[u8]>> {
        self.0.get(&scope.key(key)).map(|entry| entry.value)
    }

    pub(crate) fn set(&self, scope: &Scope<'_>, key: &str, value: Vec<u8>, ttl: Duration) {
        self.0.insert(scope.key(key), Entry { value: value.into(), ttl });
    }

    pub(crate) fn delete(&self, scope: &Scope<'_>, key: &str) {
        self.0.invalidate(&scope.key(key));
    }
}

impl Scope<'_> {
    /// Each part with its length before it: no two scopes make the same key.
    fn key(&self, key: &str) -> Arc<[u8]> {
        let identity = self.identity;
        let mut out = self.plugin_digest.to_vec();
        let roles = identity.roles.iter().map(String::as_str);
        let fixed = [identity.tenant.as_str(), identity.principal.as_str(), identity.reader_role.as_str(), key];
        for part in fixed.into_iter().chain(roles) {
            out.extend_from_slice(&part.len().to_le_bytes());
            out.extend_from_slice(part.as_bytes());
        }
        out.into()
    }
}
