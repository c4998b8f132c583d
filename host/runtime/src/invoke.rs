//! One call, from its arguments to its result.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use stockade_db::{CacheScope, Inner, SessionLimits, TenantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{PoolConcurrencyLimitError, Trap, component::ResourceTableError};

use crate::{
    bindings::{exports::stockade::plugin::tools::Output, stockade::plugin::types::Error},
    call::{Invocation, ToolOutput},
    cpu::{Clock, Cpu},
    error::{CallError, StopKind},
    interfaces::convert::{UNAVAILABLE, UNEXPECTED},
    limits::Limits,
    plugin::{LoadedTool, Plugin},
    ready::Instance,
    recycle::{Recycler, Spent},
    report::{CallReport, Used},
    runtime::Runtime,
    state::{Call, CallState, ProgressReports, Stop},
};

const INNER_CHARS_MAX: usize = 2_000;
const CODE_CHARS_MAX: usize = 64;
/// How wasmtime's errors end for too many bytes handed to one host function, and for too many handles of
/// the guest's own. Their types are wasmtime's secret. The words name a limit in the log, and decide nothing.
const WASMTIME_LIMITS: [(&str, &str); 2] =
    [("fuel allocated for hostcalls has been exhausted", "memory_mib"), ("store handle limit exceeded", "handles")];
/// A result of more bytes is read and checked in the background.
const OUTPUT_BYTES_HERE_MAX: usize = 64 << 10;
/// How long a call waits while its plugin has as many as it takes. It keeps its place in the server meanwhile, which
/// calls of other plugins could have: one that is slow must not make them wait for as long as it may take itself.
const PLUGIN_WAIT_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn invoke(
    runtime: &Runtime,
    plugin: &Arc<Plugin>,
    tool: &Arc<LoadedTool>,
    mut invocation: Invocation,
) -> Result<ToolOutput, CallError> {
    invocation.report.found(&plugin.identity);
    let deadline = tokio::time::Instant::now() + tool.limits.deadline();
    let stop_at = deadline + Limits::GRACE;
    let cpu = Arc::new(Cpu::default());
    let tenant = invocation.caller.identity.tenant.clone();
    let arguments = Value::Object(std::mem::take(&mut invocation.arguments));
    let arguments = check_arguments(runtime, tool, arguments, &tenant, &cpu, deadline).await?;

    let patience = deadline.min(tokio::time::Instant::now() + PLUGIN_WAIT_MAX);
    let of_plugin = place(&plugin.calls, 1, patience, "concurrent_calls").await?;
    let of_all = place(&runtime.instances, plugin.instances.places(), deadline, "instances_max").await?;
    let report = invocation.report.clone();
    let running = Running {
        instance: None,
        plugin: Arc::clone(plugin),
        tenant: tenant.clone(),
        recycler: Arc::clone(&runtime.recycler),
        cpu: Arc::clone(&cpu),
        report,
        places: Some((of_plugin, of_all)),
    };
    let call = call(runtime, plugin, tool, invocation, deadline);
    let work = running.serve(call, Arc::clone(tool), arguments, stop_at);
    let carried = runtime.background.carry(tenant.as_str(), Arc::clone(&cpu), work);
    match tokio::time::timeout_at(stop_at + Limits::GRACE, carried).await {
        Ok(outcome) => outcome,
        // In the background a call that nobody gives a turn does not notice the end of its time.
        Err(_) => Err(out_of_time(&cpu)),
    }
}

