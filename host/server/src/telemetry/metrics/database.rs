//! What the database's pools are doing.

use opentelemetry::{KeyValue, metrics::MeterProvider};
use stockade_db::{BreakerState, Database, DatabaseStats};

use super::{Metrics, instruments::key, readings::Reading};

const COUNTS: [Reading<DatabaseStats>; 7] = [
    ("stockade.db.acquires", "{connection}", "Connections given out to calls.", |stats| stats.acquires),
    ("stockade.db.acquire.timeouts", "{wait}", "Waits for a connection that were given up.", |stats| {
        stats.acquire_timeouts
    }),
    ("stockade.db.discarded", "{connection}", "Connections closed because their state was not known.", |stats| {
        stats.discarded
    }),
    ("stockade.db.cancelled", "{statement}", "Statements that the host cancelled on the server.", |stats| {
        stats.cancelled
    }),
    ("stockade.db.retries", "{attempt}", "Attempts after a first one.", |stats| stats.retries),
    ("stockade.db.retries.refused", "{attempt}", "Attempts that the retry budget did not allow.", |stats| {
        stats.retries_refused
    }),
    ("stockade.db.breaker.opened", "{time}", "Times that the circuit breaker opened.", |stats| stats.breaker_opened),
];

impl Metrics {
    /// Shows the primary's pool, the replicas and the cache of queries, each time that somebody looks. Once for
    /// each server.
    pub(crate) fn watch_database(&self, database: &Database) {
        let meter = self.0.provider.meter("stockade");
        let of_counts = database.clone();
        self.watch_counts(&COUNTS, move || Some(of_counts.stats()));
        self.watch_cache(database);
        self.watch_replicas(database);
        let of_states = database.clone();
        meter
            .u64_observable_gauge("stockade.db.connections")
            .with_unit("{connection}")
            .with_description(
                "Connections: `used` by calls, `idle`, of the `control` pool; `max` is how many calls may use.",
            )
            .with_callback(move |observer| {
                let stats = of_states.stats();
                let states = [
                    ("used", stats.in_use),
                    ("idle", stats.idle),
                    ("control", stats.control_connections),
                    ("max", stats.connections_max),
                ];
                for (state, count) in states {
                    observer.observe(count.into(), &[KeyValue::new(key::CONNECTION, state)]);
                }
            })
            .build();
        let of_waiting = database.clone();
        meter
            .u64_observable_gauge("stockade.db.waiting")
            .with_unit("{call}")
            .with_description("Statements and cursors that wait for a connection.")
            .with_callback(move |observer| observer.observe(of_waiting.stats().waiting.into(), &[]))
            .build();
        let of_breaker = database.clone();
        meter
            .u64_observable_gauge("stockade.db.breaker.state")
            .with_description("The circuit breaker: 0 lets all pass, 1 tries one call, 2 lets none pass.")
            .with_callback(move |observer| {
                let state = match of_breaker.stats().breaker {
                    BreakerState::Closed => 0,
                    BreakerState::HalfOpen => 1,
                    BreakerState::Open => 2,
                };
                observer.observe(state, &[]);
            })
            .build();
    }
}
