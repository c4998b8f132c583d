//! Arguments against a schema. The first line is the plugin author's schema, the rest the client's JSON.

use serde_json::{Map, Value};
use stockade_runtime::Schema;

/// Checks the one against the other.
pub fn read(bytes: &[u8]) {
    let (schema, value) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &b"{}"[..]),
    };
    let Ok(schema) = serde_json::from_slice::<Map<String, Value>>(schema) else { return };
    let Ok(compiled) = Schema::compile(&schema) else { return };
    let Ok(value) = serde_json::from_slice::<Value>(value) else { return };
    if let Err(answer) = compiled.check(&value) {
        // Five errors, each clipped: what a client sends does not come back whole.
        assert!(answer.chars().count() < 64 * 1_024, "an answer of {} characters", answer.chars().count());
    }
}
