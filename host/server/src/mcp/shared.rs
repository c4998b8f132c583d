use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use rmcp::model::{Implementation, MetaObject, ServerCapabilities, ServerConfig as ServerInfo};
use stockade_runtime::ToolInfo;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::Audit, auth::KnownCaller, config::ServerConfig, telemetry::Metrics, tenants::FairQueue, tools::Tools,
};

/// Time that calls that were cancelled get to notice.
const LAST_CALLS: Duration = Duration::from_secs(1);
/// The key under which revision 2026-07-28 wants to see the server in every result's `_meta`.
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// What all handlers share: there is a handler for each request or session.
pub(crate) struct Shared {
    pub(super) tools: Arc<dyn Tools>,
    /// Kept to look at the version without taking part in the channel at each request.
    pub(super) changes: watch::Receiver<u64>,
    pub(crate) queue: Arc<FairQueue>,
    adjustable: RwLock<Adjustable>,
    pub(super) result_meta: MetaObject,
    pub(crate) audit: Audit,
    pub(crate) metrics: Metrics,
    /// Calls and requests under way.
    pub(crate) busy: TaskTracker,
    /// Cancelled when the server begins to stop: subscriptions end, further calls are refused.
    pub(crate) stopping: CancellationToken,
}

/// What a new configuration changes.
struct Adjustable {
    queue_timeout: Duration,
    info: ServerInfo,
}

impl Adjustable {
    fn new(config: &ServerConfig) -> Self {
        let server = Implementation::new("stockade", env!("CARGO_PKG_VERSION")).with_title("Stockade");
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        let mut info = ServerInfo::new(capabilities).with_server_info(server);
        info.instructions.clone_from(&config.instructions);
        Self { queue_timeout: Duration::from_millis(config.call_queue_timeout_ms), info }
    }
}

impl Shared {
    pub(crate) fn new(tools: Arc<dyn Tools>, config: &ServerConfig, metrics: Metrics) -> Self {
        let adjustable = Adjustable::new(config);
        let mut result_meta = MetaObject::new();
        let server = &adjustable.info.server_info;
        let name_and_version = serde_json::json!({ "name": server.name, "version": server.version });
        result_meta.insert(SERVER_INFO_KEY.to_owned(), name_and_version);
        Self {
            changes: tools.changes(),
            tools,
            queue: FairQueue::new(config.calls_max),
            adjustable: RwLock::new(adjustable),
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

    /// Takes another configuration, as far as it may change while the server runs.
    pub(crate) fn adjust(&self, config: &ServerConfig) {
        *self.adjustable.write().unwrap_or_else(PoisonError::into_inner) = Adjustable::new(config);
        self.queue.set_places(config.calls_max);
    }

    fn adjustable(&self) -> RwLockReadGuard<'_, Adjustable> {
        self.adjustable.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn info(&self) -> ServerInfo {
        self.adjustable().info.clone()
    }

    /// Time that a call waits for its turn.
    pub(super) fn queue_timeout(&self) -> Duration {
        self.adjustable().queue_timeout
    }

    /// The tool named `name`, if the caller and its tenant may see it.
    pub(crate) fn tool(&self, known: &KnownCaller, name: &str) -> Option<Arc<ToolInfo>> {
        self.tools.tool(&known.caller, name).filter(|info| known.tenant.sees(info))
    }

    /// Waits until calls that were cancelled have ended, and are on record.
    pub(crate) async fn calls_have_ended(&self) {
        self.busy.close();
        if tokio::time::timeout(LAST_CALLS, self.busy.wait()).await.is_err() {
            tracing::error!(fault = "host", calls = self.busy.len(), "calls that were cancelled have not ended");
        }
    }

    /// The version of the tool list.
    pub(super) fn version(&self) -> u64 {
        *self.changes.borrow()
    }
}
