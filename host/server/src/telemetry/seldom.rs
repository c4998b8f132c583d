use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two lines of one kind.
const EVERY: Duration = Duration::from_secs(60);

/// Lets one line of a kind through a minute: whoever makes it happen could else fill the log.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Notes that it happened. Where it is to be said now: how often it has happened since it was said last.
    pub(crate) fn happened(&self) -> Option<u64> {
        self.happened_at(Instant::now())
    }

    fn happened_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid = state.unsaid.saturating_add(1);
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_a_minute_that_says_how_many_there_were() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let said: Vec<_> =
            (0..180_000).filter_map(|ms| seldom.happened_at(start + Duration::from_millis(ms))).collect();
        assert_eq!(said, [1, 60_000, 60_000]);
    }
}
