use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

/// So many a minute, a whole minute's of which may come at once: the generic cell rate algorithm
/// (ITU-T I.371), which needs to keep one moment.
pub(super) struct Rate {
    /// Time that one call takes up.
    each: Duration,
    /// When all that was taken is made up for.
    even: Mutex<Instant>,
}

impl Rate {
    pub(super) fn per_minute(calls: u32, now: Instant) -> Self {
        Self { each: MINUTE / calls.max(1), even: Mutex::new(now) }
    }

    /// The same minute under another limit: what was taken of it stays taken, and no more than a minute's.
    pub(super) fn continuing(self, before: &Self, now: Instant) -> Self {
        let owed = before.even.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(now);
        let taken = owed.div_duration_f64(before.each);
        let even = now + self.each.mul_f64(taken).min(MINUTE);
        Self { even: Mutex::new(even), ..self }
    }

    /// Takes one; an error says after what time there is one again.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut even = self.even.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*even).max(now) + self.each;
        match next.saturating_duration_since(now).checked_sub(MINUTE) {
            Some(early) if !early.is_zero() => Err(early),
            _ => {
                *even = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_calls_may_come_at_once_and_then_one_at_a_time() {
        let start = Instant::now();
        let rate = Rate::per_minute(60, start);
        assert!((0..60).all(|_| rate.take(start).is_ok()));
        assert_eq!(rate.take(start), Err(Duration::from_secs(1)));
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(rate.take(after(900)), Err(Duration::from_millis(100)), "a refusal takes nothing");
        assert_eq!(rate.take(after(1_000)), Ok(()));
        assert_eq!(rate.take(after(1_000)), Err(Duration::from_secs(1)));
        assert!((0..60).all(|_| rate.take(after(3_600_000)).is_ok()));
        assert!(rate.take(after(3_600_000)).is_err(), "an idle hour saves up no more than a minute's");
    }

    #[test]
    fn under_another_limit_what_was_taken_stays_taken() {
        let start = Instant::now();
        let left = |taken: u32, after: u32| {
            let before = Rate::per_minute(60, start);
            assert!((0..taken).all(|_| before.take(start).is_ok()));
            let rate = Rate::per_minute(after, start).continuing(&before, start);
            let left = (0..=after).take_while(|_| rate.take(start).is_ok()).count();
            (left, rate.take(start).expect_err("no more"))
        };
        assert_eq!(left(10, 60), (50, Duration::from_secs(1)), "the same limit");
        assert_eq!(left(10, 30), (20, Duration::from_secs(2)));
        assert_eq!(left(60, 120), (60, Duration::from_millis(500)));
        assert_eq!(left(60, 10), (0, Duration::from_secs(6)), "nobody waits for more than one call of the new limit");
        assert_eq!(left(0, 10).0, 10);
    }
}
