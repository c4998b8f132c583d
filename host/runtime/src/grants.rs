//! What a plugin may use: its manifest asks, the operator's file grants, both are needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use stockade_db::{SqlScope, TableName};

/// Host interfaces and what of them, as a manifest asks for them and as an operator grants them. A
/// missing key is an interface that is not linked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// The interface `sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlGrant>,
    /// The interface `vector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorGrant>,
    /// The interface `cache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheGrant>,
    /// The interface `metrics`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsGrant>,
    /// Of the interface `log`, which every plugin has, the level. Default `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogGrant>,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Grants {
    /// The least that is written to the log.
    pub(crate) fn log_level(&self) -> LogLevel {
        self.log.as_ref().map(|grant| grant.level).unwrap_or_default()
    }
}

/// What the plugin's statements may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlGrant {
    /// Names of schemas, all that is in them. `pg_catalog` and `information_schema` must be named too if they
    /// are used.
    pub schemas: BTreeSet<String>,
    /// Single tables and views of other schemas, `schema.table`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tables: BTreeSet<TableName>,
}

impl SqlGrant {
    pub(crate) fn scope(&self) -> SqlScope {
        SqlScope { schemas: self.schemas.clone(), tables: self.tables.clone() }
    }
}

/// Which collections the plugin may search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorGrant {
    /// Names from the operator's `[collections]`.
    pub collections: BTreeSet<String>,
}

/// The plugin may keep values from call to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheGrant {
    /// Under keys that begin with one of these and a colon. Default: under any key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<BTreeSet<String>>,
}

/// Which lines of the plugin are written to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogGrant {
    /// The least that is written.
    pub level: LogLevel,
}

/// How much a line matters; each holds those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// The operator must look.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What happens. A plugin that is granted no level writes down to here.
    #[default]
    Info,
    /// For whoever writes the plugin.
    Debug,
    /// All.
    Trace,
}

/// Which measurements the plugin may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsGrant {
    /// Names of counters and histograms.
    pub names: BTreeSet<String>,
}

/// The operator's file: a table of [`Grants`] for each plugin, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct OperatorGrants(BTreeMap<String, Grants>);

impl OperatorGrants {
    /// Read the operator's file.
    ///
    /// # Errors
    /// A sentence with the path, when it cannot be read, and with the line, when it is not TOML or has an unknown
    /// key. It quotes nothing of the file: the path may be that of another one, with a secret in it.
    pub fn read_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read the grants file {}: {e}", path.display()))?;
        toml::from_str(&text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("the grants file {} is wrong in line {line}: {}", path.display(), without_value(error.message()))
        })
    }

    /// The plugins whose grants differ, by name.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        let names: BTreeSet<&'a String> = self.0.keys().chain(before.0.keys()).collect();
        names.into_iter().filter(|name| self.0.get(*name) != before.0.get(*name)).map(String::as_str).collect()
    }

    /// Whether `plugin` is granted all that it asks for.
    ///
    /// # Errors
    /// A sentence that names the first thing asked for and not granted.
    pub fn check(&self, plugin: &str, asked: &Grants) -> Result<(), String> {
        let nothing = Grants::default();
        let granted = self.0.get(plugin).unwrap_or(&nothing);
        let missing = [
            missing("sql", "schemas", asked.sql.as_ref().map(|g| &g.schemas), granted.sql.as_ref().map(|g| &g.schemas)),
            missing_table(asked.sql.as_ref(), granted.sql.as_ref()),
            missing(
                "vector",
                "collections",
                asked.vector.as_ref().map(|g| &g.collections),
                granted.vector.as_ref().map(|g| &g.collections),
            ),
            missing_cache(asked.cache.as_ref(), granted.cache.as_ref()),
            (asked.log_level() > granted.log_level())
                .then(|| format!("log.level = \"{}\"", asked.log_level().as_str())),
            missing(
                "metrics",
                "names",
                asked.metrics.as_ref().map(|g| &g.names),
                granted.metrics.as_ref().map(|g| &g.names),
            ),
        ];
        match missing.into_iter().flatten().next() {
            None => Ok(()),
            Some(what) => Err(format!(
                "the manifest asks for {what}, which the operator has not granted: add it to [{plugin}] in the grants file, or take it out of the manifest"
            )),
        }
    }
}

