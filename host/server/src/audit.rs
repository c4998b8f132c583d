//! The audit log: who called what and what came of it, and every administrative act.
//!
//! A call's record is begun before the tool and written when the call ends, however it ends: dropping
//! a [`CallRecord`](call::CallRecord) records that it was cancelled. Writing is others' work: records go into a bounded
//! queue for each place (`writer`), the table and a file (`sink`). Requests that are refused before
//! anybody is known, or because there are too many, are only counted (`refusals`): whoever sends them
//! must not be able to fill a disk.

mod call;
mod refusals;
mod sink;
mod writer;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use stockade_db::{AuditDecision, AuditKey, AuditKind, AuditRecord, Database};
use stockade_runtime::{Act, ActKind, Acts};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use refusals::{Refusal, Refusals};
use sink::{FileSink, Sink, TableSink};
use writer::{Entry, Queue};

use crate::{
    auth::KnownCaller,
    config::{AuditArguments, AuditConfig},
};

/// Refusals are counted for this long, then recorded.
const REFUSALS_PERIOD: Duration = Duration::from_secs(60);
/// Time to write what waits when the server stops.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Where records go. Cloning is cheap. The default records nothing.
#[derive(Clone, Default)]
pub(crate) struct Audit(Option<Arc<Open>>);

struct Open {
    key: AuditKey,
    required: bool,
    arguments: RwLock<AuditArguments>,
    queues: Vec<Queue>,
    refusals: Refusals,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Audit {
    /// Opens the places that `config` names and starts writing.
    ///
    /// # Errors
    /// A sentence, when the file cannot be written.
    pub(crate) fn start(config: &AuditConfig, database: &Database) -> Result<Self, String> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if config.database {
            sinks.push(Box::new(TableSink::new(database.clone())));
        }
        if let Some(path) = &config.file {
            sinks.push(Box::new(file(path)?));
        }
        let key = database.audit_key().map_err(|error| error.for_log())?;
        Ok(Self::over(config, key, sinks))
    }

    fn over(config: &AuditConfig, key: AuditKey, sinks: Vec<Box<dyn Sink>>) -> Self {
        if sinks.is_empty() {
            return Self::default();
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        // Who waits for a record would wait for its companions too.
        let gather = !config.required;
        let queues = sinks.into_iter().map(|sink| Queue::open(sink, config.queue_max, gather, &stop, &tasks)).collect();
        let open = Arc::new(Open {
            key,
            required: config.required,
            arguments: RwLock::new(config.arguments),
            queues,
            refusals: Refusals::default(),
            stop,
            tasks,
        });
        let counting = Arc::clone(&open);
        open.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(REFUSALS_PERIOD);
            while counting.stop.run_until_cancelled(ticks.tick()).await.is_some() {
                counting.record_refusals();
            }
        });
        let audit = Self(Some(open));
        audit.act("HOST_STARTED", AuditDecision::Allowed, |record| {
            record.detail = Some(format!("version {}", env!("CARGO_PKG_VERSION")));
        });
        audit
    }

    /// How arguments are kept from the next call on.
    pub(crate) fn keep_arguments(&self, arguments: AuditArguments) {
        if let Some(open) = &self.0 {
            *open.arguments.write().unwrap_or_else(PoisonError::into_inner) = arguments;
        }
    }

    /// How each place is, for an operator.
    pub(crate) fn places(&self) -> Vec<serde_json::Value> {
        self.0.iter().flat_map(|open| &open.queues).map(Queue::health).collect()
    }

    /// Counts a request that was refused before it was a call.
    pub(crate) fn refused(&self, known: Option<&KnownCaller>, reason: &'static str) {
        if let Some(open) = &self.0 {
            open.refusals.count(Refusal::of(known, reason));
        }
    }

    /// Counts a call of a tool, one that the caller may see, that was refused before it began.
    pub(crate) fn call_refused(&self, known: &KnownCaller, tool: &str, reason: &'static str) {
        if let Some(open) = &self.0 {
            open.refusals.count(Refusal { tool: Some(tool.into()), ..Refusal::of(Some(known), reason) });
        }
    }

    /// Takes the runtime's acts.
    pub(crate) fn acts(&self) -> Acts {
        let audit = self.clone();
        Arc::new(move |act: Act| {
            let (outcome, decision) = match act.kind {
                ActKind::Loaded => ("PLUGIN_LOADED", AuditDecision::Allowed),
                ActKind::Replaced => ("PLUGIN_REPLACED", AuditDecision::Allowed),
                ActKind::Removed => ("PLUGIN_REMOVED", AuditDecision::Allowed),
                ActKind::Refused => ("PLUGIN_REFUSED", AuditDecision::Refused),
                ActKind::GrantsChanged => ("GRANTS_CHANGED", AuditDecision::Allowed),
                ActKind::GrantsRefused => ("GRANTS_REFUSED", AuditDecision::Refused),
            };
            audit.act(outcome, decision, |record| {
                record.plugin = act.plugin;
                record.plugin_version = act.version;
                record.plugin_digest = act.digest;
                record.detail = act.detail;
            });
        })
    }

    /// Records an administrative act.
    pub(crate) fn act(&self, outcome: &'static str, decision: AuditDecision, fill: impl FnOnce(&mut AuditRecord)) {
        if let Some(open) = &self.0 {
            let mut record = AuditRecord::new(Uuid::now_v7(), now(), AuditKind::Act, decision, outcome);
            fill(&mut record);
            open.send(&record, None);
        }
    }

    /// Writes what waits, for [`CLOSE_MAX`] at most. Nothing is recorded after.
    pub(crate) async fn close(&self) {
        let Some(open) = &self.0 else { return };
        open.record_refusals();
        self.act("HOST_STOPPED", AuditDecision::Allowed, |_| {});
        open.stop.cancel();
        open.tasks.close();
        if tokio::time::timeout(CLOSE_MAX, open.tasks.wait()).await.is_err() {
            tracing::error!("the audit log was not written to its end: it took too long");
        }
    }
}

impl Open {
    fn arguments(&self) -> AuditArguments {
        *self.arguments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_refusals(&self) {
        for (Refusal { tenant, caller, tool, reason }, count) in self.refusals.take() {
            let mut record =
                AuditRecord::new(Uuid::now_v7(), now(), AuditKind::Refusals, AuditDecision::Refused, reason);
            record.tenant = tenant.map(|name| name.to_string());
            record.caller = caller.map(|name| name.to_string());
            record.tool = tool.map(|name| name.to_string());
            record.occurrences = i64::try_from(count).unwrap_or(i64::MAX);
            self.send(&record, None);
        }
    }

    /// `kept` hears of each place that has written the record.
    fn send(&self, record: &AuditRecord, kept: Option<&tokio::sync::mpsc::Sender<()>>) {
        match record.line() {
            Ok(line) => {
                for queue in &self.queues {
                    queue.send(Entry { line: line.clone(), kept: kept.cloned() });
                }
            }
            Err(error) => tracing::error!(inner = error.for_log(), "a record of the audit log cannot be made"),
        }
    }
}

fn file(path: &Path) -> Result<FileSink, String> {
    FileSink::open(path).map_err(|reason| format!("cannot write the audit file {}: {reason}", path.display()))
}

/// RFC 3339, in UTC.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
mod tests;
