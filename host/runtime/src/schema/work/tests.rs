use serde_json::{Value, json};

use super::*;

/// `{"$defs": {"d0": …, "d1": …}, "$ref": "#/$defs/d0"}`, each made by `link` of a reference to the next.
fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
    let defs: serde_json::Map<_, _> = (0..length)
        .map(|n| (format!("d{n}"), link(json!({ "$ref": format!("#/$defs/d{}", n + 1) }))))
        .chain([(format!("d{length}"), json!({ "type": "object" }))])
        .collect();
    json!({ "type": "object", "$defs": defs, "$ref": "#/$defs/d0" })
}

fn refused(schema: &Value, words: &str) {
    let refusal = judge(schema).expect_err(words);
    assert!(refusal.contains(words), "{refusal}");
}

#[test]
fn a_schema_that_doubles_at_every_link_is_refused() {
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let doubles = |length| chain(length, |next| json!({ keyword: [next, next] }));
        assert!(judge(&doubles(5)).is_ok(), "{keyword}");
        refused(&doubles(40), "against more than 50000 of its rules");
    }
    // By way of a value's entry, and by what is looked at again.
    let down = chain(40, |next| json!({ "properties": { "a": next }, "allOf": [{ "properties": { "a": next } }] }));
    refused(&down, "against more than 50000 of its rules");
    let again = chain(40, |next| json!({ "anyOf": [next], "unevaluatedProperties": false }));
    refused(&again, "against more than 50000 of its rules");
}

#[test]
fn a_long_chain_and_a_ring_are_refused() {
    assert!(judge(&chain(100, |next| json!({ "not": next }))).is_ok());
    refused(&chain(20_000, |next| json!({ "not": next })), "more than 512");
    refused(&json!({ "type": "object", "$ref": "#" }), "more than 512");
    refused(&chain(1, |_| json!({ "allOf": [{ "$ref": "#/$defs/d0" }] })), "more than 512");
}

#[test]
fn a_schema_for_trees_is_judged_by_the_deepest_value() {
    let tree = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "children": { "type": "array", "items": { "$ref": "#" } } },
    });
    let pair = json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
    let condition = json!({
        "type": "object",
        "oneOf": [
            { "properties": { "and": { "type": "array", "items": { "$ref": "#" } } }, "required": ["and"] },
            { "properties": { "or": { "type": "array", "items": { "$ref": "#" } } }, "required": ["or"] },
            { "properties": { "not": { "$ref": "#" } }, "required": ["not"] },
            { "properties": { "column": { "type": "string" }, "equals": true }, "required": ["column"] },
        ],
    });
    let json = json!({
        "type": "object", "properties": { "any": { "$ref": "#/$defs/any" } },
        "$defs": { "any": { "anyOf": [
            { "type": ["string", "number", "boolean", "null"] },
            { "type": "array", "items": { "$ref": "#/$defs/any" } },
            { "type": "object", "additionalProperties": { "$ref": "#/$defs/any" } },
        ] } },
    });
    for schema in [tree, pair, condition, json] {
        let steps = judge(&schema).unwrap_or_else(|e| panic!("{schema}: {e}"));
        assert!(steps > u64::try_from(LEVELS_MAX).unwrap() / 2, "{schema}: {steps}");
    }
    // Here each entry is checked twice by the whole, and so each of its entries four times.
    let twice = json!({ "properties": { "of": { "$ref": "#" } } });
    refused(&json!({ "type": "object", "oneOf": [twice, twice] }), "against more than 50000 of its rules");
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let within = json!({ "type": "object", "properties": { "a": { "$id": "https://example.com/a", "$ref": "#" } } });
    refused(&within, "`$id`");
    refused(&json!({ "type": "object", "$dynamicRef": "#a" }), "`$dynamicRef`");
    for reference in ["#name", "other.json", "https://json-schema.org/draft/2020-12/schema", "#/%24defs/a"] {
        refused(&json!({ "type": "object", "$ref": reference }), "is not of the form");
    }
    refused(&json!({ "type": "object", "$ref": "#/$defs/a" }), "leads nowhere");
}

#[test]
fn names_beside_each_other_do_not_add_up_but_lists_of_words_do() {
    let entries: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("p{n}"), json!({ "enum": [1, 2, 3] }))).collect();
    let wide = judge(&json!({ "type": "object", "properties": entries })).unwrap();
    assert!((1_000..1_100).contains(&wide), "{wide}");
    let words: Vec<_> = (0..60_000).collect();
    refused(&json!({ "type": "object", "properties": { "a": { "enum": words } } }), "against more than 50000");
}
