//! JSON Schema (2020-12) for arguments and results, checked outside the guest.

use jsonschema::{Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};

mod work;

/// Errors listed in one answer; an agent mends a few at a time.
const ERRORS_MAX: usize = 5;
const ERROR_CHARS_MAX: usize = 300;
/// Compiled size of all patterns of a schema together, in bytes, each with an equal part: schemas are the plugin
/// author's.
const PATTERNS_BYTES_MAX: usize = 1 << 20;
/// Rules that one check may apply: about a second or two of a processor.
const STEPS_MAX: u64 = 500_000_000;
/// Errors that there may be in a value of which all are looked for: the library makes a list of them.
const LISTED_MAX: u64 = 100_000;
/// Rules that may be applied on a worker of the server.
const STEPS_HERE_MAX: u64 = 4_000_000;
/// Bytes of JSON that a value takes at least.
const VALUE_BYTES_MIN: usize = 2;

/// A compiled schema for the arguments or the result of a tool.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// Rules that are applied on the way to one value, at most.
    steps_per_value: u64,
    /// Whether one error may list all those of alternatives.
    has_alternatives: bool,
}

impl Schema {
    /// Compile a schema for objects. Nothing is fetched: a reference out of the document is an error. So is a
    /// schema that can make a check of a small value long, see `schema/work.rs`.
    ///
    /// # Errors
    /// A sentence of at most 300 characters, when it is no such schema.
    pub fn compile(schema: &Map<String, Value>) -> Result<Self, String> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("its type must be \"object\"".into());
        }
        let schema = Value::Object(schema.clone());
        let steps_per_value = work::judge(&schema).map_err(|e| clip(&e))?;
        let pattern_bytes_max = PATTERNS_BYTES_MAX / work::patterns(&schema).len().max(1);
        // The linear-time engine: a backtracking one lets a schema spend the host's CPU outside the sandbox.
        let patterns = PatternOptions::regex().size_limit(pattern_bytes_max).dfa_size_limit(pattern_bytes_max);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .build(&schema)
            .map_err(|e| clip(&e.to_string()))?;
        Ok(Self { validator, steps_per_value, has_alternatives: work::has_alternatives(&schema) })
    }

    /// Check a value.
    ///
    /// # Errors
    /// A text that names, for each of the first errors, the place (a JSON pointer) and the rule. Of a large value
    /// there is only the first, or none.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let levels = work::LEVELS_MAX;
        let values =
            work::values(value, 0).ok_or_else(|| format!("the object: it is more than {levels} levels deep"))?;
        let steps = values.saturating_mul(self.steps_per_value);
        if steps > STEPS_MAX {
            let max = STEPS_MAX / self.steps_per_value;
            return Err(format!("the object: it has {values} values; at most {max} are checked against this schema"));
        }
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if steps <= LISTED_MAX {
            let errors = self.validator.iter_errors(value).take(ERRORS_MAX).map(|error| described(&error, value));
            return Err(errors.collect::<Vec<_>>().join("; "));
        }
        if self.has_alternatives {
            return Err(format!("the object: one of its {values} values breaks a rule; send fewer to learn which"));
        }
        self.validator.validate(value).map_err(|error| described(&error, value))
    }

    /// Whether a check of so many bytes of JSON is too long for a worker of the server.
    pub(crate) fn is_long_for(&self, bytes: usize) -> bool {
        let values = u64::try_from(bytes / VALUE_BYTES_MIN).unwrap_or(u64::MAX);
        values.saturating_mul(self.steps_per_value) > STEPS_HERE_MAX
    }
}

/// The place and the rule.
fn described(error: &ValidationError<'_>, value: &Value) -> String {
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

    #[test]
    fn of_a_large_value_one_error_is_looked_for_and_none_among_alternatives() {
        let numbers = |count| json!({ "a": vec![0; count] });
        let texts = json!({ "type": "array", "items": { "type": "string" } });
        let plain = compile(json!({ "type": "object", "properties": { "a": texts } })).expect("compiles");
        let few = plain.check(&numbers(100)).expect_err("no texts");
        assert_eq!(few.matches("is not of type").count(), ERRORS_MAX, "{few}");
        let many = plain.check(&numbers(2_000_000)).expect_err("no texts");
        assert_eq!(many, "/a/0: 0 is not of type \"string\"");
        let optional = json!({ "anyOf": [texts, { "type": "null" }] });
        let optional = compile(json!({ "type": "object", "properties": { "a": optional } })).expect("compiles");
        let few = optional.check(&numbers(100)).expect_err("no texts");
        assert!(few.starts_with("/a: ") && few.contains("is not valid under any of the schemas"), "{few}");
        let many = optional.check(&numbers(2_000_000)).expect_err("no texts");
        assert_eq!(many, "the object: one of its 2000002 values breaks a rule; send fewer to learn which");
    }

    #[test]
    fn a_check_has_an_end_and_a_bottom() {
        let words: Vec<_> = (0..10_000).collect();
        let schema = compile(json!({
            "type": "object", "properties": { "a": { "type": "array", "items": { "enum": words } } },
        }))
        .expect("compiles");
        assert_eq!(schema.check(&json!({ "a": vec![0; 1_000] })), Ok(()));
        let text = schema.check(&json!({ "a": vec![0; 100_000] })).expect_err("too much work");
        assert!(text.contains("it has 100002 values; at most "), "{text}");
        let free = compile(json!({ "type": "object" })).expect("compiles");
        let deep = |levels| json!({ "a": (0..levels).fold(json!(1), |inner, _| json!([inner])) });
        assert_eq!(free.check(&deep(work::LEVELS_MAX - 1)), Ok(()));
        assert!(free.check(&deep(work::LEVELS_MAX)).is_err_and(|text| text.contains("more than 128 levels deep")));
        assert!(!free.is_long_for(64 << 10) && schema.is_long_for(64 << 10));
    }

    /// As deep as schemas may be applied, on a thread with a stack like that of the server's workers.
    #[test]
    fn the_deepest_check_fits_on_a_workers_stack() {
        let check = || {
            let link = |n| json!({ "anyOf": [{ "not": { "$ref": format!("#/$defs/d{n}") } }] });
            let defs: Map<_, _> = (0..168).map(|n| (format!("d{n}"), link(n + 1))).collect();
            let mut schema = json!({ "type": "object", "$defs": defs, "$ref": "#/$defs/d0" });
            schema["$defs"]["d168"] = json!({ "required": ["a"] });
            let schema = compile(schema).expect("compiles");
            [json!({}), json!({ "a": 1 })].map(|value| schema.check(&value).is_ok())
        };
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(check).expect("a thread");
        assert_eq!(thread.join().expect("it ends"), [false, true]);
    }

    #[test]
    fn patterns_are_bounded_together() {
        let patterns = |count: usize| {
            let entries: Map<_, _> = (0..count)
                .map(|n| (format!("p{n}"), json!({ "pattern": format!("^[a-z]{{1,{}}}$", n + 1) })))
                .collect();
            compile(json!({ "type": "object", "properties": entries }))
        };
        assert!(patterns(40).is_ok_and(|schema| schema.check(&json!({ "p0": "1" })).is_err()));
        assert!(patterns(20_000).is_err(), "each for itself is small");
    }
}
