//! How long statements take: by tool, by tenant and by statement, in memory of a bounded size.
mod histogram;
mod top;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::top::Top;
pub use self::top::{Dimension, Timing};

/// Tools, and tenants, that are kept apart for certain; the others are counted together.
const NAMES_MAX: usize = 256;
/// Statements that are kept apart for certain.
const STATEMENTS_MAX: usize = 512;

/// One statement that has run, to its end or not.
pub(crate) struct Sample<'a> {
    pub(crate) tool: &'a Arc<str>,
    pub(crate) tenant: &'a Arc<str>,
    /// The statement's fingerprint, and its text without values.
    pub(crate) statement: (&'a Arc<str>, &'a Arc<str>),
    pub(crate) took: Duration,
    pub(crate) rows: u64,
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// What has run since the host started.
pub(crate) struct Statistics {
    since: SystemTime,
    kept: Mutex<Kept>,
}

struct Kept {
    tools: Top,
    tenants: Top,
    statements: Top,
}

/// Statements by tool, by tenant and by form, those that took the most time first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatementStatistics {
    /// When counting began, in seconds since 1970.
    pub since_s: u64,
    /// A statement that takes as long is slow, in milliseconds.
    pub slow_statement_ms: u64,
    /// By the tool whose call ran them.
    pub tools: Dimension,
    /// By the tenant whose call ran them.
    pub tenants: Dimension,
    /// By the statement's form, named by its fingerprint.
    pub statements: Dimension,
}

impl Default for Statistics {
    fn default() -> Self {
        let kept =
            Kept { tools: Top::new(NAMES_MAX), tenants: Top::new(NAMES_MAX), statements: Top::new(STATEMENTS_MAX) };
        Self { since: SystemTime::now(), kept: Mutex::new(kept) }
    }
}

impl Statistics {
    pub(crate) fn record(&self, sample: &Sample<'_>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (fingerprint, text) = sample.statement;
        kept.tools.add(sample.tool, None, sample);
        kept.tenants.add(sample.tenant, None, sample);
        kept.statements.add(fingerprint, Some(text), sample);
    }

    pub(crate) fn snapshot(&self, slow_statement_ms: u64) -> StatementStatistics {
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        StatementStatistics {
            since_s: since.as_secs(),
            slow_statement_ms,
            tools: kept.tools.dimension(),
            tenants: kept.tenants.dimension(),
            statements: kept.statements.dimension(),
        }
    }
}

#[cfg(test)]
mod tests;
