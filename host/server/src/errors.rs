//! The one place where an error of the tools becomes an answer to a client and a line in the log.
//!
//! What the caller may read and what only the operator may read part here. A log line is written once
//! for each failed call, with whose fault it was.

use std::{borrow::Cow, time::Duration};

use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, ErrorCode},
};
use stockade_runtime::CallError;

use crate::tenants::Exhausted;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Caller,
    Plugin,
    Host,
}

impl Fault {
    fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Plugin => "plugin",
            Self::Host => "host",
        }
    }
}

/// Why a call gave no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The tools say so.
    Call(CallError),
    /// As many calls run as may, and none ended in time.
    Busy {
        /// Whether the caller's own calls are too many, and not all together.
        own: bool,
    },
    /// The tenant has used what it may for now.
    Exhausted(Exhausted),
    /// The request's token lacks one of these scopes, which the call needs.
    Scope(String),
    /// The server is about to stop.
    Stopping,
    /// The audit log cannot be written, and the operator wants every call in it.
    Unrecorded,
    /// A bug of the host.
    Panicked,
}

/// What a failure says to whom.
struct Words {
    fault: Fault,
    code: &'static str,
    /// For the caller.
    outer: Cow<'static, str>,
    /// For the log: a stable word, and a text that may hold anything.
    detail: String,
    inner: String,
}

impl Words {
    fn new(fault: Fault, code: &'static str, outer: impl Into<Cow<'static, str>>) -> Self {
        Self { fault, code, outer: outer.into(), detail: String::new(), inner: String::new() }
    }

    fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    fn inner(self, inner: impl Into<String>) -> Self {
        Self { inner: inner.into(), ..self }
    }
}

/// Logs the failure and says what the client gets: a protocol error for a tool that does not exist
/// for this caller, for everything else a result that the model reads, with `isError`.
pub(crate) fn answer(failure: Failure, request_id: &str) -> Result<CallToolResult, ErrorData> {
    let words = match failure {
        Failure::Call(error) => words(error).ok_or_else(|| {
            tracing::info!(fault = Fault::Caller.as_str(), code = "UNKNOWN_TOOL", "call failed");
            unknown_tool()
        })?,
        Failure::Busy { own } => {
            let fault = if own { Fault::Caller } else { Fault::Host };
            Words::new(fault, "SERVER_BUSY", "too many calls are running; try again in a moment")
        }
        Failure::Exhausted(Exhausted { limit, retry_after }) => {
            let outer = format!("this tenant has used what it may; try again in {} s", whole_seconds(retry_after));
            Words::new(Fault::Caller, "LIMIT_REACHED", outer).detail(limit)
        }
        Failure::Scope(needed) => {
            let outer = format!("the token lacks a scope; needed are: {needed}");
            Words::new(Fault::Caller, "AUTHORIZATION_ERROR", outer).detail("INSUFFICIENT_SCOPE")
        }
        Failure::Stopping => {
            Words::new(Fault::Host, "SERVER_BUSY", "the server is about to stop; try again in a moment")
        }
        Failure::Unrecorded => Words::new(Fault::Host, "MCP_ERROR", "internal error")
            .inner("the audit log cannot be written, and `required` in [audit] is true"),
        Failure::Panicked => Words::new(Fault::Host, "MCP_ERROR", "internal error").inner("panicked"),
    };
    log(&words);
    let text = format!("{}: {} (request {request_id})", words.code, words.outer);
    Ok(CallToolResult::error(vec![ContentBlock::text(text)]))
}

/// Rounded up: whoever comes back then is not too early.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The same for a tool that does not exist, is not granted, is disabled, or is another tenant's.
fn unknown_tool() -> ErrorData {
    ErrorData::new(ErrorCode::INVALID_PARAMS, "Unknown tool", None)
}

