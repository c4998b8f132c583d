//! Callers that go on calling, and what they have seen.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use stockade_tests::{Client, TestApp, TestDatabase};

/// Callers at once, of two who see different rows.
const CALLERS: usize = 8;
const COUNT: &str = "SELECT count(*) AS n FROM retail.orders";
/// As many good answers in a row, from all callers together, are well again.
const WELL: usize = 2 * CALLERS;
/// How long that may take.
const WELL_WITHIN: Duration = Duration::from_secs(30);

pub(crate) const HEADER: &str =
    "| fault | answered | failed, by code | slowest | well again after |\n|---|---|---|---|---|";

/// Callers at work.
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    answered: usize,
    failed: BTreeMap<String, usize>,
    slowest: Duration,
    wrong: Vec<String>,
    in_a_row: usize,
}

impl Load {
    pub(crate) async fn start(app: &TestApp) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let mut callers = Vec::new();
        for number in 0..CALLERS {
            let client = app.client(if number % 2 == 0 { "head-office" } else { "seattle-store" });
            let right = query(&client, COUNT).await.expect("an answer before the faults");
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            callers.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let outcome = query(&client, COUNT).await;
                    seen.lock().unwrap().note(outcome, right, began.elapsed());
                    // Callers are no benchmark: what fails at once is not asked again at once.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }));
        }
        Self { seen, stop, callers }
    }

    /// Lets a fault happen, waits until all is well again, and prints what the callers saw of it.
    pub(crate) async fn row(&self, fault: &str, expected: &[&str], happens: impl Future<Output = ()>) {
        *self.seen.lock().unwrap() = Seen::default();
        happens.await;
        self.seen.lock().unwrap().in_a_row = 0;
        let over = Instant::now();
        let mut first = None;
        let well = async {
            loop {
                let in_a_row = self.seen.lock().unwrap().in_a_row;
                match (in_a_row, first) {
                    (0, _) => first = None,
                    (_, None) => first = Some(over.elapsed()),
                    (WELL.., Some(_)) => return,
                    _ => {}
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(WELL_WITHIN, well).await;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let failed: Vec<String> = seen.failed.iter().map(|(code, times)| format!("{code} {times}")).collect();
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        let (slowest, well) = (seen.slowest.as_millis(), first.unwrap_or_default().as_millis());
        writeln!(std::io::stderr(), "| {fault} | {} | {failed} | {slowest} ms | {well} ms |", seen.answered)
            .expect("standard error");
        assert!(in_time.is_ok(), "{fault}: not well again: {:?}", seen.failed);
        assert!(seen.wrong.is_empty(), "{fault}: wrong answers: {:?}", seen.wrong);
        for code in seen.failed.keys() {
            assert!(expected.contains(&code.as_str()), "{fault}: {code} is no way to fail, of {expected:?}");
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
    }
}

impl Seen {
    fn note(&mut self, outcome: Result<i64, String>, right: i64, took: Duration) {
        self.slowest = self.slowest.max(took);
        match outcome {
            Ok(found) if found == right => {
                self.answered += 1;
                self.in_a_row += 1;
            }
            Ok(found) => self.wrong.push(format!("{found} instead of {right}")),
            Err(code) => {
                *self.failed.entry(code).or_default() += 1;
                self.in_a_row = 0;
            }
        }
    }
}

/// The number that a statement gives, or the code with which the call failed.
pub(crate) async fn query(client: &Client, statement: &str) -> Result<i64, String> {
    let reply = client.call("execute_sales_query", json!({"query": statement})).await;
    if reply.message["result"]["isError"].as_bool().unwrap_or(false) {
        let text = reply.error();
        // What the caller reads names no host, file or statement of the server's.
        for inner in ["/var/", "socket", "pgsql", "stockade_login", "FETCH", "DECLARE"] {
            assert!(!text.contains(inner), "{text}");
        }
        return Err(text.split(':').next().unwrap_or_default().to_owned());
    }
    Ok(reply.structured()["rows"][0][0].as_i64().expect("a number"))
}

/// The folder of the server's socket.
pub(crate) fn sockets(database: &TestDatabase) -> PathBuf {
    let host = database.admin_url.split_once("host=").expect("a socket").1;
    PathBuf::from(host.replace("%2F", "/"))
}
