use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stockade_db::{AuditDecision, AuditKind, AuditLine, AuditRecord};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::sink::Sink;

/// Records in one batch.
const BATCH_MAX: usize = 512;
/// Time for a record's companions to arrive.
const GATHER: Duration = Duration::from_millis(200);
/// Time until a place that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A record on its way.
pub(super) struct Entry {
    pub(super) line: AuditLine,
    /// Told once the record is written; closed when it never will be.
    pub(super) kept: Option<mpsc::Sender<()>>,
}

/// What waits for one place.
pub(super) struct Queue {
    place: &'static str,
    sender: mpsc::Sender<Entry>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The last write failed.
    failing: AtomicBool,
    /// Records that found no room since the last one was written.
    lost: AtomicU64,
}

impl Queue {
    pub(super) fn open(
        sink: Box<dyn Sink>,
        queue_max: usize,
        gather: bool,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let place = sink.name();
        let (sender, receiver) = mpsc::channel(queue_max);
        let state = Arc::new(State::default());
        let writer = Writer { sink, receiver, state: Arc::clone(&state), stop: stop.clone(), gather };
        tasks.spawn(writer.run());
        Self { place, sender, state }
    }

    /// Never waits: a record that finds no room is dropped and counted.
    pub(super) fn send(&self, entry: Entry) {
        if self.sender.try_send(entry).is_err() && self.state.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!("records of the audit log are dropped: more than `queue_max` in [audit] wait");
        }
    }

    /// For an operator.
    pub(super) fn health(&self) -> Value {
        json!({
            "place": self.place,
            "ok": self.is_well(),
            "waiting": self.sender.max_capacity() - self.sender.capacity(),
            "dropped": self.state.lost.load(Ordering::Relaxed),
        })
    }

    /// Whether a record that is sent now may hope to be written.
    pub(super) fn is_well(&self) -> bool {
        !self.state.failing.load(Ordering::Relaxed) && self.sender.capacity() > 0
    }
}

struct Writer {
    sink: Box<dyn Sink>,
    receiver: mpsc::Receiver<Entry>,
    state: Arc<State>,
    stop: CancellationToken,
    gather: bool,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.next(&mut batch).await {
            self.note_lost(&mut batch);
            let (lines, kept): (Vec<_>, Vec<_>) = batch.drain(..).map(|entry| (entry.line, entry.kept)).unzip();
            if !self.write(&lines, kept).await {
                tracing::error!(place = self.sink.name(), records = lines.len(), "records of the audit log are lost");
            }
        }
    }

    /// What waits, up to a batch. `false` at the end.
    async fn next(&mut self, batch: &mut Vec<Entry>) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled(), if !self.receiver.is_closed() => self.receiver.close(),
            _ = self.receiver.recv_many(batch, BATCH_MAX) => {
                if self.gather && self.stop.run_until_cancelled(tokio::time::sleep(GATHER)).await.is_some() {
                    while batch.len() < BATCH_MAX && let Ok(entry) = self.receiver.try_recv() {
                        batch.push(entry);
                    }
                }
                return !batch.is_empty();
            }
        }
        // Closed by us: what is left comes out, then nothing.
        self.receiver.recv_many(batch, BATCH_MAX).await > 0
    }

    /// A gap in the log is itself in the log.
    fn note_lost(&self, batch: &mut Vec<Entry>) {
        let lost = self.state.lost.swap(0, Ordering::Relaxed);
        if lost == 0 {
            return;
        }
        tracing::error!(place = self.sink.name(), lost, "records of the audit log were dropped");
        let at = super::now();
        let decision = AuditDecision::Allowed;
        let mut record = AuditRecord::new(Uuid::now_v7(), at, AuditKind::Act, decision, "RECORDS_LOST");
        record.occurrences = i64::try_from(lost).unwrap_or(i64::MAX);
        if let Ok(line) = record.line() {
            batch.push(Entry { line, kept: None });
        }
    }

    /// Tries until it succeeds, or the server stops. `false` where the records are given up. Who waits
    /// for a record waits for one attempt.
    async fn write(&mut self, lines: &[AuditLine], mut kept: Vec<Option<mpsc::Sender<()>>>) -> bool {
        loop {
            let outcome = self.sink.write(lines).await;
            let failed = self.state.failing.swap(outcome.is_err(), Ordering::Relaxed);
            let place = self.sink.name();
            match outcome {
                Ok(()) => {
                    if failed {
                        tracing::info!(place, "the audit log is written again");
                    }
                    for kept in kept.into_iter().flatten() {
                        // One word is enough, and nobody may be there any more.
                        let _ = kept.try_send(());
                    }
                    return true;
                }
                Err(reason) => {
                    kept.clear();
                    if !failed {
                        tracing::error!(place, reason, "the audit log cannot be written; it is tried again");
                    }
                    if self.stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                        return false;
                    }
                }
            }
        }
    }
}
