use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::model::{Tool, ToolAnnotations};
use stockade_runtime::ToolInfo;

use super::Shared;
use crate::auth::KnownCaller;

/// The answer to `tools/list`, kept for each caller until the tools change. Callers come from the
/// configuration: there are no more entries than callers.
#[derive(Default)]
pub(super) struct ToolLists {
    entries: Mutex<HashMap<Arc<str>, Entry>>,
}

struct Entry {
    version: u64,
    tools: Arc<Vec<Tool>>,
}

impl ToolLists {
    /// The tools that the caller may see.
    pub(super) fn of(&self, shared: &Shared, known: &KnownCaller) -> Arc<Vec<Tool>> {
        // The number is read before the list: a list that is newer than its number is made once more,
        // one that is older would stay.
        let version = shared.version();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&known.name)
            && entry.version == version
        {
            return Arc::clone(&entry.tools);
        }
        let tools = Arc::new(shared.tools.tools(&known.caller).iter().map(|info| tool(info)).collect::<Vec<_>>());
        entries.insert(Arc::clone(&known.name), Entry { version, tools: Arc::clone(&tools) });
        tools
    }
}

/// A tool as clients see it. No plugin can write: every tool says so.
fn tool(info: &ToolInfo) -> Tool {
    let annotations = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(info.name.clone(), info.description.clone(), Arc::clone(&info.input_schema))
        .with_title(info.title.clone())
        .with_raw_output_schema(Arc::clone(&info.output_schema))
        .with_annotations(annotations)
}
