use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::Exhausted;

const DAY: Duration = Duration::from_secs(86_400);

/// What may be used in a day (UTC), and what was. A call under way is not stopped when the day's share
/// is used up: it has limits of its own. The next one is refused.
pub(super) struct Quota {
    cpu_max: Option<Duration>,
    rows_max: Option<u64>,
    used: Arc<Mutex<Used>>,
}

#[derive(Default)]
struct Used {
    day: u64,
    cpu: Duration,
    rows: u64,
}

impl Quota {
    pub(super) fn new(cpu_s_max: Option<u64>, rows_max: Option<u64>) -> Self {
        Self { cpu_max: cpu_s_max.map(Duration::from_secs), rows_max, used: Arc::default() }
    }

    /// The same day's use, from now on: other limits do not begin another day.
    pub(super) fn continuing(self, before: &Self) -> Self {
        Self { used: Arc::clone(&before.used), ..self }
    }

    pub(super) fn check(&self, now: SystemTime) -> Result<(), Exhausted> {
        self.today(now, |used, retry_after| {
            if self.cpu_max.is_some_and(|max| used.cpu >= max) {
                return Err(Exhausted { limit: "cpu_s_per_day_max", retry_after });
            }
            if self.rows_max.is_some_and(|max| used.rows >= max) {
                return Err(Exhausted { limit: "rows_per_day_max", retry_after });
            }
            Ok(())
        })
    }

    pub(super) fn charge(&self, now: SystemTime, cpu: Duration, rows: u64) {
        self.today(now, |used, _| {
            used.cpu = used.cpu.saturating_add(cpu);
            used.rows = used.rows.saturating_add(rows);
        });
    }

    /// Runs `f` on what was used today, with the time that is left of the day.
    fn today<T>(&self, now: SystemTime, f: impl FnOnce(&mut Used, Duration) -> T) -> T {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let day = since_epoch.as_secs() / DAY.as_secs();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.day != day {
            *used = Used { day, ..Used::default() };
        }
        let begun = Duration::from_secs(day * DAY.as_secs());
        f(&mut used, (begun + DAY).saturating_sub(since_epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64, second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * u32::try_from(day).expect("a day") + Duration::from_secs(second)
    }

    #[test]
    fn what_is_used_up_comes_back_at_midnight() {
        let quota = Quota::new(Some(10), Some(1_000));
        quota.charge(at(5, 0), Duration::from_secs(9), 999);
        assert_eq!(quota.check(at(5, 1)), Ok(()));
        quota.charge(at(5, 1), Duration::ZERO, 1);
        let retry_after = Duration::from_secs(86_400 - 100);
        assert_eq!(quota.check(at(5, 100)), Err(Exhausted { limit: "rows_per_day_max", retry_after }));
        quota.charge(at(5, 100), Duration::from_secs(1), 0);
        assert_eq!(quota.check(at(5, 100)).expect_err("both are").limit, "cpu_s_per_day_max");
        assert_eq!(quota.check(at(6, 0)), Ok(()));
    }

    #[test]
    fn without_a_limit_there_is_none() {
        let quota = Quota::new(None, None);
        quota.charge(at(5, 0), Duration::MAX, u64::MAX);
        quota.charge(at(5, 0), Duration::MAX, u64::MAX);
        assert_eq!(quota.check(at(5, 0)), Ok(()));
    }
}
