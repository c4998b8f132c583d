//! How long a call has computed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// By which clock a call's time on a thread is measured.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// Cheap, and exact enough for the few milliseconds that a call may have of a worker.
    Wall,
    /// Of the thread: in the background a call is preempted for as long as others have work.
    Thread,
}

impl Clock {
    fn now(self) -> Duration {
        let now = clock_gettime(match self {
            Self::Wall => ClockId::Monotonic,
            Self::Thread => ClockId::ThreadCPUTime,
        });
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    }
}

/// The processor time of one call. Waiting for the host is free.
#[derive(Default)]
pub(crate) struct Cpu {
    spent: Mutex<Spent>,
    long: AtomicBool,
    computes: AtomicBool,
}

#[derive(Default)]
struct Spent {
    before: Duration,
    /// While it is on a thread: by which clock, and since when.
    since: Option<(Clock, Duration)>,
}

impl Cpu {
    /// Run a part of the call on this thread.
    pub(crate) fn run<T>(&self, clock: Clock, work: impl FnOnce() -> T) -> T {
        self.spent().since = Some((clock, clock.now()));
        let out = work();
        let mut spent = self.spent();
        spent.before = spent.total();
        spent.since = None;
        out
    }

    /// What it has spent so far. Exact only on the thread that runs it.
    pub(crate) fn used(&self) -> Duration {
        self.spent().total()
    }

    /// It computes for longer than a worker of the server can spare: see [`crate::background`].
    pub(crate) fn set_long(&self) {
        self.long.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_long(&self) -> bool {
        self.long.load(Ordering::Relaxed)
    }

    /// Whether the guest was last seen to compute, or to call the host.
    pub(crate) fn set_computes(&self, computes: bool) {
        self.computes.store(computes, Ordering::Relaxed);
    }

    pub(crate) fn computes(&self) -> bool {
        self.computes.load(Ordering::Relaxed)
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    fn total(&self) -> Duration {
        let running = self.since.map_or(Duration::ZERO, |(clock, since)| clock.now().saturating_sub(since));
        self.before + running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_counted_and_what_waits_is_not() {
        let cpu = Cpu::default();
        let spin = || {
            let since = std::time::Instant::now();
            while since.elapsed() < Duration::from_millis(5) {}
            cpu.used()
        };
        let inside = cpu.run(Clock::Wall, spin);
        assert!(inside >= Duration::from_millis(5), "{inside:?}");
        let after = cpu.used();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(cpu.used(), after);
        cpu.run(Clock::Thread, || std::thread::sleep(Duration::from_millis(20)));
        assert!(cpu.used() - after < Duration::from_millis(20), "a thread that sleeps spends nothing");
    }
}
