//! The statement guard: SQL as a plugin, or who stands behind it, chose it.

use stockade_db::{DbError, SqlScope, judge_statement};

/// Words that the guard must never let through, whatever stands around them.
const NEVER: &[&str] = &["set_config(", "pg_sleep(", "ts_stat(", "query_to_xml(", "lo_import(", "pg_read_file("];

/// Judges the bytes as a statement.
pub fn read(bytes: &[u8]) {
    let Ok(sql) = std::str::from_utf8(bytes) else { return };
    let scope = SqlScope { schemas: ["app".to_owned()].into(), ..SqlScope::default() };
    match judge_statement(sql, &scope) {
        // Whatever the parser made of it: a text that is nothing but such a call is never admitted.
        Ok(()) => {
            let bare = sql.trim().to_ascii_lowercase();
            let call = NEVER.iter().any(|word| bare.strip_prefix("select ").is_some_and(|rest| rest.starts_with(word)));
            assert!(!call, "admitted: {sql}");
        }
        Err(DbError::Rejected { message, .. } | DbError::Statement { message, .. }) => {
            assert!(message.len() < 4_096, "an answer of {} bytes", message.len());
        }
        Err(DbError::Forbidden { .. }) => {}
        Err(error) => panic!("a statement made the host fail: {}", error.for_log()),
    }
}
