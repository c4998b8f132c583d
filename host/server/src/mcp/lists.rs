use std::sync::{Arc, PoisonError};

use rmcp::model::{Tool, ToolAnnotations};
use stockade_runtime::ToolInfo;

use super::Shared;
use crate::auth::KnownCaller;

/// The answer to `tools/list` for one caller. It is kept with the caller, and goes with it.
pub(crate) struct Listed {
    version: u64,
    tools: Arc<Vec<Tool>>,
}

/// The tools that the caller may see.
pub(super) fn tools_of(shared: &Shared, known: &KnownCaller) -> Arc<Vec<Tool>> {
    // The number is read before the list: a list that is newer than its number is made once more,
    // one that is older would stay.
    let version = shared.version();
    let mut listed = known.listed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(listed) = listed.as_ref().filter(|listed| listed.version == version) {
        return Arc::clone(&listed.tools);
    }
    let infos = shared.tools.tools(&known.caller);
    let seen = infos.iter().filter(|info| known.tenant.sees(info));
    let tools = Arc::new(seen.map(|info| tool(info)).collect::<Vec<_>>());
    *listed = Some(Listed { version, tools: Arc::clone(&tools) });
    tools
}

/// A tool as clients see it. No plugin can write: every tool says so.
fn tool(info: &ToolInfo) -> Tool {
    let annotations = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(info.name.clone(), info.description.clone(), Arc::clone(&info.input_schema))
        .with_title(info.title.clone())
        .with_raw_output_schema(Arc::clone(&info.output_schema))
        .with_annotations(annotations)
}
