//! What a neighbour feels of each attack: the slowest of each hundred of its calls, and the slowest of all, beside the
//! same load in quiet. Printed, with the bar, and not asserted: a shared machine has slow moments of its own. A test
//! binary for itself, so that no other test runs beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

#[path = "sandbox/attacks.rs"]
mod attacks;
#[path = "sandbox/files.rs"]
mod files;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use stockade_runtime::pack::pack;
use stockade_tests::{Client, TestApp, raw_manifest};

use attacks::ATTACKS;
use files::{large, nested, noise};

/// The neighbour's p99 under attack may be this many times that in quiet.
const BAR: f64 = 2.0;
/// Attackers at once; each begins anew when it was stopped, but not faster than this.
const ATTACKERS: usize = 4;
const ATTACK_EVERY: Duration = Duration::from_millis(100);
/// Quiet and attack by turns, so that a slow moment of the machine meets both. What is over the bar after the first has
/// the next as well, all together: of two hundred calls two decide, of a thousand ten.
const ROUNDS: [usize; 3] = [2, 10, 30];
const ROUND: Duration = Duration::from_millis(400);
/// Different contents that a file has by turns, so that it is read anew.
const VERSIONS: u32 = 4;

/// The neighbour's load for one round: a call after another, with a query in every fourth.
async fn load(client: &Client, times: &mut Vec<Duration>) {
    let until = Instant::now() + ROUND;
    let mut n = 0_u32;
    while Instant::now() < until {
        let began = Instant::now();
        if n.is_multiple_of(4) {
            let query = json!({"query": "SELECT count(*) AS n FROM generate_series(1, 3)"});
            client.call("execute_sales_query", query).await.structured();
        } else {
            client.call("noop", json!({})).await.structured();
        }
        times.push(began.elapsed());
        n += 1;
    }
}

/// Attackers that work until they are told to stop.
struct Attackers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Attackers {
    fn start(app: &TestApp, tool: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let attack = |_| {
            let (client, stop) = (app.client("head-office"), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    client.call(tool, json!({})).await;
                    tokio::time::sleep(ATTACK_EVERY.saturating_sub(began.elapsed())).await;
                }
            })
        };
        let tasks = (0..ATTACKERS).map(attack).collect();
        Self { stop, tasks }
    }

    /// One that puts another file into the folder of plugins, again and again.
    fn placing(file: PathBuf, versions: Arc<[Vec<u8>]>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::task::spawn_blocking(move || {
            let partial = file.with_extension("partial");
            for version in versions.iter().cycle() {
                std::fs::write(&partial, version).and_then(|()| std::fs::rename(&partial, &file)).expect("a file");
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(ATTACK_EVERY);
            }
        });
        Self { stop, tasks: vec![task] }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("an attacker");
        }
    }
}

/// What is wrong with a file whose loading is the attack, and the file by turns.
async fn attacks_of_loading() -> Vec<(&'static str, &'static str, Arc<[Vec<u8>]>)> {
    let mut by_turns = [const { Vec::new() }; 3];
    for version in 0..VERSIONS {
        let name = |name: &str| raw_manifest(name, "");
        by_turns[0].push(pack(&nested(100 + version), &name("load-nested")).await.expect("a plugin"));
        by_turns[1].push(noise(4_096 + version as usize));
        by_turns[2].push(pack(&large(2_000, version), &name("load-large")).await.expect("a plugin"));
    }
    let [nested, random, large] = by_turns.map(Arc::from);
    vec![
        ("load_nested", "does not fit the contract", nested),
        ("load_random", "not a component", random),
        ("load_large", "", large),
    ]
}

fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(0.0, ms)
}

fn slowest(times: &[Duration]) -> f64 {
    times.iter().max().map_or(0.0, ms)
}

fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// What the neighbour felt: times in ms, in quiet and under attack.
struct Felt {
    /// Its calls under attack.
    calls: usize,
    p99: [f64; 2],
    slowest: [f64; 2],
}

