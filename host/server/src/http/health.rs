use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::State;
use futures::future::BoxFuture;
use http::StatusCode;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How long an answer of `/readyz` is used again: anybody may ask, and asking must not load the database.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(1);

/// Whether what the tools need is there.
pub trait Ready: Send + Sync + 'static {
    /// Asks once. Dropping the future gives up.
    fn ready(&self) -> BoxFuture<'_, bool>;
}

/// For tools that need nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysReady;

impl Ready for AlwaysReady {
    fn ready(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

pub(crate) struct Health {
    ready: Arc<dyn Ready>,
    timeout: Duration,
    stopping: CancellationToken,
    /// Held while asking, so that a crowd asks once.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    pub(crate) fn new(ready: Arc<dyn Ready>, timeout: Duration, stopping: CancellationToken) -> Self {
        Self { ready, timeout, stopping, last: Mutex::new(None) }
    }

    async fn is_ready(&self) -> bool {
        if self.stopping.is_cancelled() {
            return false;
        }
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = *last
            && at.elapsed() < ANSWER_AGE_MAX
        {
            return answer;
        }
        let answer = tokio::time::timeout(self.timeout, self.ready.ready()).await.unwrap_or(false);
        if !answer {
            tracing::warn!(fault = "host", "not ready: the database did not answer");
        }
        *last = Some((Instant::now(), answer));
        answer
    }
}

pub(super) async fn healthz() -> &'static str {
    "alive\n"
}

pub(super) async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.is_ready().await { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
