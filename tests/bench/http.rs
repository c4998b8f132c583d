//! A tool that does nothing, over HTTP: in a plugin, and as native Rust in the same process.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Map;
use stockade_runtime::{CallError, Caller, Invocation, ToolInfo, ToolOutput, Used};
use stockade_server::{AlwaysReady, Tools, serve};
use stockade_tests::TestApp;
use tokio::sync::watch;

use crate::{
    client,
    instance::Bare,
    rounds::{median, median_of, us},
    table::Line,
};

/// Many and short: the machine has faster and slower moments, and each round's ratio is of one of them.
const ROUNDS: usize = 31;

/// The tool, in the host's own process.
struct Native {
    info: Arc<ToolInfo>,
    changes: watch::Sender<u64>,
    /// Called too: what wasmtime alone adds.
    bare: Option<Bare>,
}

impl Native {
    fn new(info: &Arc<ToolInfo>, bare: Option<Bare>) -> Arc<Self> {
        Arc::new(Self { info: Arc::clone(info), changes: watch::Sender::new(0), bare })
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

    fn call(&self, invocation: Invocation) -> BoxFuture<'_, Result<ToolOutput, CallError>> {
        Box::pin(async move {
            if let Some(bare) = &self.bare {
                bare.call("noop").await;
            }
            // Charged to its tenant and counted, as every call is.
            invocation.report.ended(Used::default());
            Ok(ToolOutput { structured: Map::new(), text: None })
        })
    }
}

pub(crate) async fn measure(app: &TestApp) -> Vec<Line> {
    eprintln!("a tool that does nothing, over HTTP");
    let plugin = app.address();
    let caller = app.caller("head-office");
    let info = app.app().runtime().tool(&caller, "noop").expect("the plugin noop");
    let native = app.app().serve_tools(Native::new(&info, None)).await.expect("a server");
    let component = std::fs::read(app.plugins().join("noop.wasm")).expect("the plugin noop");
    let floor = app.app().serve_tools(Native::new(&info, Some(Bare::of(&component)))).await.expect("a server");
    let (config, callers) = app.http_configuration();
    let unrecorded = serve(&config, callers, Native::new(&info, None), Arc::new(AlwaysReady)).await.expect("a server");
    let token = app.token("head-office");

    let mut lines = Vec::new();
    for (clients, calls) in [(1, 1_000), (32, 100)] {
        let (mut against_native, mut of_wasmtime, mut added, mut of_audit) =
            <(Compared, Compared, Compared, Compared)>::default();
        for round in 0..=ROUNDS {
            let ours = loaded(plugin, &token, clients, calls).await;
            let theirs = loaded(native.local_addr(), &token, clients, calls).await;
            let bare = loaded(floor.local_addr(), &token, clients, calls).await;
            let unrecorded = loaded(unrecorded.local_addr(), &token, clients, calls).await;
            if round > 0 {
                against_native.add(ours, theirs);
                of_wasmtime.add(bare, theirs);
                added.add(beyond(ours, theirs), beyond(bare, theirs));
                of_audit.add(theirs, unrecorded);
            }
        }
        let who = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        let against = "the same tool as native Rust in the same process";
        let what = format!("no-op tool in a plugin over HTTP, {who}");
        let bars = ((clients == 1).then_some(1.20), Some(1.5));
        lines.extend(against_native.lines(&what, against, bars));
        let what = format!("the floor: bare wasmtime in the plugin's place, {who}");
        lines.extend(of_wasmtime.lines(&what, against, (None, None)));
        let what = format!("what the plugin adds to the native tool, {who}");
        lines.extend(added.lines(&what, "what bare wasmtime adds", (None, None)));
        let what = format!("the native tool, {who}");
        lines.extend(of_audit.lines(&what, "the same without an audit log", (None, None)));
    }
    native.shutdown().await;
    floor.shutdown().await;
    unrecorded.shutdown().await;
    lines
}

/// A call's median time, and its cost to this process.
type Load = (Duration, Duration);

/// What one load takes more than another.
fn beyond(load: Load, other: Load) -> Load {
    (load.0.saturating_sub(other.0), load.1.saturating_sub(other.1))
}

/// Rounds of two servers under the same load.
#[derive(Default)]
struct Compared(Vec<(Load, Load)>);

impl Compared {
    fn add(&mut self, ours: Load, theirs: Load) {
        self.0.push((ours, theirs));
    }

    fn lines(&self, what: &str, against: &str, bars: (Option<f64>, Option<f64>)) -> [Line; 2] {
        let line = |figure: &str, of: fn(&Load) -> Duration, bar| {
            let (ours, theirs): (Vec<_>, Vec<_>) = self.0.iter().map(|(a, b)| (of(a), of(b))).unzip();
            let ratios = ours.iter().zip(&theirs).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
            Line {
                what: format!("{what}, {figure}"),
                against: against.into(),
                measured: format!("{} : {}", us(median(ours)), us(median(theirs))),
                ratio: Some(median_of(ratios)),
                bar,
            }
        };
        [line("p50", |load| load.0, bars.0), line("CPU a call", |load| load.1, bars.1)]
    }
}

/// The median time of a call, and what a call cost this process.
async fn loaded(address: std::net::SocketAddr, token: &str, clients: usize, calls: usize) -> Load {
    let before = cpu_time();
    let load = client::run(address, token, clients, calls).await;
    let cost = cpu_time().saturating_sub(before);
    (load.p50, cost / u32::try_from(load.calls).expect("a few calls"))
}

/// User and system time of this process: of its threads, those that have ended included.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time since the process began")
}