/// The arguments as text, if they satisfy the tool's schema. What takes long to check is checked in the background.
async fn check_arguments(
    runtime: &Runtime,
    tool: &Arc<LoadedTool>,
    arguments: Value,
    tenant: &TenantId,
    cpu: &Arc<Cpu>,
    deadline: tokio::time::Instant,
) -> Result<String, CallError> {
    let text = arguments.to_string();
    if !tool.input.is_long_for(text.len()) {
        let checked = cpu.run(Clock::Wall, || tool.input.check(&arguments));
        return checked.map(|()| text).map_err(CallError::InvalidArguments);
    }
    cpu.set_long();
    let tool = Arc::clone(tool);
    let check = async move { tool.input.check(&arguments).map_err(CallError::InvalidArguments) };
    let checked = runtime.background.spawn(tenant.as_str(), Arc::clone(cpu), Box::pin(check));
    tokio::time::timeout_at(deadline, checked).await.map_err(|_| timeout())??;
    Ok(text)
}

/// The time of a call is over that is not at work at this moment: its guest waits for the host, or for a turn.
fn out_of_time(cpu: &Cpu) -> CallError {
    if cpu.computes() { stopped(&Stop::Limit("deadline_ms").into()) } else { timeout() }
}

fn timeout() -> CallError {
    CallError::QueryTimeout { code: "CALL_DEADLINE".into() }
}

async fn place(
    places: &Arc<Semaphore>,
    count: u32,
    deadline: tokio::time::Instant,
    limit: &'static str,
) -> Result<OwnedSemaphorePermit, CallError> {
    // Most of the time there is a place, and no timer is needed.
    if let Ok(permit) = Arc::clone(places).try_acquire_many_owned(count) {
        return Ok(permit);
    }
    match tokio::time::timeout_at(deadline, Arc::clone(places).acquire_many_owned(count)).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_closed)) => Err(CallError::Unexpected { inner: Inner::new("the host is shutting down") }),
        Err(_) => Err(CallError::Busy { limit }),
    }
}

fn call(
    runtime: &Runtime,
    plugin: &Plugin,
    tool: &LoadedTool,
    invocation: Invocation,
    deadline: tokio::time::Instant,
) -> Call {
    let (limits, ttl_s) = (&tool.limits, tool.cache_ttl_s);
    let session = runtime.database.session(
        invocation.caller.identity.clone(),
        SessionLimits {
            rows_max: limits.rows_max,
            bytes_max: limits.bytes_max,
            deadline,
            sql: Arc::clone(&plugin.identity.sql),
            collections: Arc::clone(&plugin.identity.collections),
            cache: CacheScope { plugin_digest: plugin.identity.digest, ttl_s },
        },
    );
    let session = Arc::new(session.for_call(&invocation.tool, &invocation.request_id));
    invocation.report.started(&session);
    let report = invocation.report;
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Call {
        plugin: Arc::clone(&plugin.identity),
        caller: invocation.caller,
        request_id: invocation.request_id,
        database: runtime.database.clone(),
        session,
        cache: runtime.cache.clone(),
        began_us: i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX),
        deadline,
        limits: *limits,
        log_lines: 0,
        cursor_open: false,
        unavailable: false,
        failed: false,
        late: false,
        progress: invocation.progress.map(|sender| ProgressReports { sender, last: None }),
        report,
        log_rate: Arc::clone(&plugin.log_rate),
    }
}

