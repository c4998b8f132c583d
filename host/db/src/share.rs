//! Who gets the next connection, or the next turn at a local model.
//!
//! There are as many seats as the pool has connections, and whoever holds one finds a connection in the
//! pool, or opens one. Seats that come free go round among the tenants that wait, one at a time, so a
//! tenant with a thousand calls delays another's by one turn. One tenant's calls never hold all of them,
//! and cursors, which sit on a connection for as long as a plugin likes, leave one to queries.
use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::DatabaseConfig;
use crate::error::DbError;
use crate::identity::TenantId;

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Statements that run to their end.
    Statements,
    /// A cursor, which ends when the plugin drops it.
    Cursor,
    /// A few texts for a model.
    Embedding,
}

/// All tenants' shares.
pub(crate) struct Shares {
    seats: usize,
    tenant_max: usize,
    wait: Duration,
    state: Mutex<State>,
    taken: AtomicU64,
    timed_out: AtomicU64,
}

#[derive(Default)]
struct State {
    held: Held,
    /// Tenants that hold a seat or wait for one.
    lanes: HashMap<TenantId, Lane>,
    /// Those that wait, in the order of their turns. Each stands here once.
    turns: VecDeque<TenantId>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Held {
    seats: usize,
    /// Those among them that cursors hold.
    cursors: usize,
}

#[derive(Default)]
struct Lane {
    held: Held,
    waiting: VecDeque<(Purpose, oneshot::Sender<Seat>)>,
}

/// A place for one connection, held until it is dropped.
pub(crate) struct Seat {
    shares: Arc<Shares>,
    /// Whose and for what; none once it is given back.
    of: Option<(TenantId, Purpose)>,
}

/// How the seats are used at this moment, and were so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareStats {
    pub(crate) held: usize,
    pub(crate) waiting: usize,
    pub(crate) taken: u64,
    pub(crate) timed_out: u64,
}

impl Held {
    /// Whether one more fits under `max`, of which cursors leave one.
    fn has_room(self, max: usize, purpose: Purpose) -> bool {
        self.seats < max && (purpose != Purpose::Cursor || self.cursors < max.saturating_sub(1).max(1))
    }

    fn add(&mut self, purpose: Purpose) {
        self.seats += 1;
        self.cursors += usize::from(purpose == Purpose::Cursor);
    }

    fn remove(&mut self, purpose: Purpose) {
        self.seats = self.seats.saturating_sub(1);
        self.cursors = self.cursors.saturating_sub(usize::from(purpose == Purpose::Cursor));
    }
}

/// How many of `all` connections one tenant may hold where the operator does not say: as many as keep the database's
/// processors busy, of which the best guess is that it has as many as this machine. A call that queries while it has a
/// cursor open wants two.
fn tenant_max(all: u32, processors: usize) -> u32 {
    let three_quarters = all - all.div_ceil(4);
    u32::try_from(processors).unwrap_or(u32::MAX).saturating_add(1).min(three_quarters).max(2).min(all)
}

impl Shares {
    pub(crate) fn new(config: &DatabaseConfig) -> Arc<Self> {
        let all = config.connections_max;
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let tenant_max = config.connections_per_tenant_max.unwrap_or_else(|| tenant_max(all, processors));
        Self::of(all as usize, tenant_max as usize, Duration::from_millis(config.acquire_timeout_ms))
    }

    /// Of a model that has so many turns at once. One tenant may have all: each ends by itself.
    pub(crate) fn of_a_model(turns: usize) -> Arc<Self> {
        Self::of(turns, turns, Duration::MAX)
    }

    fn of(seats: usize, tenant_max: usize, wait: Duration) -> Arc<Self> {
        Arc::new(Self {
            seats,
            tenant_max,
            wait,
            state: Mutex::default(),
            taken: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        })
    }

