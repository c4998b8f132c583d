//! What the pools are doing: a snapshot for whoever watches.
use std::sync::atomic::Ordering;

use crate::breaker::BreakerState;
use crate::database::Database;
use crate::replica::Replica;

/// What the database's connections are doing at one moment, and did since the host started.
///
/// Reading it takes a few locks for an instant, no connection and no statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStats {
    /// Connections that calls may hold at the same time.
    pub connections_max: u32,
    /// Connections that are open, for moments up to `connections_min` more than calls may hold.
    pub connections: u32,
    /// Open ones that nobody uses.
    pub idle: u32,
    /// Connections that calls hold, those that are about to be opened or closed included.
    pub in_use: u32,
    /// Statements and cursors that wait for a connection.
    pub waiting: u32,
    /// Connections of the control pool that are open, and those of them that nobody uses.
    pub control_connections: u32,
    /// See `control_connections`.
    pub control_idle: u32,
    /// Connections given out to calls, since the start.
    pub acquires: u64,
    /// Waits for a turn to get one that ended in vain, since the start.
    pub acquire_timeouts: u64,
    /// Connections closed because what state they were in was not known, since the start.
    pub discarded: u64,
    /// Statements that the host cancelled on the server, since the start.
    pub cancelled: u64,
    /// Attempts after a first one, since the start.
    pub retries: u64,
    /// Attempts that the retry budget did not allow, since the start.
    pub retries_refused: u64,
    /// What the circuit breaker does with calls.
    pub breaker: BreakerState,
    /// How often the breaker has opened, since the start.
    pub breaker_opened: u64,
    /// The replicas, in the order of the configuration. All above is the primary's.
    pub replicas: Vec<ReplicaStats>,
}

/// What one replica is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStats {
    /// Whether the next call may read from it.
    pub used: bool,
    /// Milliseconds that it is behind the primary, at most; none where that is not known.
    pub lag_ms: Option<u64>,
    /// Connections that are open.
    pub connections: u32,
    /// Connections given out to calls, since the start.
    pub acquires: u64,
    /// What its circuit breaker does with calls.
    pub breaker: BreakerState,
}

impl Database {
    /// A snapshot.
    pub fn stats(&self) -> DatabaseStats {
        let node = &self.inner.primary;
        let shares = node.shares.stats();
        let (breaker, breaker_opened) = node.breaker.seen();
        let (retries, retries_refused) = self.inner.retries.counted();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        DatabaseStats {
            connections_max: self.inner.config.connections_max,
            connections: node.pool.size(),
            idle: node.idle(),
            in_use: count(shares.held),
            waiting: count(shares.waiting),
            control_connections: node.control.size(),
            control_idle: node.control_idle(),
            acquires: shares.taken,
            acquire_timeouts: shares.timed_out,
            discarded: node.discarded.load(Ordering::Relaxed),
            cancelled: node.cancelled.load(Ordering::Relaxed),
            retries,
            retries_refused,
            breaker,
            breaker_opened,
            replicas: self.inner.replicas.iter().map(|replica| self.replica_stats(replica)).collect(),
        }
    }

    fn replica_stats(&self, replica: &Replica) -> ReplicaStats {
        ReplicaStats {
            used: self.inner.replicas.may_serve(replica),
            lag_ms: replica.lag().map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
            connections: replica.node.pool.size(),
            acquires: replica.node.shares.stats().taken,
            breaker: replica.node.breaker.seen().0,
        }
    }
}
