//! What goes into a call and what comes out of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Map, Value};
use tokio::sync::mpsc;

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

/// One tool call.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Who is calling.
    pub caller: Arc<Caller>,
    /// The tool's name, as the client sent it.
    pub tool: String,
    /// The arguments, as the client sent them.
    pub arguments: Map<String, Value>,
    /// Under which the operator finds the call in the log.
    pub request_id: String,
    /// Where reports of progress go, if the client asked for them. A full channel drops them.
    pub progress: Option<mpsc::Sender<Progress>>,
    /// What the call has used, to be read when it has ended, however it ended.
    pub usage: Arc<CallUsage>,
}

/// What a call has used. Whoever runs the call writes it, whoever asked for the call reads it, also when
/// the call failed or was dropped.
#[derive(Debug, Default)]
pub struct CallUsage {
    rows: AtomicU64,
}

impl CallUsage {
    /// Enters rows out of the database.
    pub fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows out of the database.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
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

/// What a tool gave.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolOutput {
    /// Satisfies the tool's output schema.
    pub structured: Map<String, Value>,
    /// The same for people, where the tool wrote one.
    pub text: Option<String>,
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
