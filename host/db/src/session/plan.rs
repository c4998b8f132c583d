//! How the server would run a slow statement, for the operator's log alone.
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Row, ValueRef};
use tokio::time::Instant;

use crate::database::Database;
use crate::encode;
use crate::error::DbError;
use crate::identity::Identity;
use crate::lease::{Isolation, Lease, TakeRow};
use crate::share::Purpose;
use crate::value::Statement;

/// Time to get a plan, a connection included.
const PLAN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a plan that are logged.
const PLAN_BYTES_MAX: usize = 16_384;

/// Asks for the plan and logs it, behind what the caller does. One at a time: more are not asked for.
pub(super) fn log_behind(
    database: &Database,
    identity: &Identity,
    fingerprint: &str,
    request_id: &str,
    statement: Statement,
) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let Ok(only) = std::sync::Arc::clone(&database.inner.planning).try_acquire_owned() else { return };
    let (database, identity) = (database.clone(), identity.clone());
    let (fingerprint, request_id) = (fingerprint.to_owned(), request_id.to_owned());
    runtime.spawn(async move {
        let _only = only;
        let planned = tokio::time::timeout(PLAN_TIMEOUT, plan(&database, &identity, &statement)).await;
        match planned.unwrap_or(Err(DbError::Timeout { code: "PLAN_TIMEOUT" })) {
            Ok(plan) => tracing::warn!(fingerprint, request_id, plan, "plan of a slow statement"),
            Err(error) => {
                let inner = error.for_log();
                tracing::warn!(fingerprint, request_id, inner, "a slow statement's plan could not be had");
            }
        }
    });
}

/// As the caller: the plan that row security gives to anybody else says nothing.
async fn plan(database: &Database, identity: &Identity, statement: &Statement) -> Result<String, DbError> {
    let arguments = encode::arguments(&statement.parameters)?;
    let deadline = Instant::now() + PLAN_TIMEOUT;
    let (node, isolation) = (&database.inner.primary, Isolation::ReadCommitted);
    let mut lease = Lease::begin(database, node, identity, isolation, Purpose::Statements, deadline).await?;
    let mut lines = Lines(String::new());
    match lease.explain(&statement.text, arguments, &mut lines).await {
        Ok(()) => lease.rollback().await?,
        Err(error) => return Err(super::give_up(lease, error).await),
    }
    Ok(without_texts(&lines.0))
}

struct Lines(String);

impl TakeRow for Lines {
    async fn take(&mut self, _: usize, row: PgRow) -> Result<(), DbError> {
        let value = row.try_get_raw(0)?;
        if !value.is_null() && self.0.len() < PLAN_BYTES_MAX {
            self.0.push_str(value.as_str().map_err(|error| DbError::internal(error.to_string()))?);
            self.0.push('\n');
        }
        Ok(())
    }
}

/// Conditions in a plan repeat the statement's texts, which may be anything: each becomes `'?'`.
fn without_texts(plan: &str) -> String {
    let mut out = String::with_capacity(plan.len());
    let mut inside = false;
    for part in plan.split_inclusive('\'') {
        let text = part.strip_suffix('\'').unwrap_or(part);
        out.push_str(if inside { "?" } else { text });
        if text.len() < part.len() {
            out.push('\'');
            inside = !inside;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_holds_no_text_of_the_statement() {
        let plan = "Filter: ((a = 'sec''ret'::text) AND (b > 5))\n  Index Cond: (c = 'x')";
        let shown = without_texts(plan);
        assert!(shown.contains("Index Cond: (c = '?')") && shown.contains("(b > 5)"), "{shown}");
        assert!(!shown.contains("sec") && !shown.contains("ret"), "{shown}");
        assert_eq!(without_texts("cut 'off"), "cut '?");
    }
}
