//! What goes into a call and what comes out of it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::report::CallReport;

/// Who is calling. Made by whoever checked a credential; there is no default.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the database is told, signed.
    pub identity: stockade_db::Identity,
    /// A name that tools may show.
    pub display_name: String,
    /// An IANA time zone that tools may use.
    pub time_zone: String,
}

/// One tool call. `Debug` shows no argument: a line that prints a call must not print what it is about.
#[derive(Clone)]
pub struct Invocation {
    /// Who is calling.
    pub caller: Arc<Caller>,
    /// The tool's name, as the client sent it.
    pub tool: String,
    /// Whose tool it was when the caller was let to it: another plugin's of the same name is unknown. `None`: any.
    pub plugin: Option<String>,
    /// The arguments, as the client sent them.
    pub arguments: Map<String, Value>,
    /// Under which the operator finds the call in the log.
    pub request_id: String,
    /// Where reports of progress go, if the client asked for them. A full channel drops them.
    pub progress: Option<mpsc::Sender<Progress>>,
    /// Filled while the call runs; keep a clone to read it.
    pub report: CallReport,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation")
            .field("caller", &self.caller)
            .field("tool", &self.tool)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// A report of progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// How much is done; it grows from report to report.
    pub done: f64,
    /// Of how much, where the tool knows.
    pub total: Option<f64>,
    /// For people.
    pub message: Option<String>,
}

/// What a tool gave. `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub struct ToolOutput {
    /// Satisfies the tool's output schema.
    pub structured: Map<String, Value>,
    /// The same for people, where the tool wrote one.
    pub text: Option<String>,
}

impl std::fmt::Debug for ToolOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToolOutput(…)")
    }
}

/// A tool, as its manifest has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolInfo {
    /// Unique on a host.
    pub name: String,
    /// For people.
    pub title: String,
    /// For agents.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Arc<Map<String, Value>>,
    /// JSON Schema of the structured result.
    pub output_schema: Arc<Map<String, Value>>,
    /// The plugin that it belongs to.
    pub plugin: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::CallError;

    #[test]
    fn debug_output_shows_no_argument_no_result_and_no_inner_text() {
        let map = || json!({ "a": "mark" }).as_object().cloned().expect("an object");
        let output = ToolOutput { structured: map(), text: Some("mark".to_owned()) };
        assert_eq!(format!("{output:?}"), "ToolOutput(…)");
        let identity = stockade_db::Identity {
            tenant: "acme".parse().expect("a tenant"),
            principal: "p".parse().expect("a principal"),
            roles: Vec::new(),
            reader_role: "reader".parse().expect("a role"),
        };
        let invocation = Invocation {
            caller: Arc::new(Caller { identity, display_name: "P".to_owned(), time_zone: "UTC".to_owned() }),
            tool: "t".to_owned(),
            plugin: None,
            arguments: map(),
            request_id: "r-1".to_owned(),
            progress: None,
            report: CallReport::default(),
        };
        let shown = format!("{invocation:?}");
        assert!(shown.contains("r-1") && !shown.contains("mark"), "{shown}");
        let error = CallError::Unexpected { inner: stockade_db::Inner::new("mark") };
        assert_eq!(format!("{error:?}"), "Unexpected { inner: Inner(…) }");
    }
}
