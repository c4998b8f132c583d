use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use stockade_db::Database;
use stockade_runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::embedders::EmbedderWatch;
use crate::{
    audit::Audit,
    http::{Endpoint, Health},
    mcp::Shared,
    reload::Reload,
    telemetry::{LogControl, Seldom},
};

/// The public side, as far as operators look at it.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) health: Arc<Health>,
}

/// What an operator can ask of a running host.
pub(crate) struct Operator {
    pub(super) started: Instant,
    pub(super) database: Database,
    pub(super) runtime: Arc<Runtime>,
    pub(super) audit: Audit,
    pub(super) front: Front,
    pub(super) embedders: Arc<EmbedderWatch>,
    pub(super) reload: Arc<Reload>,
    /// None where the process's log is not the host's.
    pub(super) log: Option<LogControl>,
    /// Requests without the token.
    pub(super) strangers: Seldom,
}

impl Operator {
    pub(crate) fn new(
        started: Instant,
        database: Database,
        runtime: Arc<Runtime>,
        audit: Audit,
        front: Front,
        reload: Arc<Reload>,
        log: Option<LogControl>,
    ) -> Arc<Self> {
        let (embedders, strangers) = (Arc::default(), Seldom::default());
        Arc::new(Self { started, database, runtime, audit, front, embedders, reload, log, strangers })
    }

    pub(super) fn watch_embedders(&self, period: Duration, stop: CancellationToken) {
        self.embedders.follow(self.database.clone(), period, stop);
    }
}
