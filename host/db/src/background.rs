//! Threads for what computes long.
//!
//! They have the lowest priority: the system runs them when nobody else has work. On a machine with several processors
//! each kind of them leaves one free. Priorities count within a control group alone, and a database server on the same
//! machine has groups of its own (each of its processes, by Linux's `sched_autogroup`): with such threads on all
//! processors its statements were seen to wait for seconds.
use std::num::NonZero;
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Of each thread.
const STACK_BYTES: usize = 8 << 20;

/// How many of one kind there are: one fewer than this process has processors, and at least one.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1)
}

/// As many threads of that name as [`threads`] says.
///
/// # Errors
/// The system has no more threads.
pub fn pool(name: &'static str) -> Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new()
        .num_threads(threads())
        .thread_name(move |_| name.into())
        // A thread that waits for a part of its work may begin another's on top of it.
        .stack_size(STACK_BYTES)
        .start_handler(|_| step_back())
        // Who waits for what panicked finds its channel closed.
        .panic_handler(drop)
        .build()
}

/// Give this thread, and those that it starts, the lowest priority.
pub fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
            tracing::warn!(?error, "what computes long cannot be given a lower priority");
        }
    }
}
