//! Tools that do what a test needs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use stockade_db::Inner;
use stockade_runtime::{CallError, Caller, Invocation, Progress, StopKind, ToolInfo, ToolOutput, Used};
use stockade_server::Tools;
use tokio::sync::{Semaphore, watch};

pub(crate) struct StubTools {
    version: watch::Sender<u64>,
    further: AtomicBool,
    /// A permit for each call of `wait` that has begun, that may end, and that was dropped.
    pub(crate) begun: Semaphore,
    pub(crate) may_end: Semaphore,
    pub(crate) dropped: Semaphore,
}

impl StubTools {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            version: watch::channel(0).0,
            further: AtomicBool::new(false),
            begun: Semaphore::new(0),
            may_end: Semaphore::new(0),
            dropped: Semaphore::new(0),
        })
    }

    /// Adds the tool `further` to the list.
    pub(crate) fn add_further(&self) {
        self.further.store(true, Ordering::SeqCst);
        self.version.send_modify(|version| *version += 1);
    }

    /// Says that the list has changed, though it has not.
    pub(crate) fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["echo", "fail", "report", "wait", "who"];
        names.extend(self.further.load(Ordering::SeqCst).then_some("further"));
        names
    }

    async fn run(&self, invocation: Invocation) -> Result<ToolOutput, CallError> {
        let Invocation { caller, tool, arguments, request_id, progress, report, .. } = invocation;
        let structured = match tool.as_str() {
            "echo" => {
                drop(progress);
                let number = |key| arguments.get(key).and_then(Value::as_u64).unwrap_or(0);
                let (rows, cpu) = (number("rows"), Duration::from_millis(number("cpu_ms")));
                report.ended(Used { rows, cpu, ..Used::default() });
                tokio::task::yield_now().await;
                arguments
            }
            "who" => object(json!({ "name": caller.display_name, "request_id": request_id })),
            "fail" => return Err(failure(arguments.get("with").and_then(Value::as_str).unwrap_or_default())),
            "report" => {
                let progress = progress.expect("the client asked for progress");
                for done in [1.0, 2.0, 2.0, f64::NAN, 3.0] {
                    let report = Progress { done, total: Some(3.0), message: Some(format!("step {done}")) };
                    progress.send(report).await.expect("somebody listens");
                }
                Map::new()
            }
            "wait" => {
                let guard = Dropped(&self.dropped);
                self.begun.add_permits(1);
                self.may_end.acquire().await.expect("open").forget();
                std::mem::forget(guard);
                Map::new()
            }
            _ => return Err(CallError::UnknownTool),
        };
        Ok(ToolOutput { structured, text: None })
    }
}

struct Dropped<'a>(&'a Semaphore);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// Waits for `count` permits; a test that would wait for ever fails instead.
pub(crate) async fn wait_for(what: &Semaphore, count: u32) {
    let permits = tokio::time::timeout(Duration::from_secs(10), what.acquire_many(count));
    permits.await.expect("it happens within 10 s").expect("open").forget();
}

pub(crate) const SECRET: &str = "secret-inner-text";

fn failure(with: &str) -> CallError {
    match with {
        "validation" => CallError::Validation { code: "NO_SUCH_STORE".into(), message: "no such store".into() },
        "authorization" => CallError::Authorization { code: "TABLE_NOT_GRANTED".into(), inner: Inner::new(SECRET) },
        "stopped" => CallError::Stopped { kind: StopKind::Trap("unreachable"), inner: Inner::new(SECRET) },
        "limit" => CallError::Stopped { kind: StopKind::Limit("fuel"), inner: Inner::new(SECRET) },
        "panic" => panic!("{SECRET}"),
        _ => CallError::Unexpected { inner: Inner::new(SECRET) },
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn info(name: &str) -> Arc<ToolInfo> {
    let schema = Arc::new(object(json!({ "type": "object" })));
    Arc::new(ToolInfo {
        name: name.into(),
        title: format!("Title of {name}"),
        description: format!("What {name} does"),
        input_schema: Arc::clone(&schema),
        output_schema: schema,
        plugin: if name == "report" { "reports".into() } else { "stub".into() },
    })
}

impl Tools for StubTools {
    fn tools(&self, _caller: &Caller) -> Vec<Arc<ToolInfo>> {
        self.names().into_iter().map(info).collect()
    }

    fn tool(&self, _caller: &Caller, name: &str) -> Option<Arc<ToolInfo>> {
        self.names().contains(&name).then(|| info(name))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn call(&self, invocation: Invocation) -> BoxFuture<'_, Result<ToolOutput, CallError>> {
        Box::pin(self.run(invocation))
    }
}
