//! What the cache of queries does and holds.

use opentelemetry::{KeyValue, metrics::MeterProvider};
use stockade_db::{CacheStats, Database};

use super::{Metrics, instruments::key, readings::Reading};

const COUNTS: [Reading<CacheStats>; 2] = [
    ("stockade.cache.stores", "{result}", "Results that were kept.", |stats| stats.stores),
    ("stockade.cache.evictions", "{result}", "Results given up because memory was full.", |stats| stats.evictions),
];

const LEVELS: [Reading<CacheStats>; 3] = [
    ("stockade.cache.held", "By", "Results held in memory.", |stats| stats.bytes),
    ("stockade.cache.results", "{result}", "Results held in memory.", |stats| stats.entries),
    (
        "stockade.cache.hearing",
        "",
        "1 while the host hears of changes; otherwise nothing kept is given out.",
        |stats| stats.hearing.into(),
    ),
];

const REDIS_COUNTS: [Reading<CacheStats>; 5] = [
    ("stockade.cache.redis.commands", "{command}", "Commands that Redis was sent.", |stats| stats.tier_commands),
    ("stockade.cache.redis.errors", "{command}", "Commands that Redis refused, or did not answer in time.", |stats| {
        stats.tier_errors
    }),
    ("stockade.cache.redis.misses", "{result}", "Results that Redis did not have.", |stats| stats.tier_misses),
    ("stockade.cache.redis.stores", "{result}", "Results that were sent to Redis.", |stats| stats.tier_stores),
    ("stockade.cache.redis.refusals", "{value}", "Values from Redis that no host had sealed, or too late.", |stats| {
        stats.tier_refusals
    }),
];

const REDIS_LEVELS: [Reading<CacheStats>; 1] =
    [("stockade.cache.redis.connected", "", "1 while Redis answers; otherwise it is not asked.", |stats| {
        stats.tier_connected.into()
    })];

impl Metrics {
    /// Shows the cache of queries, where there is one, each time that somebody looks. Once for each server.
    pub(super) fn watch_cache(&self, database: &Database) {
        let Some(stats) = database.cache_stats() else { return };
        let database = database.clone();
        let read = move || database.cache_stats();
        self.watch_counts(&COUNTS, read.clone());
        self.watch_levels(&LEVELS, read.clone());
        let meter = self.0.provider.meter("stockade");
        let of_answers = read.clone();
        meter
            .u64_observable_counter("stockade.cache.answers")
            .with_unit("{answer}")
            .with_description("Answers to statements that may be kept, by where they came from.")
            .with_callback(move |observer| {
                let Some(stats) = of_answers() else { return };
                let sources = [
                    ("memory", stats.hits),
                    ("redis", stats.tier_hits),
                    ("shared", stats.joins),
                    ("database", stats.misses),
                    ("past", stats.bypasses),
                ];
                for (source, count) in sources {
                    observer.observe(count, &[KeyValue::new(key::SOURCE, source)]);
                }
            })
            .build();
        if !stats.tiered {
            return;
        }
        self.watch_counts(&REDIS_COUNTS, read.clone());
        self.watch_levels(&REDIS_LEVELS, read.clone());
        meter
            .f64_observable_counter("stockade.cache.redis.time")
            .with_unit("s")
            .with_description("Time that commands to Redis took, those without an answer included.")
            .with_callback(move |observer| {
                let Some(stats) = read() else { return };
                observer.observe(std::time::Duration::from_micros(stats.tier_us).as_secs_f64(), &[]);
            })
            .build();
    }
}
