//! What a neighbour feels of each attack: the slowest of a hundred of its calls, beside the same load in
//! quiet. Printed, with the bar, and not asserted: a shared machine has slow moments of its own. A test
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

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use stockade_tests::{Client, TestApp};

use attacks::ATTACKS;

/// The neighbour's p99 under attack may be this many times that in quiet.
const BAR: f64 = 2.0;
/// Attackers at once; each begins anew when it was stopped, but not faster than this.
const ATTACKERS: usize = 4;
const ATTACK_EVERY: Duration = Duration::from_millis(100);
/// Quiet and attack by turns, so that a slow moment of the machine meets both.
const ROUNDS: usize = 2;
const ROUND: Duration = Duration::from_millis(400);

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

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("an attacker");
        }
    }
}

fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_a_neighbour_feels_of_each_attack() {
    let app = attacks::app().await;
    let neighbour = app.client("neighbour");
    load(&neighbour, &mut Vec::new()).await;
    let mut table = format!(
        "The neighbour's p99 in ms, in quiet and under each attack by {ATTACKERS} at once; bar {BAR} x\n\
         {:<20} {:>8} {:>8} {:>8} {:>7}  {:<8} comes to\n",
        "attack", "calls", "quiet", "attack", "ratio", "verdict"
    );
    let mut over = 0;
    for attack in ATTACKS {
        let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            load(&neighbour, &mut quiet).await;
            let attackers = Attackers::start(&app, attack.tool);
            load(&neighbour, &mut attacked).await;
            attackers.stop().await;
        }
        let (calls, quiet, attacked) = (attacked.len(), p99(&mut quiet), p99(&mut attacked));
        let ratio = attacked / quiet;
        over += usize::from(ratio > BAR);
        let verdict = if ratio > BAR { "OVER" } else { "within" };
        table += &format!(
            "{:<20} {calls:>8} {quiet:>8.1} {attacked:>8.1} {ratio:>6.2}x  {verdict:<8} {}\n",
            attack.tool, attack.outcome
        );
    }
    // Past the harness, which keeps what a test that passes prints.
    use std::io::Write as _;
    let table = format!("\n{table}{over} of {} over the bar\n", ATTACKS.len());
    std::io::stderr().write_all(table.as_bytes()).expect("standard error");
    app.stop().await;
}