/// An instance with a call. However the call ends, the instance is not used again.
struct Running {
    instance: Option<Instance>,
    plugin: Arc<Plugin>,
    tenant: TenantId,
    recycler: Arc<Recycler>,
    cpu: Arc<Cpu>,
    report: CallReport,
    /// Of the plugin's calls, given back when the call is over; of the pool, when the instance is gone.
    places: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Running {
    async fn serve(
        mut self,
        call: Call,
        tool: Arc<LoadedTool>,
        arguments: String,
        stop_at: tokio::time::Instant,
    ) -> Result<ToolOutput, CallError> {
        self.begin(call, stop_at.into_std()).await.map_err(|e| stopped(&e))?;
        let outcome = tokio::time::timeout_at(stop_at, self.run(&tool.info.name, &arguments)).await;
        self.finish();
        let outcome = outcome.map_err(|_| out_of_time(&self.cpu));
        // What is left is the host's.
        self.cpu.set_computes(false);
        let output = outcome??;
        let bytes = check_size(&output, &tool.limits)?;
        if bytes > OUTPUT_BYTES_HERE_MAX || tool.output.is_long_for(bytes) {
            self.cpu.set_long();
            tokio::task::yield_now().await;
        }
        check_output(output, &tool)
    }

    async fn begin(&mut self, call: Call, stop_at: Instant) -> wasmtime::Result<()> {
        let mut instance = self.plugin.instances.take(&self.cpu).await?;
        instance.set_limits(&call.limits)?;
        instance.store.data_mut().begin(call, stop_at, Arc::clone(&self.cpu));
        // The epoch went on while the instance waited; without this its first act would be to tick.
        instance.store.set_epoch_deadline(1);
        self.instance = Some(instance);
        Ok(())
    }

    async fn run(&mut self, tool: &str, arguments: &str) -> Result<Output, CallError> {
        let Some(Instance { store, bindings, .. }) = &mut self.instance else {
            return Err(CallError::Unexpected { inner: Inner::new("the instance is gone") });
        };
        let returned = bindings.stockade_plugin_tools().call_call(&mut *store, tool, arguments).await;
        let told = store.data().call().map(|call| (call.unavailable, call.failed)).unwrap_or_default();
        returned.map_err(|trap| stopped(&trap))?.map_err(|error| refused(error, told))
    }

    /// What is left to say in the log.
    fn finish(&mut self) {
        let Some(Instance { store, .. }) = &mut self.instance else { return };
        let output = store.data().wasi.take_output();
        for line in output.lines() {
            if let Some(call) = store.data_mut().call_mut() {
                call.log(crate::bindings::stockade::plugin::log::Level::Info, line);
            }
        }
        if let Some(call) = store.data().call() {
            call.log_what_was_dropped();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (instance, places) = (self.instance.take(), self.places.take());
        let call = instance.as_ref().and_then(|instance| instance.store.data().call());
        let database = call.map(|call| call.session.usage()).unwrap_or_default();
        let state = instance.as_ref().map(|instance| instance.store.data());
        self.report.ended(Used {
            cpu: self.cpu.used() + instance.as_ref().map(|instance| instance.ahead).unwrap_or_default(),
            host_calls: state.map_or(0, CallState::host_calls),
            memory_bytes: state.map_or(0, |state| state.limiter.memory_bytes()),
            rows: database.rows,
            bytes: database.bytes,
        });
        let (of_plugin, places) = places.unzip();
        drop(of_plugin);
        let (plugin, tenant) = (Arc::clone(&self.plugin), self.tenant.clone());
        self.recycler.take(Spent { plugin, tenant, instance, places, long: self.cpu.is_long() });
    }
}

fn check_size(output: &Output, limits: &Limits) -> Result<usize, CallError> {
    let bytes = output.structured.len() + output.text.as_ref().map_or(0, String::len);
    if bytes <= limits.output_bytes_max as usize {
        return Ok(bytes);
    }
    let inner = Inner::new(format!("limit `output_bytes_max` reached: the result has {bytes} bytes"));
    Err(CallError::Stopped { kind: StopKind::Limit("output_bytes_max"), inner })
}

fn check_output(output: Output, tool: &LoadedTool) -> Result<ToolOutput, CallError> {
    let broken = |inner: String| CallError::Stopped { kind: StopKind::Result, inner: Inner::new(clip(&inner)) };
    let structured: Value = serde_json::from_str(&output.structured)
        .map_err(|e| broken(format!("its structured result is not JSON: {e}")))?;
    tool.output.check(&structured).map_err(|e| broken(format!("its result breaks its own schema: {e}")))?;
    match structured {
        Value::Object(structured) => Ok(ToolOutput { structured, text: output.text }),
        _ => Err(broken("its structured result is not an object".into())),
    }
}

/// The tool's own error. It is bounded like a line of the log: an error is no way around `output_bytes_max`.
///
/// Where the host told it that something was unavailable, or that it had failed, and the tool says the same, the
/// host is to blame; else it is the tool, whatever it says.
fn refused(error: Error, (unavailable, failed): (bool, bool)) -> CallError {
    let code = |code: &str| code.chars().filter(|c| !c.is_control()).take(CODE_CHARS_MAX).collect();
    match error {
        Error::Validation(f) => CallError::Validation { code: code(&f.code), message: clip(&f.message) },
        Error::Authorization(f) => {
            CallError::Authorization { code: code(&f.code), inner: Inner::new(clip(&f.message)) }
        }
        Error::Database(f) => CallError::Database { sqlstate: code(&f.sqlstate), message: clip(&f.message) },
        Error::QueryTimeout(f) => CallError::QueryTimeout { code: code(&f.code) },
        Error::Unexpected(f) if unavailable && f.code == UNAVAILABLE => CallError::Unavailable,
        Error::Unexpected(f) if failed && f.code == UNEXPECTED => CallError::Unexpected {
            inner: Inner::new("the tool passed the host's error on; the line before says which"),
        },
        Error::Unexpected(f) => CallError::Failed { code: code(&f.code), inner: Inner::new(clip(&f.message)) },
    }
}

fn stopped(trap: &wasmtime::Error) -> CallError {
    if trap.is::<PoolConcurrencyLimitError>() {
        // Places are counted before a call begins, so this is the host's mistake and no plugin's.
        return CallError::Busy { limit: "instances_max" };
    }
    if let Some(Stop::Late) = trap.downcast_ref() {
        return timeout();
    }
    let text = format!("{trap:#}");
    let wasmtimes = WASMTIME_LIMITS.iter().find(|(end, _)| text.ends_with(end)).map(|(_, limit)| *limit);
    let kind = match (trap.downcast_ref(), trap.downcast_ref(), trap.downcast_ref(), wasmtimes) {
        (Some(Stop::Limit(limit)), ..) => StopKind::Limit(limit),
        (_, Some(Trap::StackOverflow), ..) => StopKind::Limit("stack_kib"),
        (_, Some(Trap::OutOfFuel), ..) => StopKind::Limit("fuel"),
        (_, _, Some(ResourceTableError::Full), _) => StopKind::Limit("handles"),
        (.., Some(limit)) => StopKind::Limit(limit),
        (_, Some(trap), ..) => StopKind::Trap(kind_of(trap)),
        // It broke the contract: a forged handle, a second cursor, a text that is no UTF-8.
        _ => StopKind::Trap("contract"),
    };
    let named = match kind {
        StopKind::Limit(limit) if !trap.is::<Stop>() => format!("limit `{limit}` reached: "),
        _ => String::new(),
    };
    CallError::Stopped { kind, inner: Inner::new(clip(&format!("{named}{text}"))) }
}

fn kind_of(trap: &Trap) -> &'static str {
    match trap {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => "memory",
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => "table",
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => "arithmetic",
        _ => "other",
    }
}

/// Bounded, and without the control characters that a guest's words may hold.
fn clip(text: &str) -> String {
    text.chars().take(INNER_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::stockade::plugin::types::Failure;

    #[test]
    fn the_host_is_to_blame_for_what_it_told_the_tool_alone() {
        let says = |code: &str| Error::Unexpected(Failure { code: code.into(), message: "r-1".into() });
        assert!(matches!(refused(says(UNAVAILABLE), (true, false)), CallError::Unavailable));
        assert!(matches!(refused(says(UNEXPECTED), (false, true)), CallError::Unexpected { .. }));
        for (code, told) in [
            (UNAVAILABLE, (false, true)),
            (UNEXPECTED, (true, false)),
            ("PANICKED", (true, true)),
            (UNAVAILABLE, (false, false)),
        ] {
            assert!(matches!(refused(says(code), told), CallError::Failed { .. }), "{code} {told:?}");
        }
    }
}
