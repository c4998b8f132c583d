//! Results of queries, kept until a table that they read changes.
//!
//! It stands here and not in the runtime, for everything that decides a result is known here and nowhere
//! else: the caller's identity, what a statement names, the tables' versions. What a plugin keeps by itself
//! (WIT interface `cache`) is the runtime's.
//!
//! A result is kept only of statements that name nothing but watched tables and functions whose result
//! their arguments decide; it is given out only while the versions of those tables, of all tables that
//! their policies read, and of the database's definitions are what they were before it was asked for.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;

mod config;
mod flight;
mod key;
mod seal;
mod stats;
mod tier;
mod versions;

pub use config::{CacheConfig, RedisConfig};
use flight::{Flights, Seat};
pub(crate) use key::{Key, Question};
pub use stats::CacheStats;
use stats::Counters;
use tier::Tier;
pub(crate) use versions::follow;
use versions::{Relation, Version, Versions};

use crate::context::ContextKey;
use crate::error::DbError;
use crate::value::{Column, ColumnValues, ResultSet};

/// What an entry costs besides its values: key, clocks, pointers. In bytes, about.
const ENTRY_BYTES: usize = 256;

/// All callers' results. None can be reached but by the digest of everything that decided it.
pub(crate) struct QueryCache {
    ttl_s_max: AtomicU32,
    entry_bytes_max: AtomicU32,
    memory: Cache<Key, Held>,
    tier: Option<Tier>,
    flights: Flights,
    versions: Versions,
    counters: Arc<Counters>,
}

/// Results of the statements that were asked in one transaction.
pub(crate) struct Entry {
    pub(crate) results: Vec<ResultSet>,
    /// What they cost of a call's budget, in bytes: as much from here as from the database.
    pub(crate) bytes: u64,
}

/// An entry, and for how long.
#[derive(Clone)]
struct Held {
    entry: Arc<Entry>,
    ttl: Duration,
}

struct ByEntry;

impl Expiry<Key, Held> for ByEntry {
    fn expire_after_create(&self, _: &Key, held: &Held, _: Instant) -> Option<Duration> {
        Some(held.ttl)
    }

    fn expire_after_update(&self, _: &Key, held: &Held, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(held.ttl)
    }
}

/// What [`QueryCache::answer`] has for whoever asked.
pub(crate) enum Answer {
    /// Kept before, or asked for by another.
    Kept(Arc<Entry>),
    /// Just asked for.
    Fresh(Arc<Entry>),
    /// Somebody else asked, and could not keep it.
    AskYourself,
}

