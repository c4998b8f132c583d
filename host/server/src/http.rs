//! The HTTP side: connections with limits, authentication, the MCP endpoint, health.

mod addresses;
mod body;
mod descriptors;
mod endpoint;
mod health;
mod listener;
mod replies;
mod slow_client;
mod socket;

pub(crate) use descriptors::raise_limit;
pub(crate) use endpoint::Endpoint;
pub(crate) use health::Health;
pub use health::{AlwaysReady, Ready};
pub(crate) use listener::Listener;
pub use socket::ListenAddress;
pub(crate) use socket::Socket;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{any, get},
};
use http::{HeaderName, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::ServerConfig;

/// Time for which a browser remembers what it may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// The paths: `/mcp`, `/healthz`, `/readyz`, and those of the metadata.
pub(crate) fn router(config: &ServerConfig, endpoint: Arc<Endpoint>, health: Arc<Health>) -> Router {
    let metadata = get(endpoint::metadata).with_state(Arc::clone(&endpoint));
    let router = Router::new()
        .route("/mcp", any(endpoint::mcp).with_state(endpoint))
        .route("/.well-known/oauth-protected-resource", metadata.clone())
        .route("/.well-known/oauth-protected-resource/{*path}", metadata)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(health));
    if config.allowed_origins.is_empty() { router } else { router.layer(cross_origin(config)) }
}

/// What web pages of the allowed origins may send and read. There are no cookies here, so a page can
/// only use a token that it has.
fn cross_origin(config: &ServerConfig) -> CorsLayer {
    let name = HeaderName::from_static;
    let config = config.clone();
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| config.allows_origin(origin)))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER, name("mcp-session-id")])
        .max_age(PREFLIGHT_AGE)
}
