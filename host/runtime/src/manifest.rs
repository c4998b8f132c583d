//! The manifest: what people review, and the only thing that agents are told about a plugin.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{grants::Grants, limits::LimitRequest};

/// The version of `wit/` that this host runs.
pub(crate) const CONTRACT: &str = "0.1.0";

/// A plugin's manifest: `plugin.toml` when people write it, JSON inside the component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the contract that the plugin is written for.
    pub contract: String,
    /// Who the plugin is.
    pub plugin: PluginMeta,
    /// What it asks of the host.
    #[serde(default)]
    pub grants: Grants,
    /// The limits that it asks for.
    #[serde(default)]
    pub limits: LimitRequest,
    /// The limits that single tools ask for, by the tool's name. What is left out is as in `limits`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tool_limits: BTreeMap<String, LimitRequest>,
    /// For how long results of a tool's queries may be kept, by the tool's name. What is left out keeps none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tool_cache: BTreeMap<String, ToolCache>,
    /// Its tools. In `plugin.toml` they are left out when the component describes them itself.
    #[serde(default)]
    pub tools: Vec<ToolManifest>,
}

/// Who a plugin is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginMeta {
    /// 1 to 64 of `a-z`, `0-9`, `-`, the first a letter. Unique on a host.
    pub name: String,
    /// For people; the host tells versions apart by the file's digest.
    pub version: String,
    /// One sentence.
    pub description: String,
}

/// What may be kept of a tool's queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCache {
    /// Seconds, 1 to 86400, and never more than the operator's `ttl_s_max`; a change of a table that was read
    /// ends it earlier.
    pub ttl_s: u32,
}

/// One tool, as agents see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolManifest {
    /// 1 to 64 of `a-z`, `0-9`, `_`, the first a letter. Unique on a host.
    pub name: String,
    /// A short name for people.
    pub title: String,
    /// What the tool does, when to use it.
    pub description: String,
    /// JSON Schema of the arguments, of type object.
    pub input_schema: Map<String, Value>,
    /// JSON Schema of the structured result, of type object.
    pub output_schema: Map<String, Value>,
}

const NAME_BYTES_MAX: usize = 64;
const DESCRIPTION_BYTES_MAX: usize = 16 << 10;
const TOOLS_MAX: usize = 64;
const CACHE_TTL_S_MAX: u32 = 86_400;

impl Manifest {
    /// Read `plugin.toml`.
    ///
    /// # Errors
    /// A sentence with the place, when it is not TOML, misses a key or has an unknown one.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    /// Read a component's section.
    ///
    /// # Errors
    /// A sentence, when it is not JSON, misses a key or has an unknown one.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }

    /// Check all that does not need the component.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is expected.
    pub fn validate(&self) -> Result<(), String> {
        if self.contract != CONTRACT {
            return Err(format!(
                "it is written for contract {:?}; this host runs {CONTRACT:?}: build the plugin against that version of wit/",
                self.contract
            ));
        }
        check_name("plugin name", &self.plugin.name, b'-')?;
        check_text("plugin version", &self.plugin.version, NAME_BYTES_MAX)?;
        check_text("plugin description", &self.plugin.description, DESCRIPTION_BYTES_MAX)?;
        if self.tools.is_empty() || self.tools.len() > TOOLS_MAX {
            return Err(format!("it has {} tools; a plugin has 1 to {TOOLS_MAX}", self.tools.len()));
        }
        let mut seen = BTreeSet::new();
        for tool in &self.tools {
            check_name("tool name", &tool.name, b'_')?;
            check_text("tool title", &tool.title, NAME_BYTES_MAX * 2)?;
            check_text("tool description", &tool.description, DESCRIPTION_BYTES_MAX)?;
            if !seen.insert(&tool.name) {
                return Err(format!("it names the tool {:?} twice", tool.name));
            }
        }
        for (tool, limits) in &self.tool_limits {
            if !seen.contains(tool) {
                return Err(format!("[tool_limits.{tool}] names a tool that it does not have"));
            }
            let of_the_plugin = [("concurrent_calls", limits.concurrent_calls), ("stack_kib", limits.stack_kib)];
            if let Some((limit, _)) = of_the_plugin.iter().find(|(_, asked)| asked.is_some()) {
                return Err(format!(
                    "[tool_limits.{tool}] has `{limit}`, which is the whole plugin's: put it into [limits]"
                ));
            }
        }
        for (tool, cache) in &self.tool_cache {
            if !seen.contains(tool) {
                return Err(format!("[tool_cache.{tool}] names a tool that it does not have"));
            }
            if !(1..=CACHE_TTL_S_MAX).contains(&cache.ttl_s) {
                return Err(format!(
                    "[tool_cache.{tool}] has ttl_s = {}; expected 1 to {CACHE_TTL_S_MAX}, or leave the table out",
                    cache.ttl_s
                ));
            }
        }
        Ok(())
    }
}

