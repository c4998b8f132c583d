//! JSON Schema (2020-12) for arguments and results, checked outside the guest.

use jsonschema::{Draft, PatternOptions, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};

/// Errors listed in one answer; an agent mends a few at a time.
const ERRORS_MAX: usize = 5;
const ERROR_CHARS_MAX: usize = 300;
/// Compiled size of one `pattern`, in bytes: schemas are the plugin author's.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A compiled schema for the arguments or the result of a tool.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Compile a schema for objects. Nothing is fetched: a reference out of the document is an error.
    ///
    /// # Errors
    /// A sentence of at most 300 characters, when it is no schema for objects.
    pub fn compile(schema: &Map<String, Value>) -> Result<Self, String> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("its type must be \"object\"".into());
        }
        // The linear-time engine: a backtracking one lets a schema spend the host's CPU outside the sandbox.
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
            .build(&Value::Object(schema.clone()))
            .map(Self)
            .map_err(|e| clip(&e.to_string()))
    }

    /// Check a value.
    ///
    /// # Errors
    /// A text that names, for each of the first errors, the place (a JSON pointer) and the rule.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if self.0.is_valid(value) {
            return Ok(());
        }
        let errors = self.0.iter_errors(value).take(ERRORS_MAX).map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "the object".to_owned() } else { place };
            match error.kind() {
                // An object without properties: the library says that "False schema does not allow" it.
                ValidationErrorKind::FalseSchema => {
                    let there = value.pointer(error.instance_path().as_str()).map(names).unwrap_or_default();
                    format!("{place}: {} is not expected; leave it out", clip(&there))
                }
                _ => format!("{place}: {}", clip(&error.to_string())),
            }
        });
        Err(errors.collect::<Vec<_>>().join("; "))
    }
}

/// The keys of an object, or the value itself.
fn names(value: &Value) -> String {
    match value {
        Value::Object(map) => map.keys().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(schema: Value) -> Result<Schema, String> {
        Schema::compile(schema.as_object().expect("an object"))
    }

    #[test]
    fn an_error_names_the_field_and_the_rule() {
        let schema = compile(json!({
            "type": "object", "additionalProperties": false, "required": ["id"],
            "properties": {"id": {"type": "string"}, "limit": {"type": "integer", "maximum": 100}},
        }))
        .expect("compiles");
        for (value, words) in [
            (json!({}), "\"id\" is a required property"),
            (json!({"id": "x", "limit": 101}), "/limit: 101 is greater than the maximum of 100"),
            (json!({"id": 1}), "/id: 1 is not of type \"string\""),
            (json!({"id": "x", "extra": 1}), "extra"),
        ] {
            let text = schema.check(&value).expect_err(words);
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(schema.check(&json!({"id": "x"})), Ok(()));
    }

    #[test]
    fn what_an_empty_object_does_not_expect_is_named() {
        let schema = compile(json!({"type": "object", "additionalProperties": false})).expect("compiles");
        let text = schema.check(&json!({"surplus": 1})).expect_err("nothing is expected");
        assert!(text.contains("surplus"), "{text}");
    }

    #[test]
    fn a_schema_must_be_for_objects_and_whole() {
        assert!(compile(json!({"type": "string"})).is_err());
        assert!(compile(json!({"type": "object", "properties": 3})).is_err());
        assert!(
            compile(json!({"type": "object", "$ref": "https://example.com/x.json"})).is_err(),
            "nothing is fetched"
        );
    }

    #[test]
    fn a_large_value_does_not_come_back_whole() {
        let schema = compile(json!({"type": "object", "properties": {"a": {"type": "integer"}}})).expect("compiles");
        let text = schema.check(&json!({"a": "x".repeat(100_000)})).expect_err("wrong type");
        assert!(text.len() < 2_000, "{}", text.len());
    }
}
