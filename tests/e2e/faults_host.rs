//! What callers see of a host in trouble: the real binary as a process, under load. A row a fault, every answer
//! checked. `cargo xtask test` prints the rows.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use line::Line;
use serde_json::{Value, json};
use stockade_tests::{FaultTable, HostProcess, TestApp, TestAppBuilder, left_out};

mod descriptors;
mod line;

const TABLE: FaultTable = FaultTable {
    after: "**The host**",
    columns: &["fault", "answered", "failed, by code", "slowest", "well again after"],
    rows: &[
        "no file descriptors left, then no connection to the database",
        "clients open more connections than it may have descriptors",
        "the disk of its log and audit file is full",
        "SIGTERM under load (until it has ended)",
        "SIGKILL under load (from the next start)",
    ],
};

/// Callers at once.
const CALLERS: usize = 16;
/// Good answers before a fault comes, and in a row after it.
const WELL: usize = 2 * CALLERS;
/// How long anything here may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Long enough to be under way when a signal comes.
const WORK: &str = "FROM generate_series(1, 30000) AS g(i)";

/// What callers have seen.
#[derive(Default)]
struct Seen {
    answered: usize,
    failed: BTreeMap<String, usize>,
    slowest: Duration,
    wrong: Vec<String>,
}

struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

/// Every call asks for another number: an answer that is another call's is wrong.
fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A call, and the number that it asks for.
fn question(host: &HostProcess) -> (u64, reqwest::RequestBuilder) {
    let number = next_number();
    let query = format!("SELECT {number} + count(*) - 30000 AS n {WORK}");
    let arguments = json!({ "name": "execute_sales_query", "arguments": { "query": query } });
    (number, host.client("head-office").request("tools/call", arguments))
}

/// Whether that number is what came back.
fn judged(number: u64, message: &Value) -> Result<(), String> {
    let result = &message["result"];
    if result["isError"] == true {
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        return Err(text.split(':').next().unwrap_or_default().to_owned());
    }
    match &result["structuredContent"]["rows"][0][0] {
        found if *found == json!(number) => Ok(()),
        found => Err(format!("wrong: {found} instead of {number}")),
    }
}

/// One call; the error says what a caller has instead of an answer.
async fn ask(host: &HostProcess) -> Result<(), String> {
    let (number, request) = question(host);
    let gone = |error: reqwest::Error| if error.is_connect() { "no connection" } else { "no reply" }.to_owned();
    let response = request.send().await.map_err(gone)?;
    judged(number, &response.json().await.map_err(gone)?)
}

impl Seen {
    fn note(&mut self, outcome: Result<(), String>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match outcome {
            Ok(()) => self.answered += 1,
            Err(what) if what.starts_with("wrong") => self.wrong.push(what),
            Err(what) => *self.failed.entry(what).or_default() += 1,
        }
    }

    /// The row, and what must hold of it.
    fn row(&self, fault: &str, expected: &[&str], well: Duration) {
        let failed: Vec<String> = self.failed.iter().map(|(code, times)| format!("{code} {times}")).collect();
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        TABLE.print(fault, &[&self.answered.to_string(), &failed, &ms(self.slowest), &ms(well)]);
        assert!(self.wrong.is_empty(), "{fault}: {:?}", self.wrong);
        for what in self.failed.keys() {
            assert!(expected.contains(&what.as_str()), "{fault}: {what} is no way to fail, of {expected:?}");
        }
    }
}

impl Load {
    /// Callers, who have their first good answers when this returns.
    async fn start(host: &Arc<HostProcess>) -> Self {
        Self::by((0..CALLERS).map(|_| None), host).await
    }

    /// The same, each over its own line, where it has one.
    async fn by(lines: impl Iterator<Item = Option<Line>>, host: &Arc<HostProcess>) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let caller = |mut line: Option<Line>| {
            let (host, seen, stop) = (Arc::clone(host), Arc::clone(&seen), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let outcome = match &mut line {
                        Some(line) => line.ask(&host).await,
                        None => ask(&host).await,
                    };
                    let failed = outcome.is_err();
                    seen.lock().unwrap().note(outcome, began.elapsed());
                    if failed {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            })
        };
        let callers = lines.map(caller).collect();
        let load = Self { seen, stop, callers };
        until("the load runs", async || load.answered() >= WELL).await;
        load
    }

    fn answered(&self) -> usize {
        self.seen.lock().unwrap().answered
    }

    fn failed(&self, code: &str) -> usize {
        self.seen.lock().unwrap().failed.get(code).copied().unwrap_or_default()
    }

    async fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap_or_else(|_| panic!("not within {WITHIN:?}: {what}"));
}