fn check_name(what: &str, name: &str, separator: u8) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == separator;
    let good = name.len() <= NAME_BYTES_MAX
        && name.bytes().all(allowed)
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if good {
        return Ok(());
    }
    let separator = char::from(separator);
    Err(format!(
        "the {what} {:?} is wrong: expected 1 to {NAME_BYTES_MAX} of a-z, 0-9 and {separator:?}, the first a letter",
        name.chars().take(NAME_BYTES_MAX + 1).collect::<String>()
    ))
}

fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.trim().is_empty() || text.len() > bytes_max {
        return Err(format!("the {what} has {} bytes; expected 1 to {bytes_max}", text.len()));
    }
    // An escape sequence or a direction override in a description would lie to the person who reviews it.
    match text.chars().find(|c| (c.is_control() && *c != '\n') || is_format_character(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("the {what} has the invisible character U+{:04X}; take it out", u32::from(c))),
    }
}

fn is_format_character(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::from_json(
            br#"{"contract":"0.1.0","plugin":{"name":"a-b","version":"1","description":"d"},
                "tools":[{"name":"t_1","title":"T","description":"d","input_schema":{},"output_schema":{}}]}"#,
        )
        .expect("a manifest")
    }

    #[test]
    fn a_plain_manifest_is_valid() {
        assert_eq!(manifest().validate(), Ok(()));
    }

    #[test]
    fn each_rule_refuses_with_its_words() {
        type Change = fn(&mut Manifest);
        let changes: [(Change, &str); 18] = [
            (|m| m.contract = "9.0.0".into(), "contract"),
            (|m| m.plugin.name = "A".into(), "plugin name"),
            (|m| m.plugin.name = "-a".into(), "plugin name"),
            (|m| m.plugin.description = " ".into(), "plugin description"),
            (|m| m.plugin.name = "a".repeat(65), "plugin name"),
            (|m| m.plugin.version = "1".repeat(65), "plugin version"),
            (|m| m.tools[0].title = String::new(), "tool title"),
            (|m| m.tools[0].description = "d".repeat(16_385), "tool description"),
            (|m| m.tools.clear(), "0 tools"),
            (|m| m.tools = vec![m.tools[0].clone(); 65], "65 tools"),
            (|m| m.tools.push(m.tools[0].clone()), "twice"),
            (|m| m.tools[0].name = "t-1".into(), "tool name"),
            (|m| _ = m.tool_limits.insert("t_2".into(), LimitRequest::default()), "tool_limits.t_2"),
            (
                |m| {
                    let limits = LimitRequest { concurrent_calls: Some(1), ..LimitRequest::default() };
                    m.tool_limits.insert("t_1".into(), limits);
                },
                "concurrent_calls",
            ),
            (
                |m| {
                    let limits = LimitRequest { stack_kib: Some(64), ..LimitRequest::default() };
                    m.tool_limits.insert("t_1".into(), limits);
                },
                "stack_kib",
            ),
            (|m| _ = m.tool_cache.insert("t_2".into(), ToolCache { ttl_s: 1 }), "tool_cache.t_2"),
            (|m| _ = m.tool_cache.insert("t_1".into(), ToolCache { ttl_s: 86_401 }), "ttl_s = 86401"),
            (|m| m.tools[0].description = "safe\u{202E}evil".into(), "U+202E"),
        ];
        for (change, words) in changes {
            let mut manifest = manifest();
            change(&mut manifest);
            let sentence = manifest.validate().expect_err(words);
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(
            Manifest::from_json(
                br#"{"contract":"0.1.0","plugin":{"name":"a","version":"1","description":"d"},"grant":{}}"#
            )
            .is_err()
        );
    }
}
