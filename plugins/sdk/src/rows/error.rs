//! Why a value could not be read. Messages name types and never quote a value: they go to the log.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::{Column, Error};

#[derive(Debug)]
pub(super) struct ReadError {
    message: String,
    placed: bool,
    missing_field: bool,
}

impl ReadError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), placed: false, missing_field: false }
    }

    /// Add which columns there are, where one is missing.
    pub(super) fn among(mut self, columns: impl FnOnce() -> String) -> Self {
        if self.missing_field {
            self.message = format!("{}; the columns are {}", self.message, columns());
            self.missing_field = false;
        }
        self
    }

    /// Name the column, unless something further in has.
    pub(super) fn at(mut self, column: &Column, row: usize) -> Self {
        if !self.placed {
            let Column { name, type_name, .. } = column;
            self.message = format!("column `{name}` ({type_name}), row {row}: {}", self.message);
            self.placed = true;
        }
        self
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::unexpected("RESULT_SHAPE", error.message)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing_field: true, ..Self::new(format!("no column `{field}`")) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {} out of range", kind(&found)))
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "a value of another kind",
    }
}
