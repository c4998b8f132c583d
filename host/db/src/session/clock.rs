//! How long a statement took, however it ended.
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan;
use crate::database::Database;
use crate::guard::Fingerprint;
use crate::identity::Identity;
use crate::statistics::Sample;
use crate::value::Statement;

/// Whose statements a session runs.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) identity: Identity,
    pub(crate) tenant: Arc<str>,
    pub(crate) tool: Arc<str>,
    pub(crate) request_id: Arc<str>,
}

/// One statement's time on the server and on the way. Waiting for a connection does not count, nor what a
/// plugin does between two fetches. Dropped while it runs, the statement failed or was cut off.
pub(crate) struct Clock {
    database: Database,
    origin: Arc<Origin>,
    fingerprint: Arc<Fingerprint>,
    /// Kept for the plan, where one may be wanted.
    statement: Option<Statement>,
    running: Option<Instant>,
    took: Duration,
    rows: u64,
}

impl Clock {
    pub(crate) fn new(database: &Database, origin: &Arc<Origin>, statement: &Statement) -> Self {
        Self {
            fingerprint: database.fingerprint(&statement.text),
            statement: database.adjustable().slow_statement_plan.then(|| statement.clone()),
            database: database.clone(),
            origin: Arc::clone(origin),
            running: None,
            took: Duration::ZERO,
            rows: 0,
        }
    }

    pub(crate) fn go(&mut self) {
        self.running = Some(Instant::now());
    }

    /// A step went well, and gave so many rows.
    pub(crate) fn pause(&mut self, rows: u32) {
        self.took += self.running.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.rows += u64::from(rows);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let failed = self.running.is_some();
        self.pause(0);
        if self.took.is_zero() {
            return; // It was never sent.
        }
        let Origin { identity, tenant, tool, request_id } = &*self.origin;
        let slow = self.took >= Duration::from_millis(self.database.adjustable().slow_statement_ms);
        self.database.inner.statistics.record(&Sample {
            tool,
            tenant,
            statement: (&self.fingerprint.id, &self.fingerprint.text),
            took: self.took,
            rows: self.rows,
            failed,
            slow,
        });
        if !slow {
            return;
        }
        let (duration_ms, fingerprint) = (self.took.as_millis(), &*self.fingerprint.id);
        let duration_ms = u64::try_from(duration_ms).unwrap_or(u64::MAX);
        let (tool, tenant, request_id) = (&**tool, &**tenant, &**request_id);
        tracing::warn!(fingerprint, tool, tenant, request_id, duration_ms, rows = self.rows, failed, "slow statement");
        if let Some(statement) = self.statement.take() {
            plan::log_behind(&self.database, identity, fingerprint, request_id, statement);
        }
    }
}
