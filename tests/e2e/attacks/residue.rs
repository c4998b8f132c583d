//! What a connection is left with when an attack's transaction has ended.

use std::collections::BTreeMap;

use super::wire::Wire;

/// Names of what may be left, each with how to see it. Schemas are written: the path may be hostile.
const PROBE: &str = "SELECT pg_catalog.concat_ws(' ',
    CASE WHEN current_user <> session_user OR session_user <> 'stockade_login' THEN 'role' END,
    CASE WHEN pg_catalog.current_setting('stockade.context', true) <> '' THEN 'context' END,
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) THEN 'temp' END,
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_prepared_statement()) THEN 'prepared' END,
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c WHERE c.name OPERATOR(pg_catalog.<>) '') THEN 'cursor' END,
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN 'listen' END,
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_lock_status() AS l WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
        AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) THEN 'lock' END)";

/// The probe needs to see what the lock-down hides; the login alone gets it, and no reader is the login.
pub(crate) const PROBE_GRANTS: &str = "GRANT EXECUTE ON FUNCTION pg_prepared_statement(), pg_cursor(), \
    pg_listening_channels(), pg_lock_status() TO stockade_login";

/// A connection's settings as they were when nothing had happened on it.
pub(crate) struct Residue {
    settings: BTreeMap<String, String>,
}

impl Residue {
    pub(crate) async fn before(wire: &mut Wire) -> Self {
        Self { settings: settings(wire).await }
    }

    /// Words for what is left, in one line; empty when nothing is.
    pub(crate) async fn left(&self, wire: &mut Wire) -> String {
        let probe = wire.query(PROBE).await;
        // A role that may not even ask is itself what is left.
        let mut left = match probe.sqlstate.as_deref() {
            Some("42501") => "role".to_owned(),
            Some(sqlstate) => format!("a probe that fails with {sqlstate}"),
            None => probe.value().to_owned(),
        };
        // A library that was loaded meanwhile brings settings of its own.
        let now = settings(wire).await;
        if self.settings.iter().any(|(name, value)| now.get(name) != Some(value)) {
            left = format!("{left} setting").trim().to_owned();
        }
        left
    }
}

async fn settings(wire: &mut Wire) -> BTreeMap<String, String> {
    let said = wire.query("SHOW ALL").await;
    said.rows.into_iter().map(|mut row| (std::mem::take(&mut row[0]), std::mem::take(&mut row[1]))).collect()
}
