//! What a store holds: one instance's limits, and the one call that it serves.

use std::{sync::Arc, time::Instant};

use stockade_db::{Database, Session};
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::{
    cache::PluginCache,
    call::{Caller, Progress},
    interfaces::wasi::EmptyWasi,
    limits::Limits,
    plugin::PluginIdentity,
};

/// Why the host stopped a guest. The text names the limit, for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("limit `{0}` reached")]
    Limit(&'static str),
    #[error("it called the host before it was given a call")]
    NoCall,
    #[error("it has a cursor open already; close it before it opens another")]
    CursorOpen,
}

/// Handles of host resources that an instance may hold at once: cursors, and what WASI gives.
const RESOURCES_MAX: usize = 1_000;

/// The data of a store.
pub(crate) struct CallState {
    pub(crate) limiter: Limiter,
    pub(crate) resources: ResourceTable,
    /// When the guest is stopped, wherever it is.
    pub(crate) stop_at: Instant,
    pub(crate) wasi: EmptyWasi,
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
    pub(crate) host_calls: u32,
    pub(crate) log_lines: u32,
    pub(crate) cursor_open: bool,
    pub(crate) progress: Option<ProgressReports>,
}

pub(crate) struct ProgressReports {
    pub(crate) sender: tokio::sync::mpsc::Sender<Progress>,
    pub(crate) last: Option<(Instant, f64)>,
}

impl CallState {
    pub(crate) fn new(limits: &Limits, stop_at: Instant) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES_MAX);
        Self {
            limiter: Limiter { memory_left: limits.memory_bytes(), table_left: limits.table_elements as usize },
            resources,
            stop_at,
            wasi: EmptyWasi::default(),
            call: None,
        }
    }

    /// Give the instance its call. It gets one.
    pub(crate) fn begin(&mut self, call: Call, stop_at: Instant) {
        debug_assert!(self.call.is_none(), "an instance serves one call");
        self.stop_at = stop_at;
        self.call = Some(call);
    }

    /// The call, and one host call of its budget.
    pub(crate) fn enter(&mut self) -> wasmtime::Result<&mut Call> {
        let call = self.call.as_mut().ok_or(Stop::NoCall)?;
        call.host_calls += 1;
        if call.host_calls > call.limits.host_calls {
            return Err(Stop::Limit("host_calls").into());
        }
        Ok(call)
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
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.context(), table: &mut self.resources }
    }
}

/// Counts down what is left of an instance's memory and tables, all of them together. Running out
/// is a trap and not a failed `memory.grow`, so that the log can name the limit.
pub(crate) struct Limiter {
    memory_left: usize,
    table_left: usize,
}

fn take(left: &mut usize, current: usize, desired: usize, limit: &'static str) -> wasmtime::Result<bool> {
    match left.checked_sub(desired.saturating_sub(current)) {
        Some(rest) => {
            *left = rest;
            Ok(true)
        }
        None => Err(Stop::Limit(limit).into()),
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        take(&mut self.memory_left, current, desired, "memory_mib")
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        take(&mut self.table_left, current, desired, "table_elements")
    }
}
