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
    /// Asks once; what is missing is a sentence for the log. Dropping the future gives up.
    fn ready(&self) -> BoxFuture<'_, Result<(), String>>;
}

/// For tools that need nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysReady;

impl Ready for AlwaysReady {
    fn ready(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(crate) struct Health {
    ready: Arc<dyn Ready>,
    timeout: Duration,
    /// Cancelled when the server is about to stop.
    retiring: CancellationToken,
    /// Held while asking, so that a crowd asks once.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    pub(crate) fn new(ready: Arc<dyn Ready>, timeout: Duration) -> Self {
        Self { ready, timeout, retiring: CancellationToken::new(), last: Mutex::new(None) }
    }

    /// From now on the server says that it is not ready, whatever it could.
    pub(crate) fn retire(&self) {
        self.retiring.cancel();
    }

    pub(crate) fn is_retiring(&self) -> bool {
        self.retiring.is_cancelled()
    }

    async fn is_ready(&self) -> bool {
        if self.is_retiring() {
            return false;
        }
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = *last
            && at.elapsed() < ANSWER_AGE_MAX
        {
            return answer;
        }
        let in_time = tokio::time::timeout(self.timeout, self.ready.ready()).await;
        let answer = match in_time.unwrap_or_else(|_| Err("no answer within ready_timeout_ms".to_owned())) {
            Ok(()) => true,
            Err(inner) => {
                tracing::warn!(fault = "host", inner, "not ready");
                false
            }
        };
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
