//! So many texts a minute, a whole minute's at once.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// The generic cell rate algorithm: each text is due `every` after the one before it.
pub(super) struct Pace {
    every: Duration,
    /// When the text after the last would be due, if whole minutes could not be saved up.
    due: Mutex<Instant>,
}

/// Texts that may go when it is their turn. Dropped before, they leave it to others.
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    at: Instant,
    takes: Duration,
    taken: bool,
}

impl Pace {
    pub(super) fn new(texts_per_minute: u32) -> Self {
        Self { every: MINUTE / texts_per_minute.max(1), due: Mutex::new(Instant::now()) }
    }

    /// A turn for each batch of so many texts. None for any where one would come after the deadline: whoever gives up
    /// must not make others wait.
    pub(super) fn turns(&self, batches: &[usize], deadline: Instant) -> Option<Vec<Turn<'_>>> {
        self.turns_from(Instant::now(), batches, deadline)
    }

    fn turns_from(&self, now: Instant, batches: &[usize], deadline: Instant) -> Option<Vec<Turn<'_>>> {
        let mut due = self.due();
        let mut next = (*due).max(now);
        let mut places = Vec::with_capacity(batches.len());
        for texts in batches {
            let takes = self.every * u32::try_from(*texts).unwrap_or(u32::MAX);
            next += takes;
            // At once, where they lie within a minute of what was saved up.
            let at = now + next.duration_since(now).saturating_sub(MINUTE);
            if at > deadline {
                return None;
            }
            places.push((at, takes));
        }
        *due = next;
        Some(places.into_iter().map(|(at, takes)| Turn { pace: self, at, takes, taken: false }).collect())
    }

    fn due(&self) -> MutexGuard<'_, Instant> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    pub(super) async fn come(mut self) {
        tokio::time::sleep_until(self.at).await;
        self.taken = true;
    }

    fn give_back(&mut self, now: Instant) {
        // Before its turn, nothing that was saved up since is counted twice: `due` lies in the future all the time.
        if !self.taken && now < self.at {
            let mut due = self.pace.due();
            *due = due.checked_sub(self.takes).unwrap_or(*due);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.give_back(Instant::now());
    }
}

#[cfg(test)]
mod tests;
