//! One call, from its arguments to its result.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use serde_json::Value;
use stockade_db::{Session, SessionLimits};

use crate::{
    bindings::{exports::stockade::plugin::tools::Output, stockade::plugin::types::Error},
    call::{CallUsage, Invocation, ToolOutput},
    error::CallError,
    limits::Limits,
    plugin::{LoadedTool, Plugin},
    ready::Instance,
    runtime::Runtime,
    state::{Call, ProgressReports},
};

const INNER_CHARS_MAX: usize = 2_000;
const CODE_CHARS_MAX: usize = 64;

pub(crate) async fn invoke(
    runtime: &Runtime,
    plugin: &Arc<Plugin>,
    tool: &LoadedTool,
    mut invocation: Invocation,
) -> Result<ToolOutput, CallError> {
    let arguments = Value::Object(std::mem::take(&mut invocation.arguments));
    tool.input.check(&arguments).map_err(CallError::InvalidArguments)?;

    let limits = &plugin.limits;
    let deadline = tokio::time::Instant::now() + limits.deadline();
    let timeout = |code: &str| CallError::QueryTimeout { code: code.into() };
    let _place = match tokio::time::timeout_at(deadline, runtime.calls.acquire()).await {
        Ok(Ok(place)) => place,
        Ok(Err(_closed)) => return Err(CallError::Unexpected { inner: "the host is shutting down".into() }),
        Err(_) => return Err(timeout("CALLS_MAX")),
    };
    let stop_at = deadline + Limits::GRACE;
    let mut running = Running::start(plugin, runtime, invocation, deadline, stop_at.into_std()).await?;
    let outcome = tokio::time::timeout_at(stop_at, running.run(&tool.info.name, &arguments.to_string())).await;
    running.finish();
    let output = outcome.map_err(|_| timeout("CALL_DEADLINE"))??;
    check_output(output, tool, limits)
}

/// An instance with a call. However the call ends, the instance is not used again, and the next one
/// is made behind the reply.
struct Running {
    instance: Option<Instance>,
    plugin: Arc<Plugin>,
    session: Arc<Session>,
    usage: Arc<CallUsage>,
}

impl Running {
    async fn start(
        plugin: &Arc<Plugin>,
        runtime: &Runtime,
        invocation: Invocation,
        deadline: tokio::time::Instant,
        stop_at: Instant,
    ) -> Result<Self, CallError> {
        let mut instance = plugin.instances.take().await.map_err(|e| stopped(&e))?;
        let limits = plugin.limits;
        let session = Arc::new(runtime.database.session(
            invocation.caller.identity.clone(),
            SessionLimits {
                rows_max: limits.rows_max,
                bytes_max: limits.bytes_max,
                deadline,
                schemas: Arc::clone(&plugin.identity.schemas),
                collections: Arc::clone(&plugin.identity.collections),
            },
        ));
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let call = Call {
            plugin: Arc::clone(&plugin.identity),
            caller: invocation.caller,
            request_id: invocation.request_id,
            database: runtime.database.clone(),
            session: Arc::clone(&session),
            cache: runtime.cache.clone(),
            began_us: i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX),
            deadline,
            limits,
            host_calls: 0,
            log_lines: 0,
            cursor_open: false,
            progress: invocation.progress.map(|sender| ProgressReports { sender, last: None }),
        };
        instance.store.data_mut().begin(call, stop_at);
        // The epoch went on while the instance waited; without this its first act would be to yield.
        instance.store.set_epoch_deadline(1);
        Ok(Self { instance: Some(instance), plugin: Arc::clone(plugin), session, usage: invocation.usage })
    }

    async fn run(&mut self, tool: &str, arguments: &str) -> Result<Output, CallError> {
        let Some(Instance { store, bindings }) = &mut self.instance else {
            return Err(CallError::Unexpected { inner: "the instance is gone".into() });
        };
        let returned = bindings.stockade_plugin_tools().call_call(store, tool, arguments).await;
        returned.map_err(|trap| stopped(&trap))?.map_err(refused)
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
        self.usage.add_rows(self.session.usage().rows);
        let (instance, plugin) = (self.instance.take(), Arc::clone(&self.plugin));
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            tokio.spawn(async move {
                drop(instance);
                plugin.instances.top_up().await;
            });
        }
    }
}

fn check_output(output: Output, tool: &LoadedTool, limits: &Limits) -> Result<ToolOutput, CallError> {
    let broken = |inner: String| CallError::Stopped { inner };
    let bytes = output.structured.len() + output.text.as_ref().map_or(0, String::len);
    if bytes > limits.output_bytes_max as usize {
        return Err(broken(format!("limit `output_bytes_max` reached: the result has {bytes} bytes")));
    }
    let structured: Value = serde_json::from_str(&output.structured)
        .map_err(|e| broken(format!("its structured result is not JSON: {e}")))?;
    tool.output.check(&structured).map_err(|e| broken(format!("its result breaks its own schema: {e}")))?;
    match structured {
        Value::Object(structured) => Ok(ToolOutput { structured, text: output.text }),
        _ => Err(broken("its structured result is not an object".into())),
    }
}

/// The tool's own error, which may be one that the host gave it. It is bounded like a line of the log:
/// an error is no way around `output_bytes_max`.
fn refused(error: Error) -> CallError {
    let code = |code: &str| code.chars().filter(|c| !c.is_control()).take(CODE_CHARS_MAX).collect();
    match error {
        Error::Validation(f) => CallError::Validation { code: code(&f.code), message: clip(&f.message) },
        Error::Authorization(f) => CallError::Authorization { code: code(&f.code), inner: clip(&f.message) },
        Error::Database(f) => CallError::Database { sqlstate: code(&f.sqlstate), message: clip(&f.message) },
        Error::QueryTimeout(f) => CallError::QueryTimeout { code: code(&f.code) },
        Error::Unexpected(f) => {
            CallError::Unexpected { inner: format!("the tool returned {}: {}", clip(&f.code), clip(&f.message)) }
        }
    }
}

fn stopped(trap: &wasmtime::Error) -> CallError {
    CallError::Stopped { inner: clip(&format!("{trap:#}")) }
}

/// Bounded, and without the control characters that a guest's words may hold.
fn clip(text: &str) -> String {
    text.chars().take(INNER_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
