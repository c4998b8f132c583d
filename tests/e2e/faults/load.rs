//! Callers that go on calling, and what they have seen.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stockade_tests::{Client, FaultTable, Log, Reply, TestApp, TestDatabase};

/// Callers at once, of two who see different rows.
const CALLERS: usize = 8;
const COUNT: &str = "SELECT count(*) AS n FROM retail.orders";
/// As many good answers in a row, from all callers together, are well again.
const WELL: usize = 2 * CALLERS;
/// How long that may take.
const WELL_WITHIN: Duration = Duration::from_secs(30);

const TABLE: FaultTable = FaultTable {
    after: "**The database**",
    columns: &["fault", "answered", "failed, by code", "slowest", "well again after"],
    rows: &[
        "none",
        "a connection is killed every 20 ms",
        "all connections are killed at once",
        "the server is out of connections",
        "somebody holds a lock on the table",
        "the disk for temporary files is full",
        "the disk of the data is full, and a call must be recorded",
        "the disk of the data is full",
        "the disk of the write-ahead log is full",
        "the server is stopped and started",
    ],
};

/// Callers at work.
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    answered: usize,
    failed: BTreeMap<String, Vec<Failed>>,
    slowest: Duration,
    wrong: Vec<String>,
    in_a_row: usize,
}

impl Load {
    pub(crate) async fn start(app: &TestApp) -> Self {
        Log::keep();
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

    /// Lets a fault happen, waits until all is well again, and prints what the callers saw of it. A code that is
    /// expected may stay away.
    pub(crate) async fn row(&self, fault: &str, expected: &[&str], happens: impl Future<Output = ()>) {
        // Before it comes, all is well.
        assert!(self.well().await.is_some(), "{fault}: not well before");
        *self.seen.lock().unwrap() = Seen::default();
        happens.await;
        let well = self.well().await;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let failed: Vec<String> = seen.failed.iter().map(|(code, calls)| format!("{code} {}", calls.len())).collect();
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let (slowest, after) = (ms(seen.slowest), ms(well.unwrap_or_default()));
        TABLE.print(fault, &[&seen.answered.to_string(), &failed, &slowest, &after]);
        assert!(well.is_some(), "{fault}: not well again: {failed}");
        assert!(seen.wrong.is_empty(), "{fault}: wrong answers: {:?}", seen.wrong);
        for (code, calls) in &seen.failed {
            let may = expected.contains(&code.as_str());
            assert!(may, "{fault}: {code} is no way to fail, of {expected:?}: {:#?}", calls[0].logged());
        }
    }

    /// Until enough good answers came in a row: the time until the first of them.
    async fn well(&self) -> Option<Duration> {
        self.seen.lock().unwrap().in_a_row = 0;
        let (since, mut first) = (Instant::now(), None);
        let well = async {
            loop {
                match self.seen.lock().unwrap().in_a_row {
                    0 => first = None,
                    WELL.. => return first.unwrap_or_else(|| since.elapsed()),
                    _ => first = first.or_else(|| Some(since.elapsed())),
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(WELL_WITHIN, well).await.ok()
    }

    /// How many calls have failed with it in this row.
    pub(crate) fn failed(&self, code: &str) -> usize {
        self.seen.lock().unwrap().failed.get(code).map_or(0, Vec::len)
    }

    /// Waits until more than `count` calls of this row have failed with it.
    pub(crate) async fn until_failed(&self, code: &str, count: usize) {
        let wait = async {
            while self.failed(code) <= count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WELL_WITHIN, wait).await.unwrap_or_else(|_| panic!("nobody is told {code}"));
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
    }
}

impl Seen {
    fn note(&mut self, outcome: Result<i64, Failed>, right: i64, took: Duration) {
        self.slowest = self.slowest.max(took);
        match outcome {
            Ok(found) if found == right => {
                self.answered += 1;
                self.in_a_row += 1;
            }
            Ok(found) => self.wrong.push(format!("{found} instead of {right}")),
            Err(failed) => {
                self.failed.entry(failed.code.clone()).or_default().push(failed);
                self.in_a_row = 0;
            }
        }
    }
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: String,
    request_id: String,
}

impl Failed {
    fn of(reply: &Reply) -> Self {
        let text = reply.error();
        // What the caller reads names no host, file or statement of the server's.
        for inner in ["/var/", "socket", "pgsql", "stockade_login", "FETCH", "DECLARE"] {
            assert!(!text.contains(inner), "{text}");
        }
        let code = text.split(':').next().unwrap_or_default().to_owned();
        Self { code, request_id: reply.request_id().to_owned() }
    }

    /// What the operator reads of it.
    fn logged(&self) -> Vec<Value> {
        Log::keep().of_call(&self.request_id)
    }
}

/// The number that a statement gives, unless the call fails.
pub(crate) async fn query(client: &Client, statement: &str) -> Result<i64, Failed> {
    let reply = client.call("execute_sales_query", json!({"query": statement})).await;
    if reply.message["result"]["isError"].as_bool().unwrap_or(false) {
        return Err(Failed::of(&reply));
    }
    Ok(reply.structured()["rows"][0][0].as_i64().expect("a number"))
}

/// The folder of the server's socket.
pub(crate) fn sockets(database: &TestDatabase) -> PathBuf {
    let host = database.admin_url.split_once("host=").expect("a socket").1;
    PathBuf::from(host.replace("%2F", "/"))
}

#[test]
fn the_page_has_the_rows_of_the_database() {
    TABLE.is_in(include_str!("../../../host/README.md"));
}