    /// Waits for a seat. When none came in time: `TENANT_BUSY` where the tenant, or cursors, have all that
    /// they may, else `POOL_TIMEOUT`.
    pub(crate) async fn take(self: &Arc<Self>, tenant: &TenantId, purpose: Purpose) -> Result<Seat, DbError> {
        let mut coming = self.line_up(tenant, purpose);
        // Most of the time there is a seat, and no timer is needed.
        let seat = match coming.try_recv() {
            Ok(seat) => Some(seat),
            Err(_) => tokio::time::timeout(self.wait, coming).await.ok().and_then(Result::ok),
        };
        match seat {
            Some(seat) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                Ok(seat)
            }
            None => {
                self.timed_out.fetch_add(1, Ordering::Relaxed);
                Err(DbError::Timeout { code: self.reason(tenant, purpose) })
            }
        }
    }

    pub(crate) fn stats(&self) -> ShareStats {
        let state = self.state();
        let waiting =
            state.lanes.values().map(|lane| lane.waiting.iter().filter(|(_, call)| !call.is_closed()).count());
        ShareStats {
            held: state.held.seats,
            waiting: waiting.sum(),
            taken: self.taken.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reason(&self, tenant: &TenantId, purpose: Purpose) -> &'static str {
        let state = self.state();
        let own = state.lanes.get(tenant).map_or_else(Held::default, |lane| lane.held);
        let cursors_full = state.held.seats < self.seats && !state.held.has_room(self.seats, purpose);
        if !own.has_room(self.tenant_max, purpose) || cursors_full { "TENANT_BUSY" } else { "POOL_TIMEOUT" }
    }

    fn line_up(self: &Arc<Self>, tenant: &TenantId, purpose: Purpose) -> oneshot::Receiver<Seat> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let State { lanes, turns, .. } = &mut *state;
        let lane = lanes.entry(tenant.clone()).or_default();
        if lane.waiting.is_empty() {
            turns.push_back(tenant.clone());
        }
        // Those that gave up make room: a lane holds no more than what waits.
        lane.waiting.retain(|(_, call)| !call.is_closed());
        lane.waiting.push_back((purpose, sender));
        self.hand_out(&mut state);
        receiver
    }

    fn hand_out(self: &Arc<Self>, state: &mut State) {
        while let Some((tenant, purpose, call)) = self.next(state) {
            let seat = Seat { shares: Arc::clone(self), of: Some((tenant, purpose)) };
            // Given up between the look and now. Dropped as it is, the seat would lock what is locked.
            if let Err(mut seat) = call.send(seat)
                && let Some((tenant, purpose)) = seat.of.take()
            {
                state.give_back(&tenant, purpose);
            }
        }
    }

    /// The first tenant in turn that may have one more seat, with the first of its calls that may.
    fn next(&self, state: &mut State) -> Option<(TenantId, Purpose, oneshot::Sender<Seat>)> {
        let mut at = 0;
        while state.held.seats < self.seats {
            let tenant = state.turns.get(at)?.clone();
            let all = state.held;
            let lane = state.lanes.entry(tenant.clone()).or_default();
            lane.waiting.retain(|(_, call)| !call.is_closed());
            if lane.waiting.is_empty() {
                state.forget(&tenant);
                continue;
            }
            let own = lane.held;
            let fits = |purpose| all.has_room(self.seats, purpose) && own.has_room(self.tenant_max, purpose);
            let Some(found) = lane.waiting.iter().position(|(purpose, _)| fits(*purpose)) else {
                at += 1;
                continue;
            };
            let (purpose, call) = lane.waiting.remove(found)?;
            lane.held.add(purpose);
            state.held.add(purpose);
            state.turns.remove(at);
            if !lane.waiting.is_empty() {
                state.turns.push_back(tenant.clone());
            }
            return Some((tenant, purpose, call));
        }
        None
    }
}

impl State {
    fn give_back(&mut self, tenant: &TenantId, purpose: Purpose) {
        self.held.remove(purpose);
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.held.remove(purpose);
            if lane.held.seats == 0 && lane.waiting.is_empty() {
                self.lanes.remove(tenant);
            }
        }
    }

    /// Nobody of the tenant waits any more.
    fn forget(&mut self, tenant: &TenantId) {
        self.turns.retain(|waiting| waiting != tenant);
        if self.lanes.get(tenant).is_some_and(|lane| lane.held.seats == 0) {
            self.lanes.remove(tenant);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((tenant, purpose)) = self.of.take() {
            let mut state = self.shares.state();
            state.give_back(&tenant, purpose);
            self.shares.hand_out(&mut state);
        }
    }
}

#[cfg(test)]
mod tests;
