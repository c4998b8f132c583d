//! What a plugin may use: its manifest asks, the operator's file grants, both are needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

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
}

/// Which schemas the plugin's statements may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlGrant {
    /// Names of schemas. `pg_catalog` and `information_schema` must be named too if they are used.
    pub schemas: BTreeSet<String>,
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
pub struct CacheGrant {}

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
    /// A sentence with the path when it cannot be read, is not TOML or has an unknown key.
    pub fn read_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read the grants file {}: {e}", path.display()))?;
        toml::from_str(&text).map_err(|e| format!("the grants file {} is wrong: {e}", path.display()))
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
            missing(
                "vector",
                "collections",
                asked.vector.as_ref().map(|g| &g.collections),
                granted.vector.as_ref().map(|g| &g.collections),
            ),
            (asked.cache.is_some() && granted.cache.is_none()).then(|| "cache".to_owned()),
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
    fn a_misspelt_key_is_an_error() {
        assert!(toml::from_str::<OperatorGrants>("[sales]\nsqls = { schemas = [] }").is_err());
        assert!(toml::from_str::<Grants>("sql = { schema = [] }").is_err());
    }
}
