use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, Method, header};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::Endpoint;
use crate::config::ServerConfig;

/// Time for which a browser remembers what it may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// What web pages of the allowed origins may send and read; none where there are none. There are no cookies
/// here, so a page can only use a token that it has.
pub(super) fn allowed(config: &ServerConfig) -> Option<CorsLayer> {
    if config.allowed_origins.is_empty() {
        return None;
    }
    let name = HeaderName::from_static;
    let config = config.clone();
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| config.allows_origin(origin)))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER, name("mcp-session-id")])
        .max_age(PREFLIGHT_AGE);
    Some(layer)
}

/// Answers as the origins of the configuration that holds now.
pub(super) async fn answer(State(endpoint): State<Arc<Endpoint>>, request: Request, next: Next) -> Response {
    let Some(cors) = endpoint.cross_origin() else { return next.run(request).await };
    let answered: Result<Response, Infallible> = cors.layer(next).oneshot(request).await;
    let Ok(response) = answered;
    response
}
