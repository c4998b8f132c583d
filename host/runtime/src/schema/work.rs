//! What checking a value against a schema may cost, judged when the schema is compiled.
//!
//! A check runs outside of the sandbox, where no tick interrupts it, and a schema of a kilobyte can be made so that
//! it takes years: `d0` is `anyOf` of twice `d1`, which is `anyOf` of twice `d2` … So a schema is walked before it is
//! used, as a check would walk it: through every `$ref`, down to the deepest value that there can be.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// How deep lists and objects may lie in each other in a value: as deep as the JSON parser reads.
pub(super) const LEVELS_MAX: usize = 128;
/// Rules that may be applied on the way from the root of a value to one of the values in it.
const STEPS_PER_VALUE_MAX: u64 = 50_000;
/// How deep schemas may be applied within each other, on the way down to the deepest value: each takes some of the
/// stack of the thread that checks.
const DEPTH_MAX: usize = 512;
/// Schemas that are looked at before one is given up as too large.
const WALKED_MAX: usize = 1_000_000;

/// Keywords whose schemas apply to the value itself.
const IN_PLACE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];
/// Keywords whose schemas apply to entries of a list.
const OF_ITEMS: [&str; 5] = ["items", "prefixItems", "contains", "unevaluatedItems", "additionalItems"];
/// Keywords whose schemas apply to entries of an object that they do not name.
const OF_ENTRIES: [&str; 4] = ["patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties"];
/// Keywords that have a schema for each of several names.
const NAMED: [&str; 3] = ["dependentSchemas", "dependencies", "patternProperties"];
/// Keywords that check nothing.
const SILENT: [&str; 9] =
    ["$defs", "definitions", "title", "description", "default", "examples", "$comment", "$schema", "deprecated"];

/// What a check may cost.
#[derive(Clone, Copy, Default)]
struct Work {
    /// Rules on the way to one value.
    steps: u64,
    /// Schemas within each other.
    depth: usize,
}

/// How many rules may be applied on the way from the root of a value to one of the values in it: a check applies
/// at most as many for each value.
///
/// # Errors
/// A sentence, when those are too many, or when it refers to what cannot be judged.
pub(super) fn judge(schema: &Value) -> Result<u64, String> {
    let work = Walk { root: schema, known: HashMap::new(), walked: 0 }.work(schema, 0)?;
    Ok(work.steps)
}

/// Whether an error of the schema may hold others: of what fits no alternative, the library lists why not.
pub(super) fn has_alternatives(schema: &Value) -> bool {
    objects(schema).any(|map| map.contains_key("anyOf") || map.contains_key("oneOf"))
}

/// The patterns in a schema, each once.
pub(super) fn patterns(schema: &Value) -> HashSet<&str> {
    let of_values = objects(schema).filter_map(|map| map.get("pattern").and_then(Value::as_str));
    let of_names = objects(schema).filter_map(|map| map.get("patternProperties").and_then(Value::as_object));
    of_values.chain(of_names.flat_map(Map::keys).map(String::as_str)).collect()
}

/// All objects in a document.
fn objects(document: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let mut left = vec![document];
    std::iter::from_fn(move || {
        loop {
            match left.pop()? {
                Value::Array(list) => left.extend(list),
                Value::Object(map) => {
                    left.extend(map.values());
                    return Some(map);
                }
                _ => {}
            }
        }
    })
}

/// How many values there are in one, itself among them. `None` where they lie too deep in each other.
pub(super) fn values(value: &Value, level: usize) -> Option<u64> {
    if level > LEVELS_MAX {
        return None;
    }
    let within = |sum: u64, value| Some(sum.saturating_add(values(value, level + 1)?));
    match value {
        Value::Array(list) => list.iter().try_fold(1, within),
        Value::Object(map) => map.values().try_fold(1, within),
        _ => Some(1),
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// By the schema's address and the level of the value: one that refers to itself is walked once for each level.
    known: HashMap<(usize, usize), Work>,
    walked: usize,
}

/// What a schema does with one value, that of the schemas included that apply to the same one.
#[derive(Default)]
struct Here<'a> {
    work: Work,
    within: Vec<Within<'a>>,
}

/// A schema for a value inside of that.
struct Within<'a> {
    at: Place<'a>,
    schema: &'a Value,
    /// How often it is applied, and how deep.
    times: u64,
    depth: usize,
}

/// Which entries of a value a schema is for.
#[derive(Clone, Copy)]
enum Place<'a> {
    Items,
    Entries,
    /// A value has one entry of a name: what another name's schema costs is not on the way to it.
    Entry(&'a str),
}

