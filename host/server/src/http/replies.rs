//! Answers that the library does not give, or gives in words that are not for clients.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// JSON-RPC's codes (specification 2.0, section 5.1).
pub(super) const PARSE_ERROR: i32 = -32700;
pub(super) const INVALID_REQUEST: i32 = -32600;
pub(super) const INTERNAL_ERROR: i32 = -32603;

/// A JSON-RPC error; `id` is null where the request's is not known.
pub(super) fn error(status: StatusCode, code: i32, id: Value, message: &str) -> Response {
    let body = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
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

/// The body is no JSON-RPC message: says whether it is not even JSON, and whose request it was.
pub(super) fn malformed(body: &[u8]) -> Response {
    match serde_json::from_slice::<Value>(body) {
        Err(problem) => {
            let message = format!("Parse error: the body is not JSON ({problem})");
            error(StatusCode::BAD_REQUEST, PARSE_ERROR, Value::Null, &message)
        }
        Ok(value) => {
            let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or(Value::Null);
            let message = if value.is_array() {
                "Invalid Request: batches are not supported, send one message"
            } else {
                "Invalid Request: the body is not a JSON-RPC 2.0 request, notification or response"
            };
            error(StatusCode::BAD_REQUEST, INVALID_REQUEST, id, message)
        }
    }
}
