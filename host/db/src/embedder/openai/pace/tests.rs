use super::*;

/// A text a second, and a clock of its own.
struct Clock(Pace, Instant);

impl Clock {
    fn new() -> Self {
        Self(Pace::new(60), Instant::now())
    }

    fn at(&self, s: u64) -> Instant {
        self.1 + Duration::from_secs(s)
    }

    /// For how many seconds texts wait that are asked for then; none where that goes beyond the patience.
    fn wait(&self, s: u64, texts: usize, patience_s: u64) -> Option<u64> {
        let turns = self.0.turns_from(self.at(s), &[texts], self.at(s + patience_s))?;
        let wait = turns[0].at.duration_since(self.at(s)).as_secs();
        turns.into_iter().for_each(|mut turn| turn.taken = true);
        Some(wait)
    }
}

#[test]
fn a_minutes_texts_go_at_once_and_the_next_when_they_are_due() {
    let clock = Clock::new();
    assert_eq!(clock.wait(0, 60, 0), Some(0));
    assert_eq!(clock.wait(0, 5, 100), Some(5));
    assert_eq!(clock.wait(5, 1, 100), Some(1));
    assert_eq!(clock.wait(200, 60, 0), Some(0), "what nobody took is not saved up beyond a minute");
    assert_eq!(clock.wait(200, 60, 100), Some(60));
}

#[test]
fn whoever_cannot_wait_for_a_turn_takes_none() {
    let clock = Clock::new();
    assert_eq!(clock.wait(0, 60, 0), Some(0));
    for _ in 0..1_000 {
        assert_eq!(clock.wait(0, 10, 9), None);
    }
    // The first batch would be in time, the second would not: neither is taken.
    assert!(clock.0.turns_from(clock.at(0), &[5, 5], clock.at(9)).is_none());
    assert_eq!(clock.wait(0, 9, 9), Some(9));
}

#[test]
fn a_turn_that_is_not_taken_is_the_next_ones() {
    let clock = Clock::new();
    assert_eq!(clock.wait(0, 60, 0), Some(0));
    let mut turns = clock.0.turns_from(clock.at(0), &[10, 10], clock.at(100)).unwrap();
    assert_eq!(clock.wait(0, 1, 100), Some(21));
    for turn in &mut turns {
        turn.give_back(clock.at(5));
        turn.taken = true;
    }
    assert_eq!(clock.wait(0, 1, 100), Some(2));
}
