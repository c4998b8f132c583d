//! JSON Schemas (2020-12) from types, cut to what an agent and the host's checker need.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// The schema of arguments as JSON text: what has a default, or may be null, may be left out.
///
/// Every object is closed (`additionalProperties: false`), so that a misspelt argument is an error and
/// not silently nothing. Subschemas stand in line, as some clients do not follow `$ref`. Formats that
/// only name a Rust type (`uint32`) and the type's name as title are left out: they cost an agent tokens.
pub(crate) fn of_input<T: JsonSchema>() -> String {
    text::<T>(SchemaSettings::draft2020_12())
}

/// The schema of a result as JSON text: every field is there.
pub(crate) fn of_output<T: JsonSchema>() -> String {
    text::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn text<T: JsonSchema>(settings: SchemaSettings) -> String {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    Tighten.transform(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.entry("type").or_insert_with(|| "object".into());
    }
    schema.to_value().to_string()
}

struct Tighten;

impl Transform for Tighten {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            object.remove("title");
            list_words(object);
            // Doc comments are broken into lines for the source's sake.
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            let of_rust = object.get("format").and_then(Value::as_str).is_some_and(|format| {
                matches!(format, "float" | "double") || format.trim_start_matches('u').starts_with("int")
            });
            if of_rust {
                object.remove("format");
            }
            let may_be_object = match object.get("type") {
                Some(Value::String(name)) => name == "object",
                Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
                _ => false,
            };
            // Where parts are put together, each part would refuse the others' properties.
            let is_plain = !["allOf", "anyOf", "oneOf", "$ref", "unevaluatedProperties"]
                .iter()
                .any(|key| object.contains_key(*key));
            if may_be_object && is_plain {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        transform_subschemas(self, schema);
    }
}

/// An enumeration of described words as a plain `enum`, with the descriptions in one text: shorter, and
/// the host's checker then names the words that would have been right.
fn list_words(object: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = object.get("oneOf") else { return };
    let mut words = Vec::new();
    let mut descriptions: Vec<String> = Vec::new();
    descriptions.extend(object.get("description").and_then(Value::as_str).map(str::to_owned));
    for variant in variants {
        let Some(word) = variant.get("const").and_then(Value::as_str) else { return };
        words.push(Value::from(word));
        let meaning = variant.get("description").and_then(Value::as_str);
        descriptions.extend(meaning.map(|meaning| format!("{word}: {meaning}")));
    }
    object.remove("oneOf");
    object.insert("type".into(), "string".into());
    object.insert("enum".into(), words.into());
    if !descriptions.is_empty() {
        object.insert("description".into(), descriptions.join(" ").into());
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        dead_code,
        reason = "a test; the type's shape is all that counts"
    )]

    use schemars::JsonSchema;
    use serde_json::json;

    #[derive(JsonSchema)]
    struct Input {
        /// How many.
        #[schemars(range(min = 1, max = 5))]
        rows: u32,
        /// Where,
        /// if anywhere.
        place: Option<Place>,
        #[serde(default)]
        shares: std::collections::BTreeMap<String, f64>,
    }

    #[derive(JsonSchema)]
    struct Place {
        name: String,
    }

    #[test]
    fn schemas_are_closed_plain_and_in_line() {
        let schema: serde_json::Value = serde_json::from_str(&super::of_input::<Input>()).unwrap();
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["rows"],
                "properties": {
                    "rows": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How many."},
                    "place": {
                        "description": "Where, if anywhere.",
                        "type": ["object", "null"],
                        "additionalProperties": false,
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}}
                    },
                    "shares": {
                        "type": "object",
                        "additionalProperties": {"type": "number"},
                        "default": {}
                    }
                }
            })
        );
    }

    #[test]
    fn every_field_of_a_result_is_required() {
        let schema: serde_json::Value = serde_json::from_str(&super::of_output::<Input>()).unwrap();
        assert_eq!(schema.get("required"), Some(&json!(["rows", "place", "shares"])));
    }

    #[derive(JsonSchema)]
    struct Choice {
        /// Which way.
        way: Way,
        other: Option<Way>,
    }

    #[derive(JsonSchema)]
    #[schemars(inline)]
    enum Way {
        /// To the left.
        Left,
        /// To the right.
        Right,
    }

    #[test]
    fn described_words_become_a_plain_list() {
        let schema: serde_json::Value = serde_json::from_str(&super::of_input::<Choice>()).unwrap();
        let words = json!({
            "type": "string",
            "enum": ["Left", "Right"],
            "description": "Which way. Left: To the left. Right: To the right.",
        });
        assert_eq!(schema.pointer("/properties/way"), Some(&words));
        let mut or_null = words;
        or_null["description"] = "Left: To the left. Right: To the right.".into();
        assert_eq!(schema.pointer("/properties/other"), Some(&json!({"anyOf": [or_null, {"type": "null"}]})));
    }
}
