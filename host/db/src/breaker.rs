//! Stops calling a database that does not answer.
//!
//! Closed, everything passes. After `failures_max` transactions in a row that could not even begin it is
//! open: calls fail at once, without a connection, a retry or a wait. After a while one call is let through
//! as a probe (half-open): where it can begin its transaction the breaker closes, else it stays open as long again.
//!
//! What counts is whether a transaction can begin. No statement of a plugin can open it.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::DbError;

/// What a circuit breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets all pass.
    Closed,
    /// Lets none pass.
    Open,
    /// One call is through, and its outcome decides.
    HalfOpen,
}

pub(crate) struct Breaker {
    failures_max: u32,
    open: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    /// How often it has opened.
    opened: u64,
    /// Calls that were let through and whose outcome is not known, and since when there are any.
    trying: u32,
    trying_since: Option<Instant>,
    /// The last that could begin, and the last that could not.
    began: Option<Instant>,
    failed: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// A call that was let through, until its outcome is known. Dropped before, it decides nothing.
pub(crate) struct Trial<'a> {
    breaker: &'a Breaker,
    probe: bool,
    told: bool,
}

impl Breaker {
    pub(crate) fn new(failures_max: u32, open: Duration) -> Self {
        let phase = Phase::Closed { failures: 0 };
        let state = State { phase, opened: 0, trying: 0, trying_since: None, began: None, failed: None };
        Self { failures_max, open, state: Mutex::new(state) }
    }

    /// Fails where [`Breaker::admit`] would, and lets nobody through: for whoever has to wait first.
    pub(crate) fn check(&self) -> Result<(), DbError> {
        match self.state().phase {
            Phase::Closed { .. } => Ok(()),
            Phase::Open { until } if until <= Instant::now() => Ok(()),
            Phase::Open { .. } | Phase::HalfOpen => Err(refused()),
        }
    }

    /// Lets a call through, or fails at once.
    pub(crate) fn admit(&self) -> Result<Trial<'_>, DbError> {
        let mut state = self.state();
        let probe = match state.phase {
            Phase::Closed { .. } => false,
            Phase::Open { until } if until <= Instant::now() => {
                state.phase = Phase::HalfOpen;
                true
            }
            Phase::Open { .. } | Phase::HalfOpen => return Err(refused()),
        };
        if state.trying == 0 {
            state.trying_since = Some(Instant::now());
        }
        state.trying += 1;
        Ok(Trial { breaker: self, probe, told: false })
    }

    /// Whether since then no transaction could begin, though calls tried: one failed, or has tried for half of the time.
    pub(crate) fn none_began_since(&self, since: Instant) -> bool {
        let State { trying_since, began, failed, .. } = *self.state();
        let is_since = |at: Option<Instant>| at.is_some_and(|at| at >= since);
        let tries_long = trying_since.is_some_and(|at| at <= since + since.elapsed() / 2);
        !is_since(began) && (tries_long || is_since(failed))
    }

    /// What it does now, and how often it has opened.
    pub(crate) fn seen(&self) -> (BreakerState, u64) {
        let state = self.state();
        let seen = match state.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        };
        (seen, state.opened)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trial<'_> {
    /// The transaction has begun.
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        let mut state = self.breaker.state();
        state.began = Some(Instant::now());
        match state.phase {
            Phase::Closed { .. } => state.phase = Phase::Closed { failures: 0 },
            Phase::HalfOpen if self.probe => {
                state.phase = Phase::Closed { failures: 0 };
                tracing::info!("the database answers again");
            }
            // It began before the others failed, and says nothing of now.
            Phase::Open { .. } | Phase::HalfOpen => {}
        }
    }

    /// The database was not reached.
    pub(crate) fn failed(mut self) {
        self.told = true;
        let mut state = self.breaker.state();
        state.failed = Some(Instant::now());
        let opens = match &mut state.phase {
            Phase::Closed { failures } => {
                *failures += 1;
                *failures >= self.breaker.failures_max
            }
            Phase::HalfOpen => self.probe,
            Phase::Open { .. } => false,
        };
        if opens {
            if !self.probe {
                state.opened += 1;
                tracing::error!("the database does not answer: calls fail at once until it does");
            }
            state.phase = Phase::Open { until: Instant::now() + self.breaker.open };
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        state.trying = state.trying.saturating_sub(1);
        if state.trying == 0 {
            state.trying_since = None;
        }
        if self.probe && !self.told {
            // The call went away; the next one is the probe.
            state.phase = Phase::Open { until: Instant::now() };
        }
    }
}

fn refused() -> DbError {
    DbError::outage("not tried: the database did not answer the calls before this one")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-opens at once.
    fn breaker() -> Breaker {
        Breaker::new(3, Duration::ZERO)
    }

    fn fail(breaker: &Breaker, times: usize) {
        (0..times).for_each(|_| breaker.admit().unwrap().failed());
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breaker = Breaker::new(3, Duration::from_secs(3_600));
        fail(&breaker, 2);
        breaker.admit().unwrap().succeeded();
        fail(&breaker, 2);
        let early = breaker.admit().unwrap();
        assert_eq!(breaker.seen(), (BreakerState::Closed, 0));
        fail(&breaker, 1);
        assert_eq!(breaker.seen(), (BreakerState::Open, 1));
        assert!(breaker.check().is_err() && breaker.admit().is_err());
        early.succeeded();
        assert_eq!(breaker.seen().0, BreakerState::Open, "a call from before says nothing of now");
    }

    #[test]
    fn none_begins_where_all_that_try_fail_or_hang() {
        let breaker = Breaker::new(3, Duration::from_secs(3_600));
        let since = Instant::now();
        assert!(!breaker.none_began_since(since), "nobody tried");
        let hangs = breaker.admit().unwrap();
        assert!(breaker.none_began_since(Instant::now()), "it has tried all the time");
        assert!(!breaker.none_began_since(Instant::now() - Duration::from_secs(10)), "it has just begun to");
        drop(hangs);
        assert!(!breaker.none_began_since(Instant::now()), "it went away and says nothing");
        fail(&breaker, 1);
        assert!(breaker.none_began_since(since));
        let later = Instant::now() + Duration::from_secs(1);
        assert!(!breaker.none_began_since(later), "it failed before");
        breaker.admit().unwrap().succeeded();
        assert!(!breaker.none_began_since(since));
    }

    #[test]
    fn one_probe_decides() {
        let breaker = breaker();
        fail(&breaker, 3);
        let probe = breaker.admit().unwrap();
        assert_eq!(breaker.seen().0, BreakerState::HalfOpen);
        assert!(breaker.check().is_err() && breaker.admit().is_err(), "a second probe");
        probe.failed();
        assert_eq!(breaker.seen(), (BreakerState::Open, 1));
        breaker.admit().unwrap().succeeded();
        assert_eq!(breaker.seen(), (BreakerState::Closed, 1));
    }

    #[test]
    fn a_probe_that_goes_away_leaves_its_place_to_the_next() {
        let breaker = breaker();
        fail(&breaker, 3);
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().succeeded();
        assert_eq!(breaker.seen().0, BreakerState::Closed);
    }
}
