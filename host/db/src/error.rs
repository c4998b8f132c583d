//! Why something failed: what the caller may read, and what only the log may.
use std::fmt;

/// What this crate's functions fail with.
///
/// `Display` never shows more than the plugin or its caller may read. What belongs into the
/// operator's log is reached through [`DbError::for_log`] alone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The guard refused the statement, or an argument is out of its bounds. The text is safe to show.
    #[error("{code}: {message}")]
    Rejected {
        /// A stable upper-case word, e.g. `SQL_NOT_A_QUERY`.
        code: &'static str,
        /// What was found, what was expected.
        message: String,
    },
    /// A schema, table, function or collection that was not granted, or SQLSTATE 42501.
    #[error("{code}")]
    Forbidden {
        /// A stable upper-case word, e.g. `SCHEMA_NOT_GRANTED`.
        code: &'static str,
        /// For the operator's log only: the caller learns no detail.
        message: String,
    },
    /// PostgreSQL refused or failed the statement.
    #[error("{sqlstate}: {message}")]
    Statement {
        /// Five characters (PostgreSQL, appendix A).
        sqlstate: String,
        /// The primary message, without detail, hint, context or the statement.
        message: String,
    },
    /// The statement's or the call's time ran out, or none of the pool's connections came free.
    #[error("{code}")]
    Timeout {
        /// `STATEMENT_TIMEOUT`, `LOCK_TIMEOUT`, `CALL_DEADLINE`, `POOL_TIMEOUT` or `EMBEDDING_TIMEOUT`.
        code: &'static str,
    },
    /// The database or a model endpoint cannot be reached, hangs up, or is not fit to serve from.
    #[error("the database is unavailable")]
    Unavailable(Inner),
    /// The same, and this call has no use in trying again: it has waited for the database as long as it may, or it
    /// was not let through, because the calls before it found nobody there.
    #[error("the database is unavailable")]
    Outage(Inner),
    /// A bug, or a value from the database that this crate cannot read.
    #[error("internal error")]
    Internal(Inner),
}

impl DbError {
    pub(crate) fn rejected(code: &'static str, message: impl Into<String>) -> Self {
        Self::Rejected { code, message: message.into() }
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::Forbidden { code, message: message.into() }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(Inner(message.into()))
    }

    pub(crate) fn outage(message: impl Into<String>) -> Self {
        Self::Outage(Inner(message.into()))
    }

    /// Whether the database was not there for the call, however that was found out.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Outage(_))
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::Internal(Inner(message.into()))
    }

    /// Whether the same read may go well a moment later: the connection was lost or refused, or the
    /// transaction stood in another's way.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Statement { sqlstate, .. } => matches!(sqlstate.as_str(), "40001" | "40P01"),
            _ => false,
        }
    }

    /// The same, of a statement that the host made: what the server says of it names what is the host's
    /// own, a database or a role, and is nobody else's to read.
    pub(crate) fn of_the_host(self) -> Self {
        match self {
            Self::Statement { sqlstate, message } => Self::unavailable(format!("{sqlstate}: {message}")),
            Self::Forbidden { code: "PERMISSION_DENIED", message } => Self::unavailable(message),
            other => other,
        }
    }

    /// Everything that is known, for the operator's log. Never send this to a caller.
    pub fn for_log(&self) -> String {
        match self {
            Self::Rejected { .. } | Self::Statement { .. } | Self::Timeout { .. } => self.to_string(),
            Self::Forbidden { code, message } => format!("{code}: {message}"),
            Self::Unavailable(inner) | Self::Outage(inner) => format!("unavailable: {}", inner.for_log()),
            Self::Internal(inner) => format!("internal: {}", inner.for_log()),
        }
    }
}

/// A text for the log. `Debug` does not show it, and `Display` does not exist.
#[derive(Clone)]
pub struct Inner(String);

impl Inner {
    /// Keeps a text for the log.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the operator's log.
    pub fn for_log(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inner(…)")
    }
}

/// The SQLSTATE classes and codes that mean something of their own here (PostgreSQL, appendix A).
impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                let sqlstate = database.code().map(|code| code.into_owned()).unwrap_or_default();
                from_sqlstate(sqlstate, database.message())
            }
            sqlx::Error::PoolTimedOut => Self::Timeout { code: "POOL_TIMEOUT" },
            // What is no answer of PostgreSQL's: also a server that hangs up when it is asked for TLS.
            sqlx::Error::Protocol(_)
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::unavailable(error.to_string()),
            other => Self::internal(other.to_string()),
        }
    }
}