/// What the parser says, without what it found: serde's `invalid type: string "hunter2", expected a map`.
fn without_value(message: &str) -> String {
    match (message.split_once(": "), message.rfind(", expected ")) {
        (Some((kind @ ("invalid type" | "invalid value"), _)), Some(at)) => {
            format!("{kind}{}", message.get(at..).unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

/// A plugin that asks for any key is not content with some.
fn missing_cache(asked: Option<&CacheGrant>, granted: Option<&CacheGrant>) -> Option<String> {
    match (&asked?.namespaces, granted.map(|grant| &grant.namespaces)) {
        (_, None) | (None, Some(Some(_))) => Some("cache".to_owned()),
        (_, Some(None)) => None,
        (Some(asked), Some(Some(granted))) => {
            let name = asked.difference(granted).next()?;
            Some(format!("cache.namespaces = [\"{name}\"]"))
        }
    }
}

/// A granted schema holds its tables.
fn missing_table(asked: Option<&SqlGrant>, granted: Option<&SqlGrant>) -> Option<String> {
    let (asked, granted) = (asked?, granted?);
    let missing = |table: &&TableName| !granted.tables.contains(table) && !granted.schemas.contains(table.schema());
    asked.tables.iter().find(missing).map(|table| format!("sql.tables = [\"{table}\"]"))
}

fn missing(
    interface: &str,
    key: &str,
    asked: Option<&BTreeSet<String>>,
    granted: Option<&BTreeSet<String>>,
) -> Option<String> {
    let (asked, Some(granted)) = (asked?, granted) else {
        return Some(interface.to_owned());
    };
    asked.difference(granted).next().map(|name| format!("{interface}.{key} = [\"{name}\"]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(text: &str) -> OperatorGrants {
        toml::from_str(text).expect("valid grants")
    }

    fn asked(text: &str) -> Grants {
        toml::from_str(text).expect("valid request")
    }

    #[test]
    fn both_are_needed() {
        let operator = operator("[sales]\nsql = { schemas = [\"app\"] }\ncache = {}");
        for (request, refused_for) in [
            ("sql = { schemas = [\"app\"] }", None),
            ("", None),
            ("sql = { schemas = [\"app\", \"secret\"] }", Some("sql.schemas = [\"secret\"]")),
            ("vector = { collections = [] }", Some("vector")),
            ("metrics = { names = [\"x\"] }", Some("metrics")),
        ] {
            let outcome = operator.check("sales", &asked(request));
            match (refused_for, outcome) {
                (None, outcome) => assert_eq!(outcome, Ok(()), "{request}"),
                (Some(what), Err(sentence)) => assert!(sentence.contains(what), "{sentence}"),
                (Some(_), Ok(())) => panic!("granted: {request}"),
            }
        }
        assert!(operator.check("other", &asked("cache = {}")).is_err(), "another plugin's grant");
        assert!(operator.check("other", &Grants::default()).is_ok());
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_without_quoting_it() {
        let path = std::env::temp_dir().join(format!("stockade-grants-{}.toml", std::process::id()));
        for (text, words) in [
            ("[sales]\ncache = \"hunter2\"\n", "in line 2: invalid type, expected "),
            ("\n\nhunter2-----BEGIN KEY", "in line 3: "),
            ("[sales]\ncash = {} # hunter2\n", "unknown field `cash`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let sentence = OperatorGrants::read_file(&path).expect_err(words);
            assert!(sentence.contains(words) && !sentence.contains("hunter2"), "{sentence}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    const SCHEMA: &str = "sql = { schemas = [\"a\"] }";
    const TABLE: &str = "sql = { schemas = [], tables = [\"a.t\"] }";

    #[test]
    fn neither_side_widens_the_other() {
        for (granted, asked, refused_for) in [
            ("cache = {}", "cache = { namespaces = [\"a\"] }", None),
            ("cache = { namespaces = [\"a\", \"b\"] }", "cache = { namespaces = [\"b\"] }", None),
            ("cache = { namespaces = [\"a\"] }", "cache = {}", Some("cache")),
            (
                "cache = { namespaces = [\"a\"] }",
                "cache = { namespaces = [\"a\", \"b\"] }",
                Some("cache.namespaces = [\"b\"]"),
            ),
            ("", "cache = { namespaces = [] }", Some("cache")),
            ("", "log = { level = \"info\" }", None),
            ("", "log = { level = \"debug\" }", Some("log.level")),
            ("log = { level = \"debug\" }", "log = { level = \"trace\" }", Some("log.level")),
            ("log = { level = \"trace\" }", "log = { level = \"debug\" }", None),
            ("log = { level = \"error\" }", "", Some("log.level")),
            ("log = { level = \"error\" }", "log = { level = \"error\" }", None),
            ("vector = { collections = [\"a\"] }", "vector = { collections = [\"b\"] }", Some("vector.collections")),
            (SCHEMA, SCHEMA, None),
            (SCHEMA, TABLE, None),
            (TABLE, TABLE, None),
            (TABLE, SCHEMA, Some("sql.schemas = [\"a\"]")),
            (TABLE, "sql = { schemas = [], tables = [\"a.t\", \"a.u\"] }", Some("sql.tables = [\"a.u\"]")),
            (TABLE, "sql = { schemas = [], tables = [\"b.t\"] }", Some("sql.tables = [\"b.t\"]")),
            ("", TABLE, Some("sql")),
        ] {
            let outcome = operator(&format!("[p]\n{granted}")).check("p", &self::asked(asked));
            match refused_for {
                None => assert_eq!(outcome, Ok(()), "{granted} / {asked}"),
                Some(what) => {
                    assert!(outcome.clone().is_err_and(|e| e.contains(what)), "{granted} / {asked}: {outcome:?}")
                }
            }
        }
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        for wrong in ["cache = { namespace = [] }", "log = { level = \"loud\" }", "log = {}", "logs = {}"] {
            assert!(toml::from_str::<Grants>(wrong).is_err(), "{wrong}");
        }
        assert!(toml::from_str::<OperatorGrants>("[sales]\nsqls = { schemas = [] }").is_err());
        for wrong in ["schema = []", "schemas = [], table = []", "schemas = [], tables = [\"orders\"]"] {
            assert!(toml::from_str::<Grants>(&format!("sql = {{ {wrong} }}")).is_err(), "{wrong}");
        }
    }
}