impl QueryCache {
    pub(crate) fn new(config: &CacheConfig, key: &ContextKey) -> Result<Self, DbError> {
        let counters = Arc::new(Counters::default());
        let evicted = Arc::clone(&counters);
        let weigh = |_: &Key, held: &Held| u32::try_from(held.entry.memory_bytes()).unwrap_or(u32::MAX);
        let memory = Cache::builder()
            .max_capacity(config.bytes_max)
            .weigher(weigh)
            .expire_after(ByEntry)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evicted.evictions.up();
                }
            })
            .build();
        let tier = config.redis.as_ref().map(|redis| Tier::open(redis, key, &counters)).transpose()?;
        let (flights, versions) = (Flights::default(), Versions::new());
        let (ttl_s_max, entry_bytes_max) = (config.ttl_s_max.into(), config.entry_bytes_max.into());
        Ok(Self { ttl_s_max, entry_bytes_max, memory, tier, flights, versions, counters })
    }

    /// Takes what of a configuration may change while the host runs, for results that are kept from now on.
    pub(crate) fn adjust(&self, config: &CacheConfig) {
        self.ttl_s_max.store(config.ttl_s_max, Ordering::Relaxed);
        self.entry_bytes_max.store(config.entry_bytes_max, Ordering::Relaxed);
    }

    /// The versions of everything that statements on these relations read, from before they begin. `None`:
    /// ask the database, and keep nothing.
    pub(crate) fn versions(&self, relations: impl FnOnce() -> Option<Vec<Relation>>) -> Option<Vec<Version>> {
        // What names lead to is looked up in between: by these definitions, or it is not known.
        let definitions = self.versions.of(&[]);
        let versions = definitions.zip(relations()).and_then(|(definitions, relations)| {
            self.versions.of(&relations).filter(|versions| versions.starts_with(&definitions))
        });
        if versions.is_none() {
            self.counters.bypasses.up();
        }
        versions
    }

    /// The version of the database's definitions, where it is known.
    pub(crate) fn definitions(&self) -> Option<String> {
        self.versions.of(&[]).and_then(|versions| versions.into_iter().next()).map(|(_, version)| version)
    }

    /// Never longer than the operator allows, in seconds.
    pub(crate) fn ttl_s(&self, asked: u32) -> u32 {
        asked.min(self.ttl_s_max.load(Ordering::Relaxed))
    }

    /// What is kept under `key`, or what `ask` brings. Of all who ask the same at the same time one runs
    /// `ask`; where that one is gone before its answer came, another takes over.
    pub(crate) async fn answer(
        &self,
        key: Key,
        ttl_s: u32,
        ask: impl Future<Output = Result<Entry, DbError>> + Send,
    ) -> Result<Answer, DbError> {
        let mut joined = false;
        let pilot = loop {
            if let Some(held) = self.memory.get(&key) {
                self.counters.hits.up();
                return Ok(Answer::Kept(held.entry));
            }
            match self.flights.board(key) {
                Seat::Pilot(pilot) => break pilot,
                Seat::Passenger(passenger) => {
                    if !std::mem::replace(&mut joined, true) {
                        self.counters.joins.up();
                    }
                    match passenger.land().await {
                        Some(Some(entry)) => return Ok(Answer::Kept(entry)),
                        Some(None) => return Ok(Answer::AskYourself),
                        None => {}
                    }
                }
            }
        };
        // Another pilot may have landed between the look and the seat.
        if let Some(held) = self.memory.get(&key) {
            self.counters.hits.up();
            pilot.land(Some(Arc::clone(&held.entry)));
            return Ok(Answer::Kept(held.entry));
        }
        let ttl = Duration::from_secs(ttl_s.into());
        if let Some(tier) = &self.tier
            && let Some((entry, left)) = tier.get(&key).await
        {
            let entry = Arc::new(entry);
            self.memory.insert(key, Held { entry: Arc::clone(&entry), ttl: left.min(ttl) });
            pilot.land(Some(Arc::clone(&entry)));
            return Ok(Answer::Kept(entry));
        }
        self.counters.misses.up();
        let asked = ask.await.map(Arc::new);
        match &asked {
            Ok(entry) if self.keeps(entry) => {
                self.counters.stores.up();
                self.memory.insert(key, Held { entry: Arc::clone(entry), ttl });
                if let Some(tier) = &self.tier {
                    tier.put(key, entry, ttl);
                }
                pilot.land(Some(Arc::clone(entry)));
            }
            _ => pilot.land(None),
        }
        asked.map(Answer::Fresh)
    }

    /// What hit a limit is right for one call only.
    fn keeps(&self, entry: &Entry) -> bool {
        let whole = entry.results.iter().all(|result| !result.truncated);
        whole && entry.memory_bytes() <= self.entry_bytes_max.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn stats(&self) -> CacheStats {
        // What has come in and gone counts once the cache has looked at it, which it does when it is used.
        self.memory.run_pending_tasks();
        let counters = &self.counters;
        CacheStats {
            hits: counters.hits.get(),
            misses: counters.misses.get(),
            joins: counters.joins.get(),
            bypasses: counters.bypasses.get(),
            stores: counters.stores.get(),
            evictions: counters.evictions.get(),
            bytes: self.memory.weighted_size(),
            entries: self.memory.entry_count(),
            hearing: self.versions.hearing(),
            tier_hits: counters.tier_hits.get(),
            tier_misses: counters.tier_misses.get(),
            tier_stores: counters.tier_stores.get(),
            tier_errors: counters.tier_errors.get(),
            tier_refusals: counters.tier_refusals.get(),
            tier_commands: counters.tier_commands.get(),
            tier_us: counters.tier_us.get(),
            tiered: self.tier.is_some(),
            tier_connected: self.tier.as_ref().is_some_and(Tier::connected),
        }
    }
}

impl Entry {
    pub(crate) fn new(results: Vec<ResultSet>, bytes: u64) -> Self {
        Self { results, bytes }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.results.iter().map(|result| u64::from(result.row_count)).sum()
    }

    /// The results, copied where others hold them too.
    pub(crate) fn take(self: Arc<Self>) -> Vec<ResultSet> {
        Arc::try_unwrap(self).map_or_else(|shared| shared.results.clone(), |entry| entry.results)
    }

    fn memory_bytes(&self) -> usize {
        let columns = self.results.iter().flat_map(|result| &result.columns);
        columns.map(|column| size_of::<Column>() + column_bytes(column)).sum::<usize>() + ENTRY_BYTES
    }
}

/// What a column holds on the heap, in bytes.
fn column_bytes(column: &Column) -> usize {
    let values = match &column.values {
        ColumnValues::Booleans(v) => v.len(),
        ColumnValues::Integers(v) | ColumnValues::Timestamps(v) | ColumnValues::Times(v) => v.len() * 8,
        ColumnValues::Floats(v) => v.len() * 8,
        ColumnValues::Decimals(v) => v.unscaled.len() * 8,
        ColumnValues::Texts(v) | ColumnValues::Bytes(v) => v.offsets.len() * 4 + v.data.len(),
        ColumnValues::Dates(v) => v.len() * 4,
        ColumnValues::Vectors(v) => v.elements.len() * 4,
    };
    values + column.name.len() + column.type_name.len() + column.nulls.len()
}
