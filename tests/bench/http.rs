//! A tool that does nothing, over HTTP: in a plugin, and as native Rust in the same process.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde_json::Map;
use stockade_runtime::{CallError, Caller, Invocation, ToolInfo, ToolOutput};
use stockade_server::{AlwaysReady, Tools, serve};
use stockade_tests::TestApp;
use tokio::sync::watch;

use crate::{
    client,
    rounds::{median, median_of, us},
    table::Line,
};

const ROUNDS: usize = 7;

struct Native {
    info: Arc<ToolInfo>,
    changes: watch::Sender<u64>,
}

impl Native {
    fn new(info: Arc<ToolInfo>) -> Self {
        Self { info, changes: watch::Sender::new(0) }
    }
}

impl Tools for Native {
    fn tools(&self, _: &Caller) -> Vec<Arc<ToolInfo>> {
        vec![Arc::clone(&self.info)]
    }

    fn tool(&self, _: &Caller, name: &str) -> Option<Arc<ToolInfo>> {
        (name == self.info.name).then(|| Arc::clone(&self.info))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn call(&self, _: Invocation) -> BoxFuture<'_, Result<ToolOutput, CallError>> {
        Box::pin(async { Ok(ToolOutput { structured: Map::new(), text: None }) })
    }
}

pub(crate) async fn measure(app: &TestApp) -> Vec<Line> {
    eprintln!("a tool that does nothing, over HTTP");
    let plugin = app.address();
    let caller = app.caller("head-office");
    let info = app.app().runtime().tool(&caller, "noop").expect("the plugin noop");
    let (config, callers) = app.http_configuration();
    let native = serve(&config, callers, Arc::new(Native::new(info)), Arc::new(AlwaysReady)).await.expect("a server");
    let token = app.token("head-office");

    let mut lines = Vec::new();
    for (clients, calls) in [(1, 2_000), (32, 400)] {
        let mut p50 = (Vec::new(), Vec::new(), Vec::new());
        let mut cpu = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let ours = loaded(plugin, &token, clients, calls).await;
            let theirs = loaded(native.local_addr(), &token, clients, calls).await;
            if round > 0 {
                p50.2.push(ours.0.as_secs_f64() / theirs.0.as_secs_f64());
                cpu.2.push(ours.1.as_secs_f64() / theirs.1.as_secs_f64());
                p50.0.push(ours.0);
                p50.1.push(theirs.0);
                cpu.0.push(ours.1);
                cpu.1.push(theirs.1);
            }
        }
        let who = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        let mut line = |figure: &str, measured: (Vec<Duration>, Vec<Duration>, Vec<f64>), bar| {
            lines.push(Line {
                what: format!("no-op tool in a plugin over HTTP, {who}, {figure}"),
                against: "the same tool as native Rust in the same process".into(),
                measured: format!("{} : {}", us(median(measured.0)), us(median(measured.1))),
                ratio: Some(median_of(measured.2)),
                bar,
            });
        };
        line("p50", p50, (clients == 1).then_some(1.20));
        line("CPU a call", cpu, Some(1.5));
    }
    native.shutdown().await;
    lines
}

/// The median time of a call, and what a call cost this process.
async fn loaded(address: std::net::SocketAddr, token: &str, clients: usize, calls: usize) -> (Duration, Duration) {
    let before = cpu_time();
    let load = client::run(address, token, clients, calls).await;
    let cost = cpu_time().saturating_sub(before);
    (load.p50, cost / u32::try_from(load.calls).expect("a few calls"))
}

/// User and system time of this process, all threads.
fn cpu_time() -> Duration {
    // proc_pid_schedstat counts one thread in nanoseconds; the sum over the threads is the process.
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let ns = |task: std::io::Result<std::fs::DirEntry>| -> u64 {
        let text = std::fs::read_to_string(task.expect("a task").path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.map(ns).sum())
}
