use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{StatusCode, header};
use serde_json::json;
use stockade_db::{AuditDecision, StatementStatistics};

use super::Operator;
use crate::{
    auth::{self, Refused},
    telemetry::LogControl,
};

/// The longest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 4_096;

/// All paths, none of which says anything without the token, not even whether it exists.
pub(super) fn router(operator: Arc<Operator>) -> Router {
    let guard = middleware::from_fn_with_state(Arc::clone(&operator), operators_only);
    Router::new()
        .route("/health", get(health))
        .route("/stats", get(stats))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).post(set_log_level))
        .route("/reload", post(reload))
        .with_state(operator)
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(guard)
}

async fn operators_only(State(operator): State<Arc<Operator>>, request: Request, next: Next) -> Response {
    // `[admin]` with an address and no token is refused; without one nobody would get in.
    let token = operator.reload.operators_token().ok_or(Refused("there is no token"));
    match token.and_then(|token| auth::admits(request.headers(), &token)) {
        Ok(()) => next.run(request).await,
        Err(Refused(reason)) => {
            if let Some(times) = operator.strangers.happened() {
                tracing::warn!(fault = "caller", reason, times, "requests to the operators' side without their token");
            }
            operator.audit.refused(None, "ADMIN_UNAUTHENTICATED");
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
        }
    }
}

async fn health(State(operator): State<Arc<Operator>>) -> Response {
    let (ready, health) = operator.health().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

async fn stats(State(operator): State<Arc<Operator>>) -> Json<StatementStatistics> {
    Json(operator.database.statistics())
}

async fn reload(State(operator): State<Arc<Operator>>) -> Response {
    match operator.reload.reload().await {
        Ok(changed) => Json(json!({ "changed": changed })).into_response(),
        Err(error) => (StatusCode::CONFLICT, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

/// Prometheus' text format.
async fn metrics(State(operator): State<Arc<Operator>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, operator.front.shared.metrics.prometheus()).into_response()
}

async fn log_level(State(operator): State<Arc<Operator>>) -> Response {
    match &operator.log {
        Some(log) => Json(json!({ "level": log.level() })).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The body is the level, as `level` of `[log]` has it. It holds until the host stops.
async fn set_log_level(State(operator): State<Arc<Operator>>, level: String) -> Response {
    let Some(log) = &operator.log else { return StatusCode::NOT_FOUND.into_response() };
    let level = level.trim();
    let checked = LogControl::check_level(level);
    let (decision, detail) = match &checked {
        Ok(()) => (AuditDecision::Allowed, format!("from {:?} to {level:?}", log.level())),
        // It names no value.
        Err(error) => (AuditDecision::Refused, error.to_string()),
    };
    // Before it takes effect: a log that falls silent does so with somebody's knowledge.
    operator.audit.act("LOG_LEVEL_SET", decision, |record| record.detail = Some(detail));
    match checked.and_then(|()| log.set_level(level)) {
        Ok(()) => {
            tracing::warn!(level, "an operator has set the log's level");
            Json(json!({ "level": level })).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}
