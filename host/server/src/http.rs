//! The HTTP side: connections with limits, authentication, the MCP endpoint, health.

mod body;
mod endpoint;
mod health;
mod listener;
mod replies;
mod slow_client;

pub(crate) use endpoint::Endpoint;
pub(crate) use health::Health;
pub use health::{AlwaysReady, Ready};
pub(crate) use listener::Listener;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get},
};

/// The paths: `/mcp`, `/healthz`, `/readyz`.
pub(crate) fn router(endpoint: Arc<Endpoint>, health: Arc<Health>) -> Router {
    Router::new()
        .route("/mcp", any(endpoint::mcp).with_state(endpoint))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(health))
}
