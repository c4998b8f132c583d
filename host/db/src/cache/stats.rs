//! What the cache does, in numbers.
use std::sync::atomic::{AtomicU64, Ordering};

/// What the cache has done since the host started, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Answers given from what was kept.
    pub hits: u64,
    /// Answers that had to be asked for.
    pub misses: u64,
    /// Answers that waited for another's identical query.
    pub joins: u64,
    /// Answers asked for past the cache: the statement cannot be kept, or versions were not known.
    pub bypasses: u64,
    /// Results kept.
    pub stores: u64,
    /// Results given up because memory was full.
    pub evictions: u64,
    /// Bytes of results held in memory.
    pub bytes: u64,
    /// Results held in memory.
    pub entries: u64,
    /// Whether the host hears of changes. While it does not, nothing kept is given out.
    pub hearing: bool,
    /// Answers given from what Redis had; they are among neither `hits` nor `misses`.
    pub tier_hits: u64,
    /// Entries that Redis did not have.
    pub tier_misses: u64,
    /// Entries sent to Redis.
    pub tier_stores: u64,
    /// Commands that Redis refused, or did not answer in time or in its own language.
    pub tier_errors: u64,
    /// Values from Redis that no host had sealed for their entry, or that had expired.
    pub tier_refusals: u64,
    /// Commands that Redis was sent, those included by which the host sees whether it answers.
    pub tier_commands: u64,
    /// Microseconds that these took together, those without an answer included.
    pub tier_us: u64,
    /// Whether there is a Redis: without `[cache.redis]` all of `tier_…` is nothing.
    pub tiered: bool,
    /// Whether Redis answers. While it does not, it is not asked.
    pub tier_connected: bool,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) joins: Counter,
    pub(super) bypasses: Counter,
    pub(super) stores: Counter,
    pub(super) evictions: Counter,
    pub(super) tier_hits: Counter,
    pub(super) tier_misses: Counter,
    pub(super) tier_stores: Counter,
    pub(super) tier_errors: Counter,
    pub(super) tier_refusals: Counter,
    pub(super) tier_commands: Counter,
    pub(super) tier_us: Counter,
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn up(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
