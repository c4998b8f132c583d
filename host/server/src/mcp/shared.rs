use std::{sync::Arc, time::Duration};

use rmcp::model::{Implementation, MetaObject, ServerCapabilities, ServerConfig as ServerInfo};
use stockade_runtime::ToolInfo;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::Audit, auth::KnownCaller, config::ServerConfig, telemetry::Metrics, tenants::FairQueue, tools::Tools,
};

/// The key under which revision 2026-07-28 wants to see the server in every result's `_meta`.
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// What all handlers share: there is a handler for each request or session.
pub(crate) struct Shared {
    pub(super) tools: Arc<dyn Tools>,
    /// Kept to look at the version without taking part in the channel at each request.
    pub(super) changes: watch::Receiver<u64>,
    pub(crate) queue: Arc<FairQueue>,
    pub(super) queue_timeout: Duration,
    pub(super) info: ServerInfo,
    pub(super) result_meta: MetaObject,
    pub(crate) audit: Audit,
    pub(crate) metrics: Metrics,
    /// Calls and requests under way.
    pub(crate) busy: TaskTracker,
    /// Cancelled when the server begins to stop: subscriptions end, further calls are refused.
    pub(crate) stopping: CancellationToken,
}

impl Shared {
    pub(crate) fn new(tools: Arc<dyn Tools>, config: &ServerConfig, metrics: Metrics) -> Self {
        let server = Implementation::new("stockade", env!("CARGO_PKG_VERSION")).with_title("Stockade");
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        let mut info = ServerInfo::new(capabilities).with_server_info(server);
        info.instructions.clone_from(&config.instructions);
        let mut result_meta = MetaObject::new();
        let name_and_version =
            serde_json::json!({ "name": info.server_info.name, "version": info.server_info.version });
        result_meta.insert(SERVER_INFO_KEY.to_owned(), name_and_version);
        Self {
            changes: tools.changes(),
            tools,
            queue: FairQueue::new(config.calls_max),
            queue_timeout: Duration::from_millis(config.call_queue_timeout_ms),
            info,
            result_meta,
            audit: Audit::default(),
            metrics,
            busy: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// The same, with a record of every call.
    pub(crate) fn recorded(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// The tool named `name`, if the caller and its tenant may see it.
    pub(crate) fn tool(&self, known: &KnownCaller, name: &str) -> Option<Arc<ToolInfo>> {
        self.tools.tool(&known.caller, name).filter(|info| known.tenant.sees(info))
    }

    /// The version of the tool list.
    pub(super) fn version(&self) -> u64 {
        *self.changes.borrow()
    }
}
