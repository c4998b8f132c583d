//! Protocol errors that the library does not give: about messages that it does not understand, or does not see.

use serde_json::{Value, json};

/// JSON-RPC's codes (specification 2.0, section 5.1).
pub(crate) const PARSE_ERROR: i32 = -32700;
pub(crate) const INVALID_REQUEST: i32 = -32600;
pub(crate) const INTERNAL_ERROR: i32 = -32603;

/// An error as a message; `id` is null where the request's is not known.
pub(crate) fn error(code: i32, id: Value, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// What is wrong with a text that is no JSON-RPC message: whether it is not even JSON, and whose request it was.
pub(crate) fn malformed(text: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(text) {
        Err(problem) => error(PARSE_ERROR, Value::Null, &format!("Parse error: the message is not JSON ({problem})")),
        Ok(value) => {
            let message = if value.is_array() {
                "Invalid Request: batches are not supported, send one message"
            } else {
                "Invalid Request: this is not a JSON-RPC 2.0 request, notification or response"
            };
            error(INVALID_REQUEST, id_of(&value), message)
        }
    }
}

/// The id of a request, or null.
pub(crate) fn id_of(message: &Value) -> Value {
    message.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or(Value::Null)
}
