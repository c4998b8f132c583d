use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rmcp::model::CallToolRequestParams;
use stockade_db::{AuditDecision, AuditKind, AuditRecord};
use stockade_runtime::{CallError, CallReport, ToolOutput};
use tokio::sync::mpsc;

use super::{Audit, Open, Refusal};
use crate::{
    auth::KnownCaller,
    config::AuditArguments,
    errors::{Failure, time_limit},
};

/// Time that a reply waits for its record, where a record is required.
const KEPT_MAX: Duration = Duration::from_secs(5);

/// What is known of a call under way. Dropped before its end, it records that the call was cancelled.
pub(crate) struct CallRecord {
    /// What the runtime learns of the call.
    pub(crate) report: CallReport,
    unwritten: Option<Unwritten>,
}

struct Unwritten {
    open: Arc<Open>,
    known: Arc<KnownCaller>,
    record: AuditRecord,
    started: Instant,
}

/// What a record says of how a call ended.
struct Verdict {
    decision: AuditDecision,
    outcome: &'static str,
    limit: Option<String>,
    detail: Option<String>,
}

impl Audit {
    /// Begins the record of a call.
    ///
    /// # Errors
    /// When a record is required and no place can be written to: the call must not run.
    pub(crate) fn begin(
        &self,
        known: &Arc<KnownCaller>,
        request_id: &str,
        request: &CallToolRequestParams,
        report: CallReport,
    ) -> Result<CallRecord, Failure> {
        let Some(open) = &self.0 else { return Ok(CallRecord { report, unwritten: None }) };
        if open.required && !open.queues.iter().any(super::Queue::is_well) {
            return Err(Failure::Unrecorded);
        }
        let identity = &known.caller.identity;
        // What it ends as is written over this; what is dropped stays.
        let (kind, decision) = (AuditKind::Call, AuditDecision::Allowed);
        let mut record = AuditRecord::new(request_id, super::now(), kind, decision, "CANCELLED");
        record.tenant = Some(identity.tenant.to_string());
        record.principal = Some(identity.principal.to_string());
        record.caller = Some(known.name.to_string());
        record.tool = Some(request.name.to_string());
        if let Some(arguments) = &request.arguments
            && let Ok(json) = serde_json::to_string(arguments)
        {
            record.arguments_hash = Some(open.key.fingerprint(json.as_bytes()));
            record.arguments = (open.arguments() == AuditArguments::Whole).then_some(json);
        }
        let (open, known) = (Arc::clone(open), Arc::clone(known));
        Ok(CallRecord { report, unwritten: Some(Unwritten { open, known, record, started: Instant::now() }) })
    }
}

impl CallRecord {
    /// Records how the call ended (`None`: cancelled) and gives the outcome back. Where a record is
    /// required it waits for it, and takes the outcome away if there is none.
    pub(crate) async fn end(
        mut self,
        outcome: Option<Result<ToolOutput, Failure>>,
    ) -> Option<Result<ToolOutput, Failure>> {
        let Some(mut unwritten) = self.unwritten.take() else { return outcome };
        let failure = match &outcome {
            // Who is over a limit may ask again as fast as the network is: counted, not listed.
            Some(Err(Failure::Busy { own })) => {
                let reason = if *own { "CALLS_PER_CALLER_MAX" } else { "CALLS_MAX" };
                return unwritten.only_counted(reason, outcome);
            }
            Some(Err(Failure::Exhausted(exhausted))) => {
                let reason = exhausted.reason();
                return unwritten.only_counted(reason, outcome);
            }
            Some(Ok(_)) => None,
            Some(Err(failure)) => Some(failure),
            None => {
                unwritten.write(&self.report, None);
                return None;
            }
        };
        let verdict = verdict(failure, &self.report);
        unwritten.record.decision = verdict.decision;
        unwritten.record.outcome = verdict.outcome.into();
        unwritten.record.limit_hit = verdict.limit;
        unwritten.record.detail = verdict.detail;
        if !unwritten.open.required {
            unwritten.write(&self.report, None);
            return outcome;
        }
        let (kept, mut hears) = mpsc::channel(1);
        unwritten.write(&self.report, Some(&kept));
        drop(kept);
        match tokio::time::timeout(KEPT_MAX, hears.recv()).await {
            Ok(Some(())) => outcome,
            Ok(None) | Err(_) => Some(Err(Failure::Unrecorded)),
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.write(&self.report, None);
        }
    }
}

impl Unwritten {
    fn only_counted<T>(self, reason: &'static str, outcome: T) -> T {
        self.open.refusals.count(Refusal::of(Some(&self.known), reason));
        outcome
    }

    fn write(&mut self, report: &CallReport, kept: Option<&mpsc::Sender<()>>) {
        let record = &mut self.record;
        record.duration_us = Some(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX));
        record.row_count = report.rows().map(|rows| i64::try_from(rows).unwrap_or(i64::MAX));
        if let Some((name, version, digest)) = report.plugin() {
            record.plugin = Some(name.to_owned());
            record.plugin_version = Some(version.to_owned());
            record.plugin_digest = Some(digest);
        }
        self.open.send(record, kept);
    }
}

fn verdict(failure: Option<&Failure>, report: &CallReport) -> Verdict {
    let of = |decision, outcome| Verdict { decision, outcome, limit: None, detail: None };
    let (allowed, refused) = (AuditDecision::Allowed, AuditDecision::Refused);
    let Some(failure) = failure else { return of(allowed, "DONE") };
    match failure {
        Failure::Call(CallError::UnknownTool) => of(refused, "UNKNOWN_TOOL"),
        Failure::Call(CallError::InvalidArguments(_)) => of(refused, "INVALID_ARGUMENTS"),
        Failure::Call(CallError::Validation { code, .. }) => {
            Verdict { detail: Some(code.clone()), ..of(allowed, "VALIDATION_ERROR") }
        }
        Failure::Call(CallError::Authorization { code, .. }) => {
            Verdict { detail: Some(code.clone()), ..of(allowed, "AUTHORIZATION_ERROR") }
        }
        Failure::Call(CallError::Database { sqlstate, .. }) => {
            Verdict { detail: Some(sqlstate.clone()), ..of(allowed, "DATABASE_ERROR") }
        }
        Failure::Call(CallError::QueryTimeout { code }) => {
            // Time may run out before there is a place to run.
            let decision = if report.rows().is_some() { allowed } else { refused };
            let limit = time_limit(code).map(str::to_owned);
            Verdict { limit, detail: Some(code.clone()), ..of(decision, "QUERY_TIMEOUT") }
        }
        Failure::Call(CallError::Failed { code, .. }) => {
            Verdict { detail: Some(code.clone()), ..of(allowed, "FAILED") }
        }
        Failure::Call(CallError::Stopped { kind, .. }) => {
            Verdict { limit: kind.limit().map(str::to_owned), ..of(allowed, "STOPPED") }
        }
        Failure::Call(CallError::Busy { limit }) => {
            Verdict { limit: Some((*limit).to_owned()), ..of(refused, "SERVER_BUSY") }
        }
        Failure::Call(CallError::Unexpected { .. } | CallError::Unavailable) | Failure::Panicked => {
            of(allowed, "HOST_ERROR")
        }
        // The first two are counted, and have no record of their own.
        Failure::Busy { .. } | Failure::Exhausted(_) | Failure::Stopping => of(refused, "SERVER_BUSY"),
        Failure::Unrecorded => of(refused, "UNRECORDED"),
        Failure::Scope(_) => of(refused, "INSUFFICIENT_SCOPE"),
    }
}