/// As many good answers in a row as make a host well, and the time until the first.
async fn well(host: &HostProcess, since: Instant) -> Duration {
    let (mut first, mut in_a_row) = (None, 0);
    while in_a_row < WELL {
        assert!(since.elapsed() < WITHIN, "not well again");
        match ask(host).await {
            Ok(()) => {
                first.get_or_insert_with(|| since.elapsed());
                in_a_row += 1;
            }
            Err(_) => {
                (first, in_a_row) = (None, 0);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    first.expect("a good answer")
}

/// The outcomes of calls that the host has recorded. Each line is whole, whatever a full disk cut off; a record may
/// stand twice.
fn recorded(file: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(file).expect("the audit file");
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a whole line"));
    let calls = records.filter(|record| record["kind"] == "call");
    let by_id: BTreeMap<String, String> = calls
        .map(|record| {
            let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("no {key}: {record}")).to_owned();
            (text("id"), text("outcome"))
        })
        .collect();
    let mut outcomes = BTreeMap::new();
    for outcome in by_id.into_values() {
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

/// Lines of calls in the files of the log. Each line is whole.
fn calls_in(kept: &Path) -> usize {
    let files = std::fs::read_dir(kept).expect("a folder").map(|file| file.expect("a file").path());
    let texts = files.map(|file| std::fs::read_to_string(file).expect("text"));
    let calls = |text: String| {
        // One that is written at this moment may end with the next look.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(serde_json::from_str::<Value>);
        lines.filter(|line| line.as_ref().expect("a whole line")["message"] == "call done").count()
    };
    texts.map(calls).sum()
}

#[test]
fn the_page_has_the_rows_of_the_host() {
    TABLE.is_in(include_str!("../../host/README.md"));
}

fn builder() -> TestAppBuilder {
    TestApp::builder().plugins(&["execute-sales-query"])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn sigterm_under_load_loses_no_call_that_was_begun() {
    let settings = "shutdown_delay_ms = 2000\nshutdown_grace_s = 30";
    let files = builder().server(settings).sections("[audit]\nfile = \"records/audit.jsonl\"").files().await;
    std::fs::create_dir(files.folder().join("records")).expect("a folder");
    let host = Arc::new(files.start().await);
    let load = Load::start(&host).await;
    let began = Instant::now();
    host.signal("TERM");
    // First it says so; and as long as it only says so, it answers.
    let readyz = host.url("/readyz");
    until("/readyz says 503", async || {
        reqwest::get(&readyz).await.is_ok_and(|answer| answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
    let before = load.answered();
    until("calls are answered while it says so", async || load.answered() > before).await;
    assert_eq!(host.ended().await, Some(0), "it ends as it was told");
    let took = began.elapsed();
    let seen = load.end().await;
    seen.row("SIGTERM under load (until it has ended)", &["SERVER_BUSY", "no connection", "no reply"], took);
    let outcomes = recorded(&files.folder().join("records/audit.jsonl"));
    assert_eq!(outcomes.get("DONE"), Some(&seen.answered), "every call that was done was answered: {outcomes:?}");
    assert_eq!(outcomes.get("CANCELLED"), None, "none was cut off: {outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn sigkill_under_load_takes_the_embedded_database_along_and_the_next_start_works() {
    let files = builder().embedded_files().await;
    let host = Arc::new(files.start().await);
    let load = Load::start(&host).await;
    let killed = Instant::now();
    host.signal("KILL");
    assert_eq!(host.ended().await, None, "killed");
    let seen = load.end().await;
    let pid_file = files.folder().join("postgres/cluster/postmaster.pid");
    until("PostgreSQL stops too", async || !pid_file.exists()).await;
    let stopped = killed.elapsed();
    let restarted = Instant::now();
    let next = files.start().await;
    let well = well(&next, restarted).await;
    seen.row("SIGKILL under load (from the next start)", &["no connection", "no reply"], well);
    writeln!(std::io::stderr(), "  PostgreSQL had stopped {} ms after the host was killed", stopped.as_millis())
        .expect("standard error");
    next.signal("TERM");
    assert_eq!(next.ended().await, Some(0));
}

/// A file system of four mebibytes, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("stockade-small-").tempdir_in("/var/tmp").expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_full_log_disk_costs_log_lines_and_no_call() {
    let Some(small) = Small::mount() else {
        return left_out("the full disk of its log: no file system may be mounted here");
    };
    let (audit, kept) = (small.0.path().join("audit.jsonl"), small.0.path().join("kept"));
    let sections = format!("[audit]\nfile = '{}'\n[log]\nfile = '{}/host.log'", audit.display(), kept.display());
    let files = builder().admin_socket().sections(&sections).files().await;
    let host = Arc::new(files.start_logging_to(&small.0.path().join("host.log")).await);
    let file_is_well = async || {
        host.health().await["audit"]
            .as_array()
            .is_some_and(|places| places.iter().all(|place| place["place"] != "file" || place["ok"] == true))
    };
    assert!(file_is_well().await);
    // To the last byte.
    let fill = small.0.path().join("fill");
    let mut last = 0;
    loop {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&fill).expect("a file");
        let size = if last == 0 { 4096 } else { 1 };
        if file.write_all(&vec![b'x'; size]).is_err() {
            if size == 1 {
                break;
            }
            last = 1;
        }
    }
    let load = Load::start(&host).await;
    until("an operator sees that the audit file cannot be written", async || !file_is_well().await).await;
    until("an operator sees that lines of the log are lost", async || host.log_lines_lost().await > 0).await;
    let before = load.answered();
    until("calls go on", async || load.answered() > before + WELL).await;
    std::fs::remove_file(&fill).expect("room again");
    let over = Instant::now();
    until("the audit file is written again", file_is_well).await;
    let well = over.elapsed();
    let lines = calls_in(&kept);
    until("so is the log", async || calls_in(&kept) > lines).await;
    let seen = load.end().await;
    seen.row("the disk of its log and audit file is full", &[], well);
    // Each call has a line, or is one of those that are counted.
    until("what is not there is counted", async || {
        calls_in(&kept) as u64 + host.log_lines_lost().await >= seen.answered as u64
    })
    .await;
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
    let outcomes = recorded(&audit);
    assert_eq!(outcomes.get("DONE"), Some(&seen.answered), "what waited was written: {outcomes:?}");
}
