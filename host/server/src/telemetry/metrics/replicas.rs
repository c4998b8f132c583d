//! What each replica is doing. A replica is known by its number in the configuration: its address is nobody's.

use std::time::Duration;

use opentelemetry::{KeyValue, metrics::MeterProvider};
use stockade_db::{Database, ReplicaStats};

use super::{Metrics, instruments::key};

impl Metrics {
    /// Shows the replicas, where there are any, each time that somebody looks. Once for each server.
    pub(super) fn watch_replicas(&self, database: &Database) {
        if database.stats().replicas.is_empty() {
            return;
        }
        let meter = self.0.provider.meter("stockade");
        let of_use = database.clone();
        meter
            .u64_observable_gauge("stockade.db.replica.used")
            .with_description("1 while calls read from the replica: it answers, and is close enough behind.")
            .with_callback(move |observer| {
                each(&of_use, |replica, of| observer.observe(replica.used.into(), &of));
            })
            .build();
        let of_lag = database.clone();
        meter
            .f64_observable_gauge("stockade.db.replica.lag")
            .with_unit("s")
            .with_description("Time that the replica is behind the primary, at most; absent until it is known.")
            .with_callback(move |observer| {
                each(&of_lag, |replica, of| {
                    replica
                        .lag_ms
                        .iter()
                        .for_each(|&lag_ms| observer.observe(Duration::from_millis(lag_ms).as_secs_f64(), &of));
                });
            })
            .build();
        let of_connections = database.clone();
        meter
            .u64_observable_gauge("stockade.db.replica.connections")
            .with_unit("{connection}")
            .with_description("Open connections to the replica.")
            .with_callback(move |observer| {
                each(&of_connections, |replica, of| observer.observe(replica.connections.into(), &of));
            })
            .build();
        let of_acquires = database.clone();
        meter
            .u64_observable_counter("stockade.db.replica.acquires")
            .with_unit("{connection}")
            .with_description("Connections to the replica given out to calls: one for each transaction there.")
            .with_callback(move |observer| {
                each(&of_acquires, |replica, of| observer.observe(replica.acquires, &of));
            })
            .build();
    }
}

fn each(database: &Database, mut show: impl FnMut(&ReplicaStats, [KeyValue; 1])) {
    for (replica, number) in database.stats().replicas.iter().zip(1_i64..) {
        show(replica, [KeyValue::new(key::REPLICA, number)]);
    }
}
