use std::path::PathBuf;

use stockade_db::Inner;

/// Why a runtime does not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The machine or the configuration does not allow the engine that was asked for.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
    /// The plugin directory cannot be read or watched.
    #[error("cannot watch the plugin directory {path}: {reason}; create it, or change `directory` in [plugins]")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The operator's grants cannot be read. The text says which file, and what of it.
    #[error("{0}")]
    Grants(String),
}

/// Why a plugin file is not loaded. The texts are for the operator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or is too large.
    #[error("the file cannot be read: {0}")]
    File(String),
    /// Not a WebAssembly component.
    #[error("not a component: {0}")]
    NotAComponent(String),
    /// The manifest is missing or wrong.
    #[error("wrong manifest: {0}")]
    Manifest(String),
    /// The operator has not granted what the plugin asks for, or it imports what it does not ask for.
    #[error("not granted: {0}")]
    NotGranted(String),
    /// The component does not fit the contract.
    #[error("does not fit the contract: {0}")]
    Contract(String),
    /// A plugin or a tool of this name is loaded from another file.
    #[error("name taken: {0}")]
    NameTaken(String),
}

/// Why a call gave no result. `inner` is for the log alone: `Debug` does not show it, and there is no `Display`.
/// Whoever answers a caller decides, case by case, what it may read.
#[derive(Debug)]
pub enum CallError {
    /// No such tool for this caller.
    UnknownTool,
    /// The arguments do not satisfy the tool's schema; the text says where and why.
    InvalidArguments(String),
    /// The tool rejects its input; the text is the tool's, for the caller.
    Validation {
        /// A stable word.
        code: String,
        /// For the caller.
        message: String,
    },
    /// The tool lacks a right.
    Authorization {
        /// A stable word.
        code: String,
        /// For the log.
        inner: Inner,
    },
    /// The database refused or failed the tool's statement.
    Database {
        /// Five characters, PostgreSQL's.
        sqlstate: String,
        /// PostgreSQL's primary message, scrubbed.
        message: String,
    },
    /// The time of a statement, of the call or for a place to run is over.
    QueryTimeout {
        /// A stable word.
        code: String,
    },
    /// As many instances run as may, and none came free in time; the call may be tried again.
    Busy {
        /// The limit that was reached.
        limit: &'static str,
    },
    /// The plugin was stopped: a trap, a limit, a result that breaks its own schema.
    Stopped {
        /// By what. For the log and the metrics.
        kind: StopKind,
        /// For the log.
        inner: Inner,
    },
    /// The tool says that it failed, in words of its own.
    Failed {
        /// A stable word.
        code: String,
        /// For the log.
        inner: Inner,
    },
    /// The database, or another server that the call needs, could not be reached; the log says which. The call
    /// may be tried again.
    Unavailable,
    /// The host could not do its part.
    Unexpected {
        /// For the log.
        inner: Inner,
    },
}

/// By what a plugin was stopped. All of its words are the host's own, and few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// A limit was reached; its name in the configuration.
    Limit(&'static str),
    /// The guest trapped: `unreachable` (a panic, mostly), `memory`, `table`, `arithmetic`, `contract`
    /// (a forged handle, a wrong use of the host's functions) or `other`.
    Trap(&'static str),
    /// Its result is no JSON, or breaks its own schema.
    Result,
}

impl StopKind {
    /// The limit's name, where one was reached.
    #[must_use]
    pub fn limit(self) -> Option<&'static str> {
        match self {
            Self::Limit(limit) => Some(limit),
            Self::Trap(_) | Self::Result => None,
        }
    }

    /// `limit`, `result`, or the kind of trap.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::Trap(kind) => kind,
            Self::Result => "result",
        }
    }
}
