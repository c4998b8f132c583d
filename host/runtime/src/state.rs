//! What a store holds: one instance's limits, and the one call that it serves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use stockade_db::{Database, Session};
use wasmtime::{ResourceLimiter, UpdateDeadline, component::ResourceTable};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::{
    background::HERE_MAX,
    cache::PluginCache,
    call::{Caller, Progress},
    cpu::Cpu,
    interfaces::wasi::EmptyWasi,
    limits::Limits,
    line_rate::LineRate,
    plugin::PluginIdentity,
    report::CallReport,
};

/// Why the host stopped a guest. The text names the limit, for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("limit `{0}` reached")]
    Limit(&'static str),
    #[error("its time was over before the host answered it")]
    Late,
    #[error("it called the host before it was given a call")]
    NoCall,
    #[error("it has a cursor open already; close it before it opens another")]
    CursorOpen,
}

/// What a call may have computed on a worker of the server at a tick since whose predecessor it has not called the host.
/// A tick that finds less has found a call that waited.
const BURST: Duration = Duration::from_millis(1);

/// The data of a store.
pub(crate) struct CallState {
    pub(crate) limiter: Limiter,
    pub(crate) resources: ResourceTable,
    pub(crate) wasi: EmptyWasi,
    /// When the guest is stopped, wherever it is, and by which limit.
    stop_at: (Instant, &'static str),
    cpu: Arc<Cpu>,
    cpu_max: Duration,
    /// Of the call; before it, of the start functions, which have as many.
    host_calls: u32,
    /// As many as at the last tick.
    host_calls_at_tick: u32,
    host_calls_max: u32,
    /// A limit that was reached where nothing could be stopped; the next tick does.
    reached: Option<&'static str>,
    call: Option<Call>,
}

/// The call that an instance serves.
pub(crate) struct Call {
    pub(crate) plugin: Arc<PluginIdentity>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) request_id: String,
    pub(crate) database: Database,
    pub(crate) session: Arc<Session>,
    pub(crate) cache: PluginCache,
    pub(crate) began_us: i64,
    pub(crate) deadline: tokio::time::Instant,
    pub(crate) limits: Limits,
    pub(crate) log_lines: u32,
    pub(crate) cursor_open: bool,
    /// The guest was told that what the call needs could not be reached.
    pub(crate) unavailable: bool,
    /// The guest was told that the host could not do its part.
    pub(crate) failed: bool,
    /// The guest was told that the time of the call is over.
    pub(crate) late: bool,
    pub(crate) progress: Option<ProgressReports>,
    pub(crate) report: CallReport,
    pub(crate) log_rate: Arc<LineRate>,
}

pub(crate) struct ProgressReports {
    pub(crate) sender: tokio::sync::mpsc::Sender<Progress>,
    pub(crate) last: Option<(Instant, f64)>,
}

impl CallState {
    /// Of an instance that has `start` for its start functions.
    pub(crate) fn new(limits: &Limits, start: Duration, cpu: Arc<Cpu>) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits.handles as usize);
        Self {
            limiter: Limiter::new(limits),
            resources,
            wasi: EmptyWasi::default(),
            stop_at: (Instant::now() + start, "start_ms"),
            cpu,
            cpu_max: start,
            host_calls: 0,
            host_calls_at_tick: 0,
            host_calls_max: limits.host_calls,
            reached: None,
            call: None,
        }
    }

    /// Give the instance its call. It gets one.
    pub(crate) fn begin(&mut self, call: Call, stop_at: Instant, cpu: Arc<Cpu>) {
        debug_assert!(self.call.is_none(), "an instance serves one call");
        self.limiter.set(&call.limits);
        self.resources.set_max_capacity(call.limits.handles as usize);
        self.wasi.set_now(call.began_us);
        self.stop_at = (stop_at, "deadline_ms");
        self.cpu = cpu;
        self.cpu_max = call.limits.cpu();
        (self.host_calls, self.host_calls_at_tick, self.host_calls_max) = (0, 0, call.limits.host_calls);
        self.call = Some(call);
    }

    /// At every tick at which the guest runs: stop it, or let it go on, here or in the background.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let used = self.cpu.used();
        let late = self.call.as_ref().is_some_and(|call| call.late);
        self.cpu.set_computes(!late);
        let (stop_at, limit) = self.stop_at;
        let reached = match self.reached {
            None if Instant::now() >= stop_at => Some(limit),
            None if used >= self.cpu_max => Some("cpu_ms"),
            reached => reached,
        };
        // What calls the host mostly waits for it, and has computed little of `used` itself. What only pretends to is moved
        // a few milliseconds later.
        let alone = std::mem::replace(&mut self.host_calls_at_tick, self.host_calls) == self.host_calls;
        let here_max = if alone { BURST } else { HERE_MAX };
        match reached {
            Some("deadline_ms") if late => Err(Stop::Late.into()),
            Some(limit) => Err(Stop::Limit(limit).into()),
            None if used < here_max => Ok(UpdateDeadline::Continue(1)),
            None => {
                self.cpu.set_long();
                Ok(UpdateDeadline::Yield(1))
            }
        }
    }

    /// The call, and one host call of its budget.
    pub(crate) fn enter(&mut self) -> wasmtime::Result<&mut Call> {
        self.count_host_call()?;
        Ok(self.call.as_mut().ok_or(Stop::NoCall)?)
    }

    fn count_host_call(&mut self) -> Result<(), Stop> {
        self.cpu.set_computes(false);
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > self.host_calls_max { Err(Stop::Limit("host_calls")) } else { Ok(()) }
    }

    /// Calls of host functions that the call has made.
    pub(crate) fn host_calls(&self) -> u32 {
        self.host_calls
    }

    /// The call and the table of resources, and one host call of its budget.
    pub(crate) fn enter_with_resources(&mut self) -> wasmtime::Result<(&mut Call, &mut ResourceTable)> {
        self.enter()?;
        let call = self.call.as_mut().ok_or(Stop::NoCall)?;
        Ok((call, &mut self.resources))
    }

    pub(crate) fn call(&self) -> Option<&Call> {
        self.call.as_ref()
    }

    pub(crate) fn call_mut(&mut self) -> Option<&mut Call> {
        self.call.as_mut()
    }
}