impl<'a> Walk<'a> {
    /// What a schema costs for a value at this level, and for all in it.
    fn work(&mut self, schema: &'a Value, level: usize) -> Result<Work, String> {
        if level > LEVELS_MAX {
            return Ok(Work::default());
        }
        let key = (std::ptr::from_ref(schema).addr(), level);
        if let Some(work) = self.known.get(&key) {
            return Ok(*work);
        }
        let mut here = Here::default();
        self.apply(schema, 1, 0, &mut here)?;
        let mut work = here.work;
        let (mut items, mut entries, mut named) = (0_u64, 0_u64, HashMap::<&str, u64>::new());
        for Within { at, schema, times, depth } in here.within {
            let inside = self.work(schema, level + 1)?;
            let sum = match at {
                Place::Items => &mut items,
                Place::Entries => &mut entries,
                Place::Entry(name) => named.entry(name).or_default(),
            };
            *sum = sum.saturating_add(inside.steps.saturating_mul(times));
            work.depth = work.depth.max(depth + 1 + inside.depth);
        }
        // A value is a list or an object.
        let object = entries.saturating_add(named.into_values().max().unwrap_or_default());
        work.steps = work.steps.saturating_add(items.max(object));
        check(work)?;
        self.known.insert(key, work);
        Ok(work)
    }

    /// Count `schema`, and all that it applies to the same value, `times` over.
    fn apply(&mut self, schema: &'a Value, times: u64, depth: usize, here: &mut Here<'a>) -> Result<(), String> {
        self.walked += 1;
        if self.walked > WALKED_MAX {
            return Err(format!("it is too large: more than {WALKED_MAX} schemas would have to be judged"));
        }
        here.work.steps = here.work.steps.saturating_add(times);
        here.work.depth = here.work.depth.max(depth);
        check(here.work)?;
        let Value::Object(map) = schema else { return Ok(()) };
        if map.contains_key("$id") && !std::ptr::eq(schema, self.root) {
            return Err("it has an `$id` within; refer to its parts by `#/…`".into());
        }
        // These look once more at what the others look at.
        let again = map.contains_key("unevaluatedProperties") || map.contains_key("unevaluatedItems");
        let inside = times.saturating_mul(if again { 2 } else { 1 });
        for (keyword, value) in map {
            here.work.steps = here.work.steps.saturating_add(times.saturating_mul(rules(keyword, value)));
            let at = match keyword.as_str() {
                "$ref" => {
                    self.apply(self.referred(value)?, inside, depth + 1, here)?;
                    continue;
                }
                "$dynamicRef" | "$recursiveRef" => return Err(format!("it has a `{keyword}`; use `$ref`")),
                "properties" => {
                    let entries = value.as_object().into_iter().flatten();
                    let within = entries.map(|(name, schema)| Within { at: Place::Entry(name), schema, times, depth });
                    here.within.extend(within);
                    continue;
                }
                keyword if IN_PLACE.contains(&keyword) => {
                    schemas(keyword, value).try_for_each(|schema| self.apply(schema, inside, depth + 1, here))?;
                    continue;
                }
                keyword if OF_ITEMS.contains(&keyword) => Place::Items,
                keyword if OF_ENTRIES.contains(&keyword) => Place::Entries,
                _ => continue,
            };
            here.within.extend(schemas(keyword, value).map(|schema| Within { at, schema, times, depth }));
        }
        Ok(())
    }

    /// What a `$ref` refers to.
    fn referred(&self, reference: &Value) -> Result<&'a Value, String> {
        let reference = reference.as_str().ok_or("a `$ref` is no text")?;
        let pointer = reference.strip_prefix('#').filter(|rest| !rest.contains('%'));
        let pointer = pointer.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let pointer = pointer.ok_or_else(|| format!("its `$ref` {reference:?} is not of the form \"#/$defs/name\""))?;
        self.root.pointer(pointer).ok_or_else(|| format!("its `$ref` {reference:?} leads nowhere"))
    }
}

fn check(work: Work) -> Result<(), String> {
    if work.steps > STEPS_PER_VALUE_MAX {
        return Err(format!(
            "a value may have to be checked against more than {STEPS_PER_VALUE_MAX} of its rules: repeat fewer of them, \
             in `anyOf` and the like and by `$ref`"
        ));
    }
    if work.depth > DEPTH_MAX {
        return Err(format!(
            "more than {DEPTH_MAX} of its schemas lie in each other, or refer to each other, for one value"
        ));
    }
    Ok(())
}

/// The schemas in a keyword's value.
fn schemas<'a>(keyword: &str, value: &'a Value) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) if NAMED.contains(&keyword) => Box::new(map.values()),
        _ => Box::new(std::iter::once(value)),
    }
}

/// How many rules a keyword adds, besides those of the schemas in it.
fn rules(keyword: &str, value: &Value) -> u64 {
    let length = match value {
        _ if SILENT.contains(&keyword) => 0,
        _ if matches!(keyword, "enum" | "const") => return values(value, 0).unwrap_or(u64::MAX),
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 1,
    };
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
