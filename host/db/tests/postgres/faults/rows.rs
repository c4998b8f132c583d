//! Callers who go on asking while something fails, and what they have seen: rows of the table in `host/README.md`.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stockade_db::{ColumnValues, DbError, ResultSet};
use tokio::time::Instant;

use crate::bed::{Bed, sql};
use crate::fault_table::FaultTable;

/// What `faults.rs` and `replica.rs` print.
const TABLE: FaultTable = FaultTable {
    after: "The same at the crate's own edge",
    columns: &["fault", "answered", "failed, by code", "slowest", "well again after"],
    rows: &[
        "the server is restarted while cursors are open",
        "the server is stopped and started, over TCP, with default settings",
        "a replica stops replaying",
        "a replica is killed",
        "a standby takes the primary's place",
        "the server's clock differs by +60s",
        "the server's clock differs by -60s",
    ],
};

/// Callers at once, of two tenants by turns.
const CALLERS: usize = 8;
/// As many good answers in a row, from all callers together, are well again.
const WELL: usize = 2 * CALLERS;
/// How long that may take.
const WELL_WITHIN: Duration = Duration::from_secs(30);

/// How callers ask for the notes that they see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks {
    /// Their number, and the first.
    ForCounts,
    /// All of them, through a cursor that is open for a while.
    ThroughCursors,
}

/// How many notes a caller has seen, by a call that began then.
pub(crate) struct Answer {
    pub(crate) tenant: &'static str,
    pub(crate) count: i64,
    pub(crate) began: Instant,
}

type IsRight = dyn Fn(&Answer) -> bool + Send + Sync;

/// Callers at work.
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    answered: usize,
    failed: BTreeMap<&'static str, usize>,
    slowest: Duration,
    wrong: Vec<String>,
    in_a_row: usize,
}

impl Load {
    /// Callers, who check each answer: nobody ever sees another tenant's notes, and their number `is_right`.
    pub(crate) fn start(
        bed: &Arc<Bed>,
        asks: Asks,
        is_right: impl Fn(&Answer) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let is_right: Arc<IsRight> = Arc::new(is_right);
        let caller = |number: usize| {
            let (bed, seen, stop) = (Arc::clone(bed), Arc::clone(&seen), Arc::clone(&stop));
            let is_right = Arc::clone(&is_right);
            let tenant = if number.is_multiple_of(2) { "a" } else { "b" };
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let outcome = ask(&bed, tenant, asks).await;
                    let wrong = match &outcome {
                        Ok((first, _)) if *first != if tenant == "a" { 1 } else { 101 } => true,
                        Ok((_, count)) => !is_right(&Answer { tenant, count: *count, began }),
                        Err(_) => false,
                    };
                    seen.lock().unwrap().note(outcome, wrong, began.elapsed());
                    // Callers are no benchmark: what fails at once is not asked again at once.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        };
        let callers = (0..CALLERS).map(caller).collect();
        Self { seen, stop, callers }
    }

    /// Lets a fault happen, waits until all is well again, and prints what the callers saw of it.
    pub(crate) async fn row<T>(&self, fault: &str, expected: &[&str], happens: impl Future<Output = T>) -> T {
        // Before it comes, all is well.
        let _ = self.well().await.unwrap_or_else(|| panic!("{fault}: not well before: {:?}", self.take().failed));
        self.take();
        let given = happens.await;
        let well = self.well().await;
        let seen = self.take();
        let failed: Vec<String> = seen.failed.iter().map(|(code, times)| format!("{code} {times}")).collect();
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let (slowest, after) = (ms(seen.slowest), ms(well.unwrap_or_default()));
        TABLE.print(fault, &[&seen.answered.to_string(), &failed, &slowest, &after]);
        assert!(well.is_some(), "{fault}: not well again: {:?}", seen.failed);
        assert!(seen.wrong.is_empty(), "{fault}: wrong answers: {:?}", seen.wrong);
        for code in seen.failed.keys() {
            assert!(expected.contains(code), "{fault}: {code} is no way to fail, of {expected:?}");
        }
        given
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

    fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
    }
}

impl Seen {
    fn note(&mut self, outcome: Result<(i64, i64), DbError>, wrong: bool, took: Duration) {
        self.slowest = self.slowest.max(took);
        match outcome {
            Ok(found) if wrong => self.wrong.push(format!("{found:?}")),
            Ok(_) => {
                self.answered += 1;
                self.in_a_row += 1;
            }
            Err(error) => {
                *self.failed.entry(code(&error)).or_default() += 1;
                self.in_a_row = 0;
            }
        }
    }
}

/// The first note that the caller sees, and how many there are.
async fn ask(bed: &Bed, tenant: &str, asks: Asks) -> Result<(i64, i64), DbError> {
    let session = bed.session(tenant);
    match asks {
        Asks::ForCounts => {
            let found = session.query(sql("SELECT min(id), count(*) FROM app.notes"), 1).await?;
            Ok((integers(&found, 0)[0], integers(&found, 1)[0]))
        }
        Asks::ThroughCursors => {
            let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await?;
            let mut ids = Vec::new();
            loop {
                let batch = cursor.fetch(20).await?;
                ids.extend(integers(&batch, 0));
                if !batch.truncated {
                    let in_order = ids.windows(2).all(|pair| pair[0] + 1 == pair[1]);
                    assert!(in_order, "a cursor lost its place: {ids:?}");
                    return Ok((ids[0], i64::try_from(ids.len()).unwrap()));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

fn integers(found: &ResultSet, column: usize) -> Vec<i64> {
    match &found.columns[column].values {
        ColumnValues::Integers(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

/// What the caller of a tool reads that fails with it (`server/src/errors.rs`).
pub(crate) fn code(error: &DbError) -> &'static str {
    match error {
        DbError::Rejected { .. } => "VALIDATION_ERROR",
        DbError::Forbidden { .. } => "AUTHORIZATION_ERROR",
        DbError::Statement { .. } => "DATABASE_ERROR",
        DbError::Timeout { .. } => "QUERY_TIMEOUT",
        DbError::Unavailable(_) | DbError::Outage(_) => "SERVER_BUSY",
        DbError::Internal(_) => "MCP_ERROR",
    }
}

#[test]
fn the_page_has_the_rows_of_faults_at_the_crates_edge() {
    TABLE.is_in(crate::FAULTS_PAGE);
}
