//! The one place where an error of the tools becomes an answer to a client and a line in the log.
//!
//! What the caller may read and what only the operator may read part here. A log line is written once
//! for each failed call, with whose fault it was.

pub(crate) mod json_rpc;

use std::{borrow::Cow, time::Duration};

use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, ErrorCode},
};
use stockade_runtime::{CallError, StopKind};

use crate::{
    telemetry::{Ended, Operation},
    tenants::Exhausted,
};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Caller,
    Plugin,
    Host,
}

impl Fault {
    pub(crate) fn as_str(self) -> &'static str {
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
    /// For the metrics: words of the host's own, of which there are few.
    limit: Option<&'static str>,
    stopped: Option<StopKind>,
}

impl Words {
    fn new(fault: Fault, code: &'static str, outer: impl Into<Cow<'static, str>>) -> Self {
        let (detail, inner) = (String::new(), String::new());
        Self { fault, code, outer: outer.into(), detail, inner, limit: None, stopped: None }
    }

    fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    fn inner(self, inner: impl Into<String>) -> Self {
        Self { inner: inner.into(), ..self }
    }

    fn limit(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }

    fn ended(&self) -> Ended {
        let Self { fault, code, limit, stopped, .. } = *self;
        Ended::Failed { error: "tool_error", code, fault, limit, stopped }
    }
}

/// Logs and counts the failure and says what the client gets: a protocol error for a tool that does not
/// exist for this caller, for everything else a result that the model reads, with `isError`.
pub(crate) fn answer(
    failure: Failure,
    request_id: &str,
    operation: &mut Operation,
) -> Result<CallToolResult, ErrorData> {
    let words = match failure {
        Failure::Call(error) => words(error).ok_or_else(|| {
            let (fault, code) = (Fault::Caller, "UNKNOWN_TOOL");
            tracing::info!(fault = fault.as_str(), code, "call failed");
            operation.end(Ended::Failed { error: "-32602", code, fault, limit: None, stopped: None });
            unknown_tool()
        })?,
        Failure::Busy { own } => {
            let (fault, limit) = if own { (Fault::Caller, "calls_per_caller_max") } else { (Fault::Host, "calls_max") };
            Words::new(fault, "SERVER_BUSY", "too many calls are running; try again in a moment").limit(limit)
        }
        Failure::Exhausted(Exhausted { limit, retry_after }) => {
            let outer = format!("this tenant has used what it may; try again in {} s", whole_seconds(retry_after));
            Words::new(Fault::Caller, "LIMIT_REACHED", outer).detail(limit).limit(limit)
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
    operation.end(words.ended());
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
            Words::new(Fault::Plugin, "AUTHORIZATION_ERROR", "not allowed").detail(code).inner(inner.for_log())
        }
        CallError::Database { sqlstate, message } => {
            let outer = format!("{message} [SQLSTATE {sqlstate}]");
            Words::new(Fault::Plugin, "DATABASE_ERROR", outer).detail(sqlstate).inner(message)
        }
        CallError::QueryTimeout { code } => {
            let words = Words::new(Fault::Plugin, "QUERY_TIMEOUT", "the call ran out of time; it may be tried again");
            Words { limit: time_limit(&code), ..words.detail(code) }
        }
        CallError::Busy { limit } => {
            Words::new(Fault::Host, "SERVER_BUSY", "too many calls are running; try again in a moment")
                .detail(limit)
                .limit(limit)
        }
        CallError::Stopped { kind, inner } => {
            let words = Words::new(Fault::Plugin, "MCP_ERROR", "the tool was stopped").inner(inner.for_log());
            Words { limit: kind.limit(), stopped: Some(kind), ..words.detail(kind.limit().unwrap_or_default()) }
        }
        CallError::Failed { code, inner } => {
            Words::new(Fault::Plugin, "MCP_ERROR", "the tool failed").detail(code).inner(inner.for_log())
        }
        CallError::Unavailable => {
            let outer = "something that the call needs cannot be reached; try again in a moment";
            Words::new(Fault::Host, "SERVER_BUSY", outer).detail("UNAVAILABLE")
        }
        CallError::Unexpected { inner } => {
            Words::new(Fault::Host, "MCP_ERROR", "internal error").inner(inner.for_log())
        }
    })
}

/// The setting behind a code of the database's time-outs. A plugin may return a code of its own.
pub(crate) fn time_limit(code: &str) -> Option<&'static str> {
    Some(match code {
        "CALL_DEADLINE" => "deadline_ms",
        "STATEMENT_TIMEOUT" => "statement_timeout_ms",
        "LOCK_TIMEOUT" => "lock_timeout_ms",
        "POOL_TIMEOUT" => "acquire_timeout_ms",
        "TENANT_BUSY" => "connections_per_tenant_max",
        _ => return None,
    })
}

/// Arguments and a validation's text are the caller's own and stay out of the log. Values that are
/// strings are escaped by the log's formatters: no plugin writes a second line into it.
fn log(words: &Words) {
    let Words { fault, code, detail, inner, .. } = words;
    let (detail, inner) = (detail.as_str(), inner.as_str());
    match fault {
        Fault::Host => tracing::error!(fault = fault.as_str(), code, detail, inner, "call failed"),
        Fault::Plugin => tracing::warn!(fault = fault.as_str(), code, detail, inner, "call failed"),
        Fault::Caller => tracing::info!(fault = fault.as_str(), code, detail, "call failed"),
    }
}

#[cfg(test)]
mod tests;
