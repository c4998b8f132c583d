//! The audit log: what a record is, its table, and adding to it (`migrations/host/004_audit.sql`).
//!
//! There is no function here that reads the table: the login has no right to.
use std::borrow::Cow;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Serialize, Serializer};
use sha2::Sha256;
use sqlx::postgres::{PgConnection, PgPool};

use crate::context::ContextKey;
use crate::error::DbError;
use crate::identity::ReaderRole;

/// Characters kept of a name that came from outside.
const NAME_CHARS_MAX: usize = 256;
/// Characters kept of a longer text.
const TEXT_CHARS_MAX: usize = 16_384;
/// What the key of [`AuditKey`] is derived for.
const PURPOSE: &str = "stockade audit arguments v1";

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// One tool call.
    Call,
    /// Requests that were refused before they were calls, counted over a while.
    Refusals,
    /// An act of the operator, or of the host itself.
    Act,
}

/// Whether what was asked for was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditDecision {
    /// The tool was started, the act was done.
    Allowed,
    /// It was not.
    Refused,
}

/// One record: a row of `stockade.audit_log`, whose columns are described there, and a line of JSON.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the table's comments describe each column")]
pub struct AuditRecord {
    pub id: String,
    /// RFC 3339.
    pub happened_at: String,
    pub kind: AuditKind,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub caller: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub plugin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub plugin_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_digest: Option<String>,
    pub decision: AuditDecision,
    pub outcome: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub limit_hit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_hash: Option<String>,
    /// JSON as text, which may be cut.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub arguments: Option<String>,
    pub occurrences: i64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub detail: Option<String>,
}

impl AuditRecord {
    /// A record of something that happened once, with all else left open.
    pub fn new(
        id: impl std::fmt::Display,
        happened_at: String,
        kind: AuditKind,
        decision: AuditDecision,
        outcome: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            id: id.to_string(),
            happened_at,
            kind,
            tenant: None,
            principal: None,
            caller: None,
            tool: None,
            plugin: None,
            plugin_version: None,
            plugin_digest: None,
            decision,
            outcome: outcome.into(),
            duration_us: None,
            row_count: None,
            limit_hit: None,
            arguments_hash: None,
            arguments: None,
            occurrences: 1,
            detail: None,
        }
    }

    /// The record as it is kept.
    pub fn line(&self) -> Result<AuditLine, DbError> {
        let json = serde_json::to_string(self).map_err(|error| DbError::internal(format!("audit record: {error}")))?;
        Ok(AuditLine(json.into()))
    }
}

/// A record as one line of JSON, made once for all places where it is kept.
#[derive(Debug, Clone)]
pub struct AuditLine(Arc<str>);

impl AuditLine {
    /// The JSON, without a line break.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Knows arguments again without keeping them. `Debug` does not show it.
#[derive(Clone)]
pub struct AuditKey {
    id: String,
    mac: Hmac<Sha256>,
}

impl AuditKey {
    /// Derives it from the host's key.
    pub fn of(key: &ContextKey) -> Result<Self, DbError> {
        let mac = Hmac::new_from_slice(&key.derive(PURPOSE)?)
            .map_err(|error| DbError::internal(format!("audit key: {error}")))?;
        Ok(Self { id: key.id().to_owned(), mac })
    }

    /// `key id:hex HMAC-SHA-256`. Another key gives another: after a rotation old ones meet no new ones.
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        let mac = self.mac.clone().chain_update(bytes).finalize().into_bytes();
        format!("{}:{}", self.id, hex::encode(mac))
    }
}

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn name<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    clean(text.as_deref(), NAME_CHARS_MAX).serialize(serializer)
}

fn text<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    clean(text.as_deref(), TEXT_CHARS_MAX).serialize(serializer)
}

