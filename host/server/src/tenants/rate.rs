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
}
