//! Making and reading errors. The five cases are the contract's: see `wit/README.md`.

use crate::{Error, Failure};

impl Error {
    /// The caller's input is wrong. The caller reads `message`: name the field, what was found, what was
    /// expected. `code` is a stable upper-case word of the plugin's own, e.g. `STORE_UNKNOWN`.
    pub fn validation(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Validation(failure(code, message))
    }

    /// A right is missing. The caller reads neither code nor message, the operator's log has both.
    pub fn authorization(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Authorization(failure(code, message))
    }

    /// Something is wrong that is not the caller's doing. The caller gets a request id, the operator's
    /// log has code and message. Keep rows' values out of the message.
    pub fn unexpected(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unexpected(failure(code, message))
    }

    /// The word to match on: the failure's code, or SQLSTATE where the database failed.
    pub fn code(&self) -> &str {
        match self {
            Self::Validation(failure)
            | Self::Authorization(failure)
            | Self::QueryTimeout(failure)
            | Self::Unexpected(failure) => &failure.code,
            Self::Database(failure) => &failure.sqlstate,
        }
    }

    /// The sentence to read.
    pub fn message(&self) -> &str {
        match self {
            Self::Validation(failure)
            | Self::Authorization(failure)
            | Self::QueryTimeout(failure)
            | Self::Unexpected(failure) => &failure.message,
            Self::Database(failure) => &failure.message,
        }
    }
}

fn failure(code: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into() }
}