/// `None` for a tool that there is not: that is answered by the protocol.
fn words(error: CallError) -> Option<Words> {
    Some(match error {
        CallError::UnknownTool => return None,
        CallError::InvalidArguments(message) => {
            Words::new(Fault::Caller, "VALIDATION_ERROR", message).detail("INVALID_ARGUMENTS")
        }
        CallError::Validation { code, message } => Words::new(Fault::Caller, "VALIDATION_ERROR", message).detail(code),
        CallError::Authorization { code, inner } => {
            Words::new(Fault::Plugin, "AUTHORIZATION_ERROR", "not allowed").detail(code).inner(inner)
        }
        CallError::Database { sqlstate, message } => {
            let outer = format!("{message} [SQLSTATE {sqlstate}]");
            Words::new(Fault::Plugin, "DATABASE_ERROR", outer).detail(sqlstate).inner(message)
        }
        CallError::QueryTimeout { code } => {
            Words::new(Fault::Plugin, "QUERY_TIMEOUT", "the call ran out of time; it may be tried again").detail(code)
        }
        CallError::Busy { limit } => {
            Words::new(Fault::Host, "SERVER_BUSY", "too many calls are running; try again in a moment").detail(limit)
        }
        CallError::Stopped { limit, inner } => {
            let words = Words::new(Fault::Plugin, "MCP_ERROR", "the tool was stopped");
            words.detail(limit.unwrap_or_default()).inner(inner)
        }
        CallError::Unavailable => {
            let outer = "something that the call needs cannot be reached; try again in a moment";
            Words::new(Fault::Host, "SERVER_BUSY", outer).detail("UNAVAILABLE")
        }
        CallError::Unexpected { inner } => Words::new(Fault::Host, "MCP_ERROR", "internal error").inner(inner),
    })
}

/// Arguments and a validation's text are the caller's own and stay out of the log. Values that are
/// strings are escaped by the log's formatters: no plugin writes a second line into it.
fn log(words: &Words) {
    let Words { fault, code, outer: _, detail, inner } = words;
    let (detail, inner) = (detail.as_str(), inner.as_str());
    match fault {
        Fault::Host => tracing::error!(fault = fault.as_str(), code, detail, inner, "call failed"),
        Fault::Plugin => tracing::warn!(fault = fault.as_str(), code, detail, inner, "call failed"),
        Fault::Caller => tracing::info!(fault = fault.as_str(), code, detail, "call failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: CallError) -> String {
        let result = answer(Failure::Call(error), "r-1").expect("a tool error");
        assert_eq!(result.is_error, Some(true));
        assert_eq!(result.structured_content, None);
        result.content.first().and_then(|block| block.as_text()).expect("text").text.clone()
    }

    #[test]
    fn every_case_says_what_the_caller_may_read_and_nothing_more() {
        let secret = || "secret".to_owned();
        let code = || "CODE".to_owned();
        let cases = [
            (CallError::InvalidArguments("`a`: is missing".into()), "VALIDATION_ERROR: `a`: is missing (request r-1)"),
            (
                CallError::Validation { code: code(), message: "no such store".into() },
                "VALIDATION_ERROR: no such store (request r-1)",
            ),
            (
                CallError::Authorization { code: code(), inner: secret() },
                "AUTHORIZATION_ERROR: not allowed (request r-1)",
            ),
            (
                CallError::Database { sqlstate: "42P01".into(), message: "relation \"x\" does not exist".into() },
                "DATABASE_ERROR: relation \"x\" does not exist [SQLSTATE 42P01] (request r-1)",
            ),
            (
                CallError::QueryTimeout { code: code() },
                "QUERY_TIMEOUT: the call ran out of time; it may be tried again (request r-1)",
            ),
            (
                CallError::Busy { limit: "a_limit" },
                "SERVER_BUSY: too many calls are running; try again in a moment (request r-1)",
            ),
            (
                CallError::Stopped { limit: Some("a_limit"), inner: secret() },
                "MCP_ERROR: the tool was stopped (request r-1)",
            ),
            (
                CallError::Unavailable,
                "SERVER_BUSY: something that the call needs cannot be reached; try again in a moment (request r-1)",
            ),
            (CallError::Unexpected { inner: secret() }, "MCP_ERROR: internal error (request r-1)"),
        ];
        for (error, expected) in cases {
            assert_eq!(text(error), expected);
        }
    }

    #[test]
    fn an_unknown_tool_is_a_protocol_error() {
        let error = answer(Failure::Call(CallError::UnknownTool), "r-1").expect_err("a protocol error");
        assert_eq!((error.code.0, error.message.as_ref(), error.data), (-32602, "Unknown tool", None));
    }
}
