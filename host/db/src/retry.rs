//! Tries again what failed through no fault of its own, without making an outage worse.
//!
//! Every statement that comes through here is read-only and has given nothing out yet. Three things bound
//! what is tried again: the attempts of one call, its deadline, and a budget that all calls share. Each call
//! pays a small part of a retry into the budget, so that of many failing calls few are tried again.
//! Between attempts lies a random time, up to a bound that doubles ("full jitter": Brooker, Exponential
//! Backoff and Jitter, AWS Architecture Blog, 2015).
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::DatabaseConfig;
use crate::error::DbError;

/// The bound on a pause stops doubling here.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What a retry costs; a call pays in `retry_budget_percent` of it.
const RETRY_COST: u64 = 100;

pub(crate) struct Retries {
    attempts_max: u32,
    backoff: Duration,
    percent: u64,
    /// Holds at most as many retries as there are connections to lose at once.
    budget_max: u64,
    budget: AtomicU64,
    made: AtomicU64,
    refused: AtomicU64,
}

/// The attempts of one call.
pub(crate) struct Attempts<'a> {
    retries: &'a Retries,
    made: u32,
    deadline: Instant,
}

impl Retries {
    pub(crate) fn new(config: &DatabaseConfig) -> Self {
        let budget_max = u64::from(config.connections_max) * RETRY_COST;
        Self {
            attempts_max: config.attempts_max,
            backoff: Duration::from_millis(config.retry_backoff_ms),
            percent: u64::from(config.retry_budget_percent),
            budget_max,
            budget: AtomicU64::new(if config.retry_budget_percent == 0 { 0 } else { budget_max }),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A call begins, and pays in.
    pub(crate) fn begin(&self, deadline: Instant) -> Attempts<'_> {
        let paid = |budget: u64| Some((budget + self.percent).min(self.budget_max));
        // The closure always gives a value.
        let _ = self.budget.try_update(Ordering::Relaxed, Ordering::Relaxed, paid);
        Attempts { retries: self, made: 1, deadline }
    }

    /// Retries made, and retries that the budget did not allow.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.made.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

impl Attempts<'_> {
    /// Whether to try again after `error`; waits before it says so.
    pub(crate) async fn again(&mut self, error: &DbError) -> bool {
        let Some(pause) = self.allowed(error) else { return false };
        tokio::time::sleep(pause).await;
        true
    }

    fn allowed(&mut self, error: &DbError) -> Option<Duration> {
        let retries = self.retries;
        if !error.is_passing() || self.made >= retries.attempts_max {
            return None;
        }
        let pause = full_jitter(retries.backoff.saturating_mul(1 << (self.made - 1).min(16)).min(PAUSE_MAX));
        if Instant::now() + pause >= self.deadline {
            return None;
        }
        let spend = |budget: u64| budget.checked_sub(RETRY_COST);
        if retries.budget.try_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err() {
            retries.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.made += 1;
        retries.made.fetch_add(1, Ordering::Relaxed);
        Some(pause)
    }
}

/// A random part of the whole time, so that those who failed together do not come back together.
pub(crate) fn full_jitter(most: Duration) -> Duration {
    // The first 32 bits of a version 4 UUID are random.
    most.mul_f64(f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(attempts_max: u32, percent: u64) -> Retries {
        Retries {
            attempts_max,
            backoff: Duration::from_millis(100),
            percent,
            budget_max: 2 * RETRY_COST,
            budget: AtomicU64::new(2 * RETRY_COST),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn lost() -> DbError {
        DbError::unavailable("the connection was lost")
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let statement = |state: &str| DbError::Statement { sqlstate: state.to_owned(), message: String::new() };
        for passing in [lost(), statement("40001"), statement("40P01")] {
            assert!(retries(3, 10).begin(later()).allowed(&passing).is_some(), "{passing}");
        }
        for lasting in [
            statement("42P01"),
            statement("53200"),
            DbError::Timeout { code: "STATEMENT_TIMEOUT" },
            DbError::Timeout { code: "POOL_TIMEOUT" },
            DbError::outage("not tried"),
            DbError::internal("a bug"),
            DbError::rejected("SQL_NOT_A_QUERY", ""),
        ] {
            assert!(retries(3, 10).begin(later()).allowed(&lasting).is_none(), "{lasting}");
        }
    }

    #[test]
    fn pauses_differ_stay_under_a_bound_that_doubles_and_end_before_the_deadline() {
        let retries = Retries { budget: AtomicU64::new(1_000_000), budget_max: 1_000_000, ..retries(4, 10) };
        let mut seen = Vec::new();
        for _ in 0..100 {
            let mut attempts = retries.begin(later());
            for bound_ms in [100, 200, 400] {
                let pause = attempts.allowed(&lost()).unwrap();
                assert!(pause <= Duration::from_millis(bound_ms), "{pause:?}");
                seen.push(pause);
            }
            assert!(attempts.allowed(&lost()).is_none(), "a fifth attempt of four");
        }
        seen.sort();
        seen.dedup();
        assert!(seen.len() > 200 && seen.iter().any(|pause| pause.as_millis() > 200), "{}", seen.len());
        assert!(retries.begin(Instant::now()).allowed(&lost()).is_none(), "past its deadline");
    }

    #[test]
    fn of_many_failing_calls_few_are_tried_again() {
        let retries = retries(3, 10);
        let tried = (0..1_000).filter(|_| retries.begin(later()).allowed(&lost()).is_some()).count();
        // What was in the budget, and a tenth.
        assert!((95..=105).contains(&tried), "{tried}");
        assert_eq!(retries.counted(), (tried as u64, 1_000 - tried as u64));
    }
}
