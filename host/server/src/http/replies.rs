//! Answers that the library does not give, or gives in words that are not for clients.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::errors::json_rpc;
pub(super) use crate::errors::json_rpc::{INTERNAL_ERROR, INVALID_REQUEST};

/// A JSON-RPC error; `id` is null where the request's is not known.
pub(super) fn error(status: StatusCode, code: i32, id: Value, message: &str) -> Response {
    with_body(status, &json_rpc::error(code, id, message))
}

fn with_body(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error that passes: the client may come again after a second.
pub(super) fn try_again(status: StatusCode, message: &str) -> Response {
    let mut response = error(status, INTERNAL_ERROR, Value::Null, message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The body is nested too deep to be looked at.
pub(super) fn too_deep(depth_max: usize) -> Response {
    let message = format!("Invalid Request: the body is nested deeper than {depth_max} levels");
    error(StatusCode::BAD_REQUEST, INVALID_REQUEST, Value::Null, &message)
}

/// The body is no JSON-RPC message.
pub(super) fn malformed(body: &[u8]) -> Response {
    with_body(StatusCode::BAD_REQUEST, &json_rpc::malformed(body))
}

/// The session has a request of this id under way.
pub(super) fn id_in_use(body: &[u8]) -> Response {
    let id = serde_json::from_slice(body).map_or(Value::Null, |message| json_rpc::id_of(&message));
    let message = "Invalid Request: a request with this id is under way in the session";
    error(StatusCode::BAD_REQUEST, INVALID_REQUEST, id, message)
}
