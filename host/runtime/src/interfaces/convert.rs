//! Types and errors between the database and the contract.

use std::sync::atomic::Ordering;

use stockade_db::{ColumnValues as DbValues, DbError, ResultSet as DbResultSet};

use crate::{
    bindings::stockade::plugin::types::{
        self, Column, ColumnValues, DatabaseFailure, Error, Failure, FixedPoint, Packed, ResultSet, VectorArray,
    },
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

impl Call {
    /// What the guest learns of a database error. What it may not learn goes to the log, here and once.
    pub(crate) fn database_error(&self, error: DbError) -> HostError {
        HostError::Guest(match error {
            DbError::Rejected { code, message } => Error::Validation(failure(code, message)),
            DbError::Forbidden { code, message } => {
                tracing::warn!(request_id = %self.request_id, plugin = %self.plugin.name, fault = "plugin", code, reason = %message, "refused");
                Error::Authorization(failure(code, "not granted, or not there"))
            }
            DbError::Statement { sqlstate, message } => Error::Database(DatabaseFailure { sqlstate, message }),
            DbError::Timeout { code } => Error::QueryTimeout(failure(code, "the time for this statement is over")),
            DbError::Unavailable(inner) => {
                tracing::error!(request_id = %self.request_id, plugin = %self.plugin.name, fault = "host", reason = %inner.for_log(), "database unavailable");
                self.unavailable.store(true, Ordering::Relaxed);
                Error::Unexpected(failure("UNAVAILABLE", self.request_id.clone()))
            }
            DbError::Internal(inner) => {
                tracing::error!(request_id = %self.request_id, plugin = %self.plugin.name, fault = "host", reason = %inner.for_log(), "database failed");
                Error::Unexpected(failure("UNEXPECTED", self.request_id.clone()))
            }
        })
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
