//! So many texts a minute, a whole minute's at once.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// The generic cell rate algorithm: each text is due `every` after the one before it.
pub(super) struct Pace {
    every: Duration,
    /// When the text after the last would be due, if whole minutes could not be saved up.
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(texts_per_minute: u32) -> Self {
        Self { every: MINUTE / texts_per_minute.max(1), due: Mutex::new(Instant::now()) }
    }

    /// Waits until `texts` more may go.
    pub(super) async fn take(&self, texts: usize) {
        tokio::time::sleep_until(self.due(Instant::now(), texts)).await;
    }

    /// When `texts` more may go: at once, where they lie within a minute of what was saved up.
    fn due(&self, now: Instant, texts: usize) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = (*due).max(now) + self.every * u32::try_from(texts).unwrap_or(u32::MAX);
        now + due.duration_since(now).saturating_sub(MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_texts_go_at_once_and_the_next_when_they_are_due() {
        let pace = Pace::new(60);
        let now = Instant::now();
        let wait = |at: u64, texts| {
            let at = now + Duration::from_secs(at);
            pace.due(at, texts).duration_since(at).as_secs()
        };
        assert_eq!(wait(0, 60), 0);
        assert_eq!(wait(0, 5), 5);
        assert_eq!(wait(5, 1), 1);
        assert_eq!(wait(200, 60), 0, "what nobody took is not saved up beyond a minute");
        assert_eq!(wait(200, 60), 60);
    }
}
