//! Types and errors between the database and the contract.

use stockade_db::{ColumnValues as DbValues, DbError, ResultSet as DbResultSet};

use crate::{
    bindings::stockade::plugin::types::{
        self, Column, ColumnValues, DatabaseFailure, Error, Failure, FixedPoint, Packed, ResultSet, VectorArray,
    },
    limits::Limits,
    state::{Call, CallState},
};

/// How a host function fails: an error that the guest handles, or a trap that ends it. Only what
/// is written as a trap becomes one.
#[derive(Debug)]
pub(crate) enum HostError {
    /// The guest gets this value.
    Guest(Error),
    /// The guest is stopped.
    Trap(wasmtime::Error),
}

pub(crate) type HostResult<T> = Result<T, HostError>;

impl From<wasmtime::Error> for HostError {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}

impl From<wasmtime::component::ResourceTableError> for HostError {
    fn from(forged: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(forged.into())
    }
}

impl types::Host for CallState {
    fn convert_error(&mut self, error: HostError) -> wasmtime::Result<Error> {
        match error {
            HostError::Guest(error) => Ok(error),
            HostError::Trap(trap) => Err(trap),
        }
    }
}

fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into() }
}

/// The guest's argument is wrong.
pub(crate) fn invalid(code: &str, message: impl Into<String>) -> HostError {
    HostError::Guest(Error::Validation(failure(code, message)))
}

/// The guest may not. It learns what it asked for, and no more.
pub(crate) fn forbidden(code: &str, message: impl Into<String>) -> HostError {
    HostError::Guest(Error::Authorization(failure(code, message)))
}

/// What of the host failed.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Database,
    Embedder,
}

/// The code of what the host could not reach, and of what it could not do: a tool that returns one of them passes
/// on what it was told.
pub(crate) const UNAVAILABLE: &str = "UNAVAILABLE";
pub(crate) const UNEXPECTED: &str = "UNEXPECTED";

impl Call {
    /// What the guest learns of a database error. What it may not learn goes to the log.
    pub(crate) fn database_error(&mut self, error: DbError) -> HostError {
        self.error(Part::Database, error)
    }

    /// The same of an error of what embeds texts.
    pub(crate) fn embedder_error(&mut self, error: DbError) -> HostError {
        self.error(Part::Embedder, error)
    }

    /// A guest can ask for what it may not have, or for what is not there, as often as it likes: of the first it is
    /// counted with its lines, of the second it is said once in a call.
    fn error(&mut self, part: Part, error: DbError) -> HostError {
        let said = match &error {
            DbError::Forbidden { .. } => !self.may_log(),
            DbError::Unavailable(_) | DbError::Outage(_) => std::mem::replace(&mut self.unavailable, true),
            DbError::Internal(_) => std::mem::replace(&mut self.failed, true),
            DbError::Timeout { code: "CALL_DEADLINE" } => {
                // Also where a transaction lay idle for too long; then there may be time left.
                self.late = tokio::time::Instant::now() + Limits::GRACE >= self.deadline;
                true
            }
            DbError::Rejected { .. } | DbError::Statement { .. } | DbError::Timeout { .. } => true,
        };
        if !said {
            log(part, &error, &self.request_id, &self.plugin.name);
        }
        HostError::Guest(told(error, &self.request_id))
    }
}

fn log(part: Part, error: &DbError, request_id: &str, plugin: &str) {
    let (unavailable, failed) = match part {
        Part::Database => ("database unavailable", "database failed"),
        Part::Embedder => ("embedder unavailable", "embedder failed"),
    };
    match error {
        DbError::Forbidden { code, message } => {
            tracing::warn!(request_id, plugin, fault = "plugin", code, reason = message, "refused");
        }
        DbError::Unavailable(inner) | DbError::Outage(inner) => {
            tracing::error!(request_id, plugin, fault = "host", reason = inner.for_log(), "{unavailable}");
        }
        DbError::Internal(inner) => {
            tracing::error!(request_id, plugin, fault = "host", reason = inner.for_log(), "{failed}");
        }
        DbError::Rejected { .. } | DbError::Statement { .. } | DbError::Timeout { .. } => {}
    }
}

fn told(error: DbError, request_id: &str) -> Error {
    match error {
        DbError::Rejected { code, message } => Error::Validation(failure(code, message)),
        DbError::Forbidden { code, .. } => Error::Authorization(failure(code, "not granted, or not there")),
        DbError::Statement { sqlstate, message } => Error::Database(DatabaseFailure { sqlstate, message }),
        DbError::Timeout { code } => Error::QueryTimeout(failure(code, "the time for this statement is over")),
        DbError::Unavailable(_) | DbError::Outage(_) => Error::Unexpected(failure(UNAVAILABLE, request_id)),
        DbError::Internal(_) => Error::Unexpected(failure(UNEXPECTED, request_id)),
    }
}

/// The columns move; no value is copied.
pub(crate) fn result_set(set: DbResultSet) -> ResultSet {
    let columns = set.columns.into_iter().map(|column| Column {
        name: column.name,
        type_name: column.type_name,
        nulls: column.nulls,
        values: column_values(column.values),
    });
    ResultSet { columns: columns.collect(), row_count: set.row_count, truncated: set.truncated }
}

fn packed(packed: stockade_db::Packed) -> Packed {
    Packed { offsets: packed.offsets, data: packed.data }
}

fn column_values(values: DbValues) -> ColumnValues {
    match values {
        DbValues::Booleans(v) => ColumnValues::Booleans(v),
        DbValues::Integers(v) => ColumnValues::Integers(v),
        DbValues::Floats(v) => ColumnValues::Floats(v),
        DbValues::Decimals(d) => ColumnValues::Decimals(FixedPoint { scale: d.scale, unscaled: d.unscaled }),
        DbValues::Texts(v) => ColumnValues::Texts(packed(v)),
        DbValues::Bytes(v) => ColumnValues::Bytes(packed(v)),
        DbValues::Dates(v) => ColumnValues::Dates(v),
        DbValues::Timestamps(v) => ColumnValues::Timestamps(v),
        DbValues::Times(v) => ColumnValues::Times(v),
        DbValues::Vectors(v) => ColumnValues::Vectors(VectorArray { dimension: v.dimension, elements: v.elements }),
    }
}

#[cfg(test)]
mod tests {
    use stockade_db::Inner;

    use super::*;

    const SECRET: &str = "inner-text-of-the-database";

    /// Every kind, with a secret wherever a guest may not look. A new one is to be added here: the match
    /// says so.
    fn every_kind() -> Vec<DbError> {
        let message = || "for the caller".to_owned();
        let kinds = vec![
            DbError::Rejected { code: "CODE", message: message() },
            DbError::Forbidden { code: "CODE", message: SECRET.into() },
            DbError::Statement { sqlstate: "22012".into(), message: message() },
            DbError::Timeout { code: "CODE" },
            DbError::Unavailable(Inner::new(SECRET)),
            DbError::Outage(Inner::new(SECRET)),
            DbError::Internal(Inner::new(SECRET)),
        ];
        for kind in &kinds {
            match kind {
                DbError::Rejected { .. }
                | DbError::Forbidden { .. }
                | DbError::Statement { .. }
                | DbError::Timeout { .. }
                | DbError::Unavailable(_)
                | DbError::Outage(_)
                | DbError::Internal(_) => {}
            }
        }
        kinds
    }

    #[test]
    fn no_kind_of_database_error_shows_a_guest_its_inner_text() {
        for kind in every_kind() {
            let shown = format!("{:?}", told(kind, "r-1"));
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}