async fn felt(neighbour: &Client, start: impl Fn() -> Attackers) -> Felt {
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    for rounds in ROUNDS {
        for _ in 0..rounds {
            load(neighbour, &mut quiet).await;
            let attackers = start();
            load(neighbour, &mut attacked).await;
            attackers.stop().await;
        }
        if p99(&mut attacked) <= BAR * p99(&mut quiet) {
            break;
        }
    }
    let p99 = [p99(&mut quiet), p99(&mut attacked)];
    Felt { calls: attacked.len(), p99, slowest: [slowest(&quiet), slowest(&attacked)] }
}

/// What computes for long has the lowest priority, and each kind of it not all of the processors.
fn processors_are_left() {
    let read = |task: &std::path::Path, file| std::fs::read_to_string(task.join(file)).unwrap_or_default();
    let processors = std::thread::available_parallelism().unwrap().get();
    for kind in ["background", "embed"] {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let long: Vec<_> = tasks.filter(|task| read(task, "comm").trim() == kind).collect();
        assert_eq!(long.len(), processors.saturating_sub(1).max(1), "{kind}, of {processors} processors");
        for task in long {
            // Of proc(5)'s fields of `stat` the 41st, the policy: SCHED_IDLE is 5.
            assert_eq!(read(&task, "stat").split_ascii_whitespace().nth(40), Some("5"), "{kind}");
        }
    }
}

/// Waits for what the file that was placed last comes to: refused for this reason, or a plugin where there is none.
async fn ended(app: &TestApp, file: &std::path::Path, reason: &str) -> String {
    if reason.is_empty() {
        app.until_tools(|tools| tools.iter().any(|tool| tool == "load_large")).await;
        return "loads".into();
    }
    let refused = async {
        while !app.app().runtime().refusals().iter().any(|r| r.file == file && r.reason.contains(reason)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("the file is refused");
    format!("refused: {reason}")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_a_neighbour_feels_of_each_attack() {
    let app = attacks::app().await;
    processors_are_left();
    let neighbour = app.client("neighbour");
    load(&neighbour, &mut Vec::new()).await;
    let mut table = format!(
        "The neighbour's calls in ms, in quiet and under each attack by {ATTACKERS} at once; bar {BAR} x of the p99\n\
         {:<22} {:>6} {:>15} {:>17} {:>7}  {:<8} comes to\n",
        "attack", "calls", "p99", "slowest", "ratio", "verdict"
    );
    let mut rows = 0;
    let mut over = 0;
    let mut add = |name: &str, Felt { calls, p99: [quiet, attacked], slowest }: Felt, outcome: &str| {
        let ratio = attacked / quiet;
        rows += 1;
        over += usize::from(ratio > BAR);
        let verdict = if ratio > BAR { "OVER" } else { "within" };
        let p99 = format!("{quiet:.1} → {attacked:.1}");
        let slowest = format!("{:.1} → {:.1}", slowest[0], slowest[1]);
        table += &format!("{name:<22} {calls:>6} {p99:>15} {slowest:>17} {ratio:>6.2}x  {verdict:<8} {outcome}\n");
    };
    for attack in ATTACKS {
        let felt = felt(&neighbour, || Attackers::start(&app, attack.tool)).await;
        add(attack.tool, felt, &attack.outcome.to_string());
    }
    for (name, reason, versions) in attacks_of_loading().await {
        let file = app.plugins().join(format!("{name}.wasm"));
        let felt = felt(&neighbour, || Attackers::placing(file.clone(), Arc::clone(&versions))).await;
        let outcome = ended(&app, &file, reason).await;
        add(name, felt, &outcome);
        std::fs::remove_file(&file).expect("the file");
    }
    // Past the harness, which keeps what a test that passes prints.
    use std::io::Write as _;
    let table = format!("\n{table}{over} of {rows} over the bar\n");
    std::io::stderr().write_all(table.as_bytes()).expect("standard error");
    app.stop().await;
}
