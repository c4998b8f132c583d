use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;
use uuid::Uuid;

use super::{body, cross_origin, replies};
use crate::{
    auth::{Admitted, Callers, Challenge, KnownCaller, Refused},
    config::{ConfigError, ServerConfig},
    errors::whole_seconds,
    mcp::{Exchange, HttpSide, McpHandler, OwnedSessions, Share, Shared, Trouble},
    telemetry::Seldom,
    tenants::Tenant,
};

/// Bytes of the library's own words that are logged when it fails.
const LIBRARY_WORDS_MAX: usize = 1024;

/// `/mcp`: who calls is settled here, before a byte of the body is read.
pub(crate) struct Endpoint {
    access: RwLock<Arc<Access>>,
    sessions: Arc<OwnedSessions>,
    shared: Arc<Shared>,
    /// Ends, when cancelled, whatever is still open.
    streams: CancellationToken,
    /// Requests without a valid token.
    strangers: Seldom,
}

/// Who may call and how, and what others are told. A request keeps the one that it began with.
pub(crate) struct Access {
    callers: Arc<Callers>,
    challenge: Challenge,
    service: StreamableHttpService<McpHandler, OwnedSessions>,
    cross_origin: Option<CorsLayer>,
    body_bytes_max: usize,
    body_timeout: Duration,
    json_depth_max: usize,
}

/// The library, which looks at `Host` and `Origin`.
fn service(
    config: &ServerConfig,
    shared: &Arc<Shared>,
    sessions: &Arc<OwnedSessions>,
    streams: &CancellationToken,
) -> Result<StreamableHttpService<McpHandler, OwnedSessions>, ConfigError> {
    let library = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_max_request_body_bytes(config.body_bytes_max)
        .with_allowed_hosts(&config.allowed_hosts)
        .with_allowed_origins(config.origins()?)
        // Without this, an empty list would allow every origin.
        .enforce_origin_validation()
        .with_cancellation_token(streams.clone());
    let shared = Arc::clone(shared);
    let factory = move || {
        let known = Exchange::caller().ok_or_else(|| std::io::Error::other("no caller"))?;
        Ok(McpHandler::new(Arc::clone(&shared), known))
    };
    Ok(StreamableHttpService::new(factory, Arc::clone(sessions), library))
}

impl Access {
    fn new(
        config: &ServerConfig,
        callers: Callers,
        service: StreamableHttpService<McpHandler, OwnedSessions>,
    ) -> Arc<Self> {
        Arc::new(Self {
            challenge: callers.challenge(),
            callers: Arc::new(callers),
            service,
            cross_origin: cross_origin::allowed(config),
            body_bytes_max: config.body_bytes_max,
            body_timeout: Duration::from_secs(config.body_timeout_s),
            json_depth_max: config.json_depth_max,
        })
    }
}

/// A request that was let in.
struct Guest {
    access: Arc<Access>,
    known: Arc<KnownCaller>,
    http: Arc<HttpSide>,
    expires: Option<Instant>,
}

impl Endpoint {
    /// `streams` ends, when cancelled, whatever is still open.
    pub(crate) fn new(
        config: &ServerConfig,
        callers: Callers,
        shared: Arc<Shared>,
        streams: CancellationToken,
    ) -> Result<Self, ConfigError> {
        let sessions = Arc::new(OwnedSessions::new(config, shared.metrics.clone()));
        let service = service(config, &shared, &sessions, &streams)?;
        let access = RwLock::new(Access::new(config, callers, service));
        Ok(Self { access, sessions, shared, streams, strangers: Seldom::default() })
    }

    /// The tenants that may be served.
    pub(crate) fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.access().callers.tenants()
    }

    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who may call now.
    pub(crate) fn callers(&self) -> Arc<Callers> {
        Arc::clone(&self.access().callers)
    }

    /// What web pages may do now.
    pub(super) fn cross_origin(&self) -> Option<CorsLayer> {
        self.access().cross_origin.clone()
    }

    /// Who may call, and how, by another configuration.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub(crate) fn renewed(&self, config: &ServerConfig, callers: Callers) -> Result<Arc<Access>, ConfigError> {
        Ok(Access::new(config, callers, service(config, &self.shared, &self.sessions, &self.streams)?))
    }

    /// From the next request on, who may call is another matter. Calls under way end as they began; sessions and
    /// streams of those who are not the same any more are closed.
    pub(crate) fn replace(&self, next: Arc<Access>) {
        let before = {
            let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *access, Arc::clone(&next))
        };
        before.callers.retire(&next.callers);
        self.sessions.close_gone();
        next.callers.warm_up();
    }

    /// Fetches the issuers' keys, so that the first request need not wait for them.
    pub(crate) fn warm_up(&self) {
        self.callers().warm_up();
    }

    /// Lets a request in, or says what it is answered.
    async fn admit(&self, headers: &HeaderMap) -> Result<Guest, Response> {
        let access = self.access();
        let Admitted { known, scopes, expires } =
            access.callers.authenticate(headers).await.map_err(|Refused(reason)| {
                match self.strangers.happened() {
                    Some(times) => tracing::info!(fault = "caller", reason, times, "requests without a valid token"),
                    None => tracing::debug!(fault = "caller", reason, "request without a valid token"),
                }
                self.shared.audit.refused(None, "UNAUTHENTICATED");
                access.challenge.unauthorized::<Body>()
            })?;
        if let Some(needed) = access.callers.lacking(&scopes, None) {
            self.shared.audit.refused(Some(&known), "INSUFFICIENT_SCOPE");
            return Err(insufficient_scope(&access, &known, &needed));
        }
        let share = self.share(&known).ok_or_else(|| {
            let message = "too many requests of this caller or its tenant are under way";
            replies::try_again(StatusCode::TOO_MANY_REQUESTS, message)
        })?;
        let http = HttpSide::new(Arc::clone(&access.callers), scopes, share);
        Ok(Guest { access, known, http, expires })
    }

    /// The places that a request takes up. `None` where there are none left.
    fn share(&self, known: &KnownCaller) -> Option<Share> {
        let place = |places: &Arc<Semaphore>, limit: &'static str| {
            let place = Arc::clone(places).try_acquire_owned().ok();
            if place.is_none() {
                tracing::warn!(fault = "caller", caller = &*known.name, limit, "too many requests at once");
                self.shared.audit.refused(Some(known), "REQUESTS_MAX");
                self.shared.metrics.limit_hit(limit);
            }
            place
        };
        Some((place(&known.requests, "requests_per_caller_max")?, place(&known.tenant.requests, "requests_max")?))
    }
}