/// Bounded, and without control characters: PostgreSQL keeps no NUL, and one such name would keep the
/// whole batch out of the table.
fn clean(text: Option<&str>, chars_max: usize) -> Option<String> {
    let kept = text?.chars().take(chars_max);
    Some(kept.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

const APPEND: &str = "
INSERT INTO stockade.audit_log (id, happened_at, kind, tenant, principal, caller, tool, plugin, plugin_version, plugin_digest,
    decision, outcome, duration_us, row_count, limit_hit, arguments_hash, arguments, occurrences, detail)
SELECT r.id, r.happened_at, r.kind, r.tenant, r.principal, r.caller, r.tool, r.plugin, r.plugin_version, r.plugin_digest,
    r.decision, r.outcome, r.duration_us, r.row_count, r.limit_hit, r.arguments_hash, r.arguments, r.occurrences, r.detail
FROM jsonb_to_recordset($1::text::jsonb) AS r (id uuid, happened_at timestamptz, kind text, tenant text, principal text,
    caller text, tool text, plugin text, plugin_version text, plugin_digest text, decision text, outcome text,
    duration_us int8, row_count int8, limit_hit text, arguments_hash text, arguments text, occurrences int8, detail text)
ON CONFLICT DO NOTHING";

/// A batch whose answer got lost is sent again: what is there by then is left alone.
pub(crate) async fn append(control: &PgPool, lines: &[AuditLine]) -> Result<(), DbError> {
    let lines: Vec<&str> = lines.iter().map(AuditLine::as_str).collect();
    // The login's transactions are read-only where nobody says otherwise.
    let mut transaction = control.begin_with("BEGIN READ WRITE").await?;
    sqlx::query(APPEND)
        .persistent(false)
        .bind(format!("[{}]", lines.join(",")))
        .execute(&mut *transaction)
        .await
        .map_err(|error| DbError::unavailable(format!("the audit log cannot be written: {error}")))?;
    Ok(transaction.commit().await?)
}

/// Every row is a reason not to start.
const CHECK: &str = "
SELECT 'the table stockade.audit_log is missing' WHERE to_regclass('stockade.audit_log') IS NULL
UNION ALL SELECT format('role %s may %s stockade.audit_log', r.rolname, p.privilege)
  FROM pg_roles AS r
  CROSS JOIN unnest(ARRAY['SELECT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'INSERT']) AS p (privilege)
  WHERE (r.rolname = session_user AND p.privilege <> 'INSERT' OR r.rolname = ANY ($1))
    AND to_regclass('stockade.audit_log') IS NOT NULL
    AND (has_table_privilege(r.oid, to_regclass('stockade.audit_log'), p.privilege)
         OR p.privilege IN ('SELECT', 'UPDATE', 'REFERENCES', 'INSERT')
            AND has_any_column_privilege(r.oid, to_regclass('stockade.audit_log'), p.privilege))";

/// Whether the log is one that the login cannot rewrite.
pub(crate) async fn check(control: &PgPool, readers: &[ReaderRole]) -> Result<(), DbError> {
    let names: Vec<String> = readers.iter().map(ToString::to_string).collect();
    let unread =
        |error| DbError::unavailable(format!("the rights on the audit log cannot be read: {error}; run the setup"));
    let mut transaction = control.begin().await.map_err(unread)?;
    let query = sqlx::query_scalar(CHECK).persistent(false).bind(&names);
    let reasons: Vec<String> = query.fetch_all(&mut *transaction).await.map_err(unread)?;
    if reasons.is_empty() {
        return Ok(());
    }
    Err(DbError::unavailable(format!(
        "the audit log is not fit to be kept: {}; revoke it, or run the setup with an administrator's connection",
        reasons.join("; ")
    )))
}

/// The record of a set-up, in the set-up's own transaction: both are there, or neither.
pub(crate) async fn record_setup(connection: &mut PgConnection, detail: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SET LOCAL ROLE stockade_owner").execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO stockade.audit_log (id, happened_at, kind, principal, decision, outcome, occurrences, detail)
         VALUES (gen_random_uuid(), clock_timestamp(), 'act', session_user, 'allowed', 'SETUP_APPLIED', 1, $1)",
    )
    .bind(detail)
    .execute(&mut *connection)
    .await?;
    sqlx::raw_sql("RESET ROLE").execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests;