fn from_sqlstate(sqlstate: String, message: &str) -> DbError {
    match sqlstate.as_str() {
        "42501" => DbError::forbidden("PERMISSION_DENIED", message),
        "57014" => DbError::Timeout { code: "STATEMENT_TIMEOUT" },
        "55P03" => DbError::Timeout { code: "LOCK_TIMEOUT" },
        "25P03" | "25P04" => DbError::Timeout { code: "CALL_DEADLINE" },
        // The statement asked for more memory than there is, or spilled more than it may: its own failure. What could
        // not be had may be a file, and the first message names it.
        "53200" => DbError::Statement { sqlstate, message: "out of memory".to_owned() },
        "53400" => DbError::Statement { sqlstate, message: scrub(message) },
        // The server is going away, or refuses connections; class 28 is a wrong login.
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => DbError::unavailable(format!("{sqlstate}: {message}")),
        // Classes 58 and F0 are its system's and its files' failures; their messages name paths.
        state if ["08", "28", "53", "58", "F0"].iter().any(|class| state.starts_with(class)) => {
            DbError::unavailable(format!("{sqlstate}: {message}"))
        }
        state if state.starts_with("XX") => DbError::internal(format!("{sqlstate}: {message}")),
        _ => DbError::Statement { sqlstate, message: scrub(message) },
    }
}

/// The longest message that a caller is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// One line without control characters, of bounded length.
fn scrub(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "db-host-7.internal";

    /// What the driver fails with where no statement of a plugin did, with a secret wherever it can hold one.
    fn of_the_driver() -> Vec<sqlx::Error> {
        let text = || SECRET.to_owned();
        vec![
            sqlx::Error::Configuration(text().into()),
            sqlx::Error::InvalidArgument(text()),
            sqlx::Error::Io(std::io::Error::other(SECRET)),
            sqlx::Error::Tls(text().into()),
            sqlx::Error::Protocol(text()),
            sqlx::Error::RowNotFound,
            sqlx::Error::TypeNotFound { type_name: text() },
            sqlx::Error::ColumnNotFound(text()),
            sqlx::Error::ColumnDecode { index: text(), source: text().into() },
            sqlx::Error::Encode(text().into()),
            sqlx::Error::Decode(text().into()),
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::WorkerCrashed,
        ]
    }

    #[test]
    fn no_failure_of_the_driver_shows_its_text() {
        for error in of_the_driver() {
            let shown = format!("{error:?}");
            let error = DbError::from(error);
            assert!(
                !error.to_string().contains(SECRET) && !format!("{error:?}").contains(SECRET),
                "{shown}: {error:?}"
            );
            assert!(shown.contains(SECRET) == error.for_log().contains(SECRET), "the log has it: {shown}");
        }
    }

    #[test]
    fn what_the_server_says_of_itself_is_for_the_log() {
        for sqlstate in [
            "42501", "57014", "55P03", "25P03", "57P01", "57P03", "57P04", "08006", "53100", "53200", "53300", "28P01",
            "58000", "58030", "58P01", "58P02", "F0000", "F0001", "XX000", "XX001",
        ] {
            let error = from_sqlstate(sqlstate.to_owned(), SECRET);
            assert!(!error.to_string().contains(SECRET), "{sqlstate}: {error}");
        }
        let closed = || from_sqlstate("55000".to_owned(), SECRET).of_the_host();
        assert!(!closed().to_string().contains(SECRET) && closed().for_log().contains(SECRET), "{}", closed());
        let own = from_sqlstate("22012".to_owned(), "division by zero\n\u{1b}[2J");
        assert_eq!(own.to_string(), "22012: division by zero  [2J", "a statement's own failure, on one line");
        for sqlstate in ["22012", "53400"] {
            let long = from_sqlstate(sqlstate.to_owned(), &"\u{1b}".repeat(10_000)).to_string();
            assert!(long.len() < 1_000 && !long.contains('\u{1b}'), "{sqlstate}: {} bytes", long.len());
        }
    }
}