fn insufficient_scope(access: &Access, known: &KnownCaller, needed: &[&str]) -> Response {
    let needs = needed.join(" ");
    tracing::info!(fault = "caller", caller = &*known.name, needs, "the token lacks a scope");
    access.challenge.insufficient_scope(needed)
}

/// A stream without an end of its own ends with the token that opened it, or with its caller.
fn end_of_stream(known: &KnownCaller, expires: Option<Instant>) -> BoxFuture<'static, ()> {
    let gone = known.gone.clone().cancelled_owned();
    match expires {
        None => gone.boxed(),
        Some(expires) => async move {
            tokio::select! {
                () = gone => {}
                () = sleep_until(expires) => {}
            }
        }
        .boxed(),
    }
}

pub(super) async fn mcp(State(endpoint): State<Arc<Endpoint>>, mut request: Request<Body>) -> Response {
    let guest = match endpoint.admit(request.headers()).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    // The library hands the headers on to handlers; the token has done its work.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(Arc::clone(&guest.http));
    if request.method() == Method::POST {
        endpoint.post(guest, request).await
    } else {
        let request = request.map(|_| Full::new(Bytes::new()));
        endpoint.serve(guest, request, &Bytes::new()).await
    }
}

/// What RFC 9728 has a client read to find out where tokens come from.
pub(super) async fn metadata(State(endpoint): State<Arc<Endpoint>>, uri: Uri) -> Response {
    match endpoint.access().challenge.metadata_at(uri.path()) {
        Some(document) => ([(header::CONTENT_TYPE, "application/json")], document.to_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The tool that a message calls, as far as it can be told without understanding the message.
fn called_tool(body: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(body).ok()?;
    (message.get("method")? == "tools/call").then_some(())?;
    message.pointer("/params/name")?.as_str().map(str::to_owned)
}

impl Endpoint {
    async fn post(&self, guest: Guest, request: Request<Body>) -> Response {
        let _busy = self.shared.busy.token();
        let (parts, body) = request.into_parts();
        let body = match body::read(&parts.headers, body, guest.access.body_bytes_max, guest.access.body_timeout).await
        {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        if body::is_deeper_than(&body, guest.access.json_depth_max) {
            return replies::too_deep(guest.access.json_depth_max);
        }
        if guest.access.callers.has_tool_scopes()
            && let Some(tool) = called_tool(&body)
            // A tool that the caller may not see is answered as one that there is not.
            && self.shared.tool(&guest.known, &tool).is_some()
            && let Some(needed) = guest.http.lacking(Some(&tool))
        {
            self.shared.audit.call_refused(&guest.known, &tool, "INSUFFICIENT_SCOPE");
            return insufficient_scope(&guest.access, &guest.known, &needed);
        }
        let request = Request::from_parts(parts, Full::new(body.clone()));
        self.serve(guest, request, &body).await
    }

    async fn serve(&self, guest: Guest, request: Request<Full<Bytes>>, body: &Bytes) -> Response {
        let Guest { access, known, http, expires } = guest;
        let end = is_endless(&request).then(|| end_of_stream(&known, expires));
        let json = is_json(request.headers());
        let (mut response, trouble) = Exchange::scope(Arc::clone(&known), access.service.handle(request)).await;
        // A stream has begun by then, and has said 200.
        if let Some(time) = http.retry_after.get()
            && is_json(response.headers())
        {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(*time).into());
        }
        match (response.status(), trouble) {
            (StatusCode::INTERNAL_SERVER_ERROR, Some(Trouble::SessionsFull)) => {
                tracing::warn!(
                    fault = "host",
                    caller = &*known.name,
                    "session refused: as many as sessions_max, of all or of the tenant, are open"
                );
                self.shared.metrics.limit_hit("sessions_max");
                replies::try_again(StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open")
            }
            (StatusCode::INTERNAL_SERVER_ERROR, Some(Trouble::SessionGone)) => {
                replies::error(StatusCode::NOT_FOUND, replies::INVALID_REQUEST, Value::Null, "Session not found")
            }
            (StatusCode::INTERNAL_SERVER_ERROR, Some(Trouble::IdInUse)) => replies::id_in_use(body),
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
                response.map(|body| Body::new(body::Holding::new(body, http, end)))
            }
        }
    }
}

/// Whether the answer is a stream without an end of its own: it ends with the token that opened it.
/// Calls end by themselves. The library refuses a header that says other than the message.
fn is_endless<B>(request: &Request<B>) -> bool {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    listens || request.method() == Method::GET
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
