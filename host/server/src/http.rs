//! The HTTP side: connections with limits, authentication, the MCP endpoint, health.

mod addresses;
mod body;
mod cross_origin;
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

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{any, get},
};

/// The paths: `/mcp`, `/healthz`, `/readyz`, and those of the metadata.
pub(crate) fn router(endpoint: Arc<Endpoint>, health: Arc<Health>) -> Router {
    let metadata = get(endpoint::metadata).with_state(Arc::clone(&endpoint));
    let cross_origin = middleware::from_fn_with_state(Arc::clone(&endpoint), cross_origin::answer);
    Router::new()
        .route("/mcp", any(endpoint::mcp).with_state(endpoint))
        .route("/.well-known/oauth-protected-resource", metadata.clone())
        .route("/.well-known/oauth-protected-resource/{*path}", metadata)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(health))
        .layer(cross_origin)
}