impl WasiView for CallState {
    /// What every function of WASI asks for first. It cannot fail: a guest that has called too often is
    /// stopped at the next tick.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if let Err(Stop::Limit(limit)) = self.count_host_call() {
            self.reached = Some(limit);
        }
        WasiCtxView { ctx: self.wasi.context(), table: &mut self.resources }
    }
}

/// Counts an instance's memory and tables, all of them together. Running out is a trap and not a
/// failed `memory.grow`, so that the log can name the limit.
pub(crate) struct Limiter {
    memory: Taken,
    table: Taken,
}

struct Taken {
    taken: usize,
    max: usize,
    limit: &'static str,
}

impl Taken {
    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        self.taken = self.taken.saturating_add(desired.saturating_sub(current));
        if self.taken > self.max { Err(Stop::Limit(self.limit).into()) } else { Ok(true) }
    }
}

impl Limiter {
    fn new(limits: &Limits) -> Self {
        let none = |limit| Taken { taken: 0, max: 0, limit };
        let mut limiter = Self { memory: none("memory_mib"), table: none("table_elements") };
        limiter.set(limits);
        limiter
    }

    /// Bytes of linear memory, all memories together.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::try_from(self.memory.taken).unwrap_or(u64::MAX)
    }

    /// What the instance has taken already counts. A tool with a smaller limit than that cannot grow.
    fn set(&mut self, limits: &Limits) {
        self.memory.max = limits.memory_bytes();
        self.table.max = limits.table_elements as usize;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory.grow(current, desired)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table.grow(current, desired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cpu::Clock, limits::LimitRequest};

    #[test]
    fn at_a_tick_a_guest_computes_and_at_a_call_it_waits() {
        let limits = LimitRequest::default().resolve(&Default::default()).expect("the defaults");
        let cpu = Arc::new(Cpu::default());
        let mut state = CallState::new(&limits, Duration::from_secs(3_600), Arc::clone(&cpu));
        assert!(!cpu.computes());
        state.tick().expect("it has an hour");
        assert!(cpu.computes());
        state.count_host_call().expect("one of many");
        assert!(!cpu.computes());
    }

    #[test]
    fn a_guest_that_calls_the_host_between_ticks_keeps_its_worker_for_longer() {
        let limits = LimitRequest::default().resolve(&Default::default()).expect("the defaults");
        let cpu = Arc::new(Cpu::default());
        let mut state = CallState::new(&limits, Duration::from_secs(3_600), Arc::clone(&cpu));
        let compute = |until| cpu.run(Clock::Thread, || while cpu.used() < until {});
        let stays = |state: &mut CallState| matches!(state.tick(), Ok(UpdateDeadline::Continue(_)));
        assert!(stays(&mut state), "it has computed nothing");
        compute(BURST);
        state.count_host_call().expect("one of many");
        assert!(stays(&mut state), "it called the host");
        assert!(!cpu.is_long());
        assert!(!stays(&mut state), "it computed from one tick to the next");
        compute(HERE_MAX);
        state.count_host_call().expect("one of many");
        assert!(!stays(&mut state), "with all that the host computed for it");
        assert!(cpu.is_long());
    }
}
