//! How many lines a plugin writes into the log, all of its calls together.
//!
//! A call has a limit of its own, `log_lines_max`; a thousand calls a second would still fill a disk.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many seconds' worth may come at once.
const BURST_S: f64 = 10.0;

/// A bucket that fills with time and from which each line takes one.
pub(crate) struct LineRate {
    per_s: f64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    lines: f64,
    filled: Instant,
    dropped: u64,
}

/// Whether a line may be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes; so many before it were dropped, which nobody has been told yet.
    Write {
        /// How many.
        dropped: u64,
    },
    /// No.
    Drop,
}

impl LineRate {
    pub(crate) fn new(per_s: u32) -> Self {
        let per_s = f64::from(per_s);
        Self { per_s, bucket: Mutex::new(Bucket { lines: per_s * BURST_S, filled: Instant::now(), dropped: 0 }) }
    }

    /// Take one line out of what the plugin may write now.
    pub(crate) fn take(&self, now: Instant) -> Verdict {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since: Duration = now.saturating_duration_since(bucket.filled);
        bucket.lines = (bucket.lines + since.as_secs_f64() * self.per_s).min(self.per_s * BURST_S);
        bucket.filled = now.max(bucket.filled);
        if bucket.lines < 1.0 {
            bucket.dropped = bucket.dropped.saturating_add(1);
            return Verdict::Drop;
        }
        bucket.lines -= 1.0;
        Verdict::Write { dropped: std::mem::take(&mut bucket.dropped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_and_what_was_dropped_is_said_once() {
        let (rate, start) = (LineRate::new(2), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let written = (0..50).filter(|_| rate.take(at(0)) == Verdict::Write { dropped: 0 }).count();
        assert_eq!(written, 20, "ten seconds' worth");
        assert_eq!(rate.take(at(400)), Verdict::Drop);
        assert_eq!(rate.take(at(600)), Verdict::Write { dropped: 31 });
        assert_eq!(rate.take(at(600)), Verdict::Drop);
        assert_eq!(rate.take(at(1100)), Verdict::Write { dropped: 1 });
        let later = (0..50).filter(|_| rate.take(at(3_600_000)) != Verdict::Drop).count();
        assert_eq!(later, 20, "what was not written is not saved up");
    }
}
