use std::{sync::Arc, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{body, replies};
use crate::{
    auth::{self, Callers, KnownCaller},
    config::{ConfigError, ServerConfig},
    mcp::{Exchange, McpHandler, OwnedSessions, Shared, Trouble},
};

/// Bytes of the library's own words that are logged when it fails.
const LIBRARY_WORDS_MAX: usize = 1024;

/// `/mcp`: who calls is settled here, before a byte of the body is read.
pub(crate) struct Endpoint {
    callers: Callers,
    service: StreamableHttpService<McpHandler, OwnedSessions>,
    shared: Arc<Shared>,
    body_bytes_max: usize,
    body_timeout: Duration,
}

impl Endpoint {
    /// `streams` ends, when cancelled, whatever is still open.
    pub(crate) fn new(
        config: &ServerConfig,
        callers: Callers,
        shared: Arc<Shared>,
        streams: CancellationToken,
    ) -> Result<Self, ConfigError> {
        let library = StreamableHttpServerConfig::default()
            .with_json_response(true)
            .with_max_request_body_bytes(config.body_bytes_max)
            .with_allowed_hosts(&config.allowed_hosts)
            .with_allowed_origins(config.origins()?)
            // Without this, an empty list would allow every origin.
            .enforce_origin_validation()
            .with_cancellation_token(streams);
        let for_handlers = Arc::clone(&shared);
        let factory = move || {
            let known = Exchange::caller().ok_or_else(|| std::io::Error::other("no caller"))?;
            Ok(McpHandler::new(Arc::clone(&for_handlers), known))
        };
        Ok(Self {
            callers,
            service: StreamableHttpService::new(factory, Arc::new(OwnedSessions::new(config)), library),
            shared,
            body_bytes_max: config.body_bytes_max,
            body_timeout: Duration::from_secs(config.body_timeout_s),
        })
    }
}

pub(super) async fn mcp(State(endpoint): State<Arc<Endpoint>>, mut request: Request<Body>) -> Response {
    let Some(known) = endpoint.callers.authenticate(request.headers()) else {
        tracing::info!(fault = "caller", "request without a valid token");
        endpoint.shared.audit.refused(None, "UNAUTHENTICATED");
        return auth::unauthorized();
    };
    // The library hands the headers on to handlers; the token has done its work.
    request.headers_mut().remove(header::AUTHORIZATION);
    let Ok(share) = Arc::clone(&known.requests).try_acquire_owned() else {
        tracing::warn!(fault = "caller", caller = &*known.name, "more requests than requests_per_caller_max");
        endpoint.shared.audit.refused(Some(&known), "REQUESTS_PER_CALLER_MAX");
        return replies::try_again(StatusCode::TOO_MANY_REQUESTS, "too many requests of this caller are under way");
    };
    if request.method() == Method::POST {
        endpoint.post(known, share, request).await
    } else {
        let request = request.map(|_| Full::new(Bytes::new()));
        endpoint.serve(known, share, request, &Bytes::new()).await
    }
}

impl Endpoint {
    async fn post(&self, known: Arc<KnownCaller>, share: OwnedSemaphorePermit, request: Request<Body>) -> Response {
        let _busy = self.shared.busy.token();
        let (parts, body) = request.into_parts();
        let body = match body::read(&parts.headers, body, self.body_bytes_max, self.body_timeout).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let request = Request::from_parts(parts, Full::new(body.clone()));
        self.serve(known, share, request, &body).await
    }

    async fn serve(
        &self,
        known: Arc<KnownCaller>,
        share: OwnedSemaphorePermit,
        request: Request<Full<Bytes>>,
        body: &Bytes,
    ) -> Response {
        let json = is_json(request.headers());
        let (response, trouble) = Exchange::scope(Arc::clone(&known), self.service.handle(request)).await;
        match (response.status(), trouble) {
            (StatusCode::INTERNAL_SERVER_ERROR, Some(Trouble::SessionsFull)) => {
                tracing::warn!(
                    fault = "host",
                    caller = &*known.name,
                    "session refused: as many as sessions_max are open"
                );
                replies::try_again(StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open")
            }
            (StatusCode::INTERNAL_SERVER_ERROR, Some(Trouble::SessionGone)) => {
                replies::error(StatusCode::NOT_FOUND, replies::INVALID_REQUEST, Value::Null, "Session not found")
            }
            (StatusCode::INTERNAL_SERVER_ERROR, None) => internal(&known, response).await,
            // The library has one status for a body of another type and for one that it cannot parse.
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) if json => replies::malformed(body),
            (status, _) => {
                if status == StatusCode::FORBIDDEN {
                    tracing::warn!(
                        fault = "caller",
                        caller = &*known.name,
                        "Host or Origin header refused; see allowed_hosts and allowed_origins"
                    );
                }
                response.map(|body| Body::new(body::Holding::new(body, share)))
            }
        }
    }
}

/// As the library sees it.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The library's words go to the log, an id goes to the client.
async fn internal<B>(known: &KnownCaller, response: http::Response<B>) -> Response
where
    B: http_body::Body<Data = Bytes>,
{
    let request_id = Uuid::now_v7().to_string();
    let words = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let words = String::from_utf8_lossy(words.get(..LIBRARY_WORDS_MAX).unwrap_or(&words)).into_owned();
    tracing::error!(fault = "host", caller = &*known.name, request_id, inner = &*words, "request failed");
    let message = format!("MCP_ERROR: internal error (request {request_id})");
    replies::error(StatusCode::INTERNAL_SERVER_ERROR, replies::INTERNAL_ERROR, Value::Null, &message)
}
