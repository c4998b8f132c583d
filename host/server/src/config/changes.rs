use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// Stands for all keys of a section.
const ALL: &[&str] = &["*"];

/// The one table in a section whose keys are told apart.
const LIMITS: &str = "plugins.limits";

/// What may change while the host runs, by section. Everything else needs a restart: a new key, too, until
/// somebody has made it take effect.
const RELOADED: [(&str, &[&str]); 13] = [
    (
        "server",
        &[
            "allowed_hosts",
            "allowed_origins",
            "body_bytes_max",
            "body_timeout_s",
            "call_queue_timeout_ms",
            "calls_max",
            "calls_per_caller_max",
            "instructions",
            "json_depth_max",
            "requests_per_caller_max",
        ],
    ),
    ("callers", ALL),
    ("oauth", ALL),
    ("tenants", ALL),
    ("tenant_defaults", ALL),
    // Of `stockade stdio` alone, which reads it when it starts.
    ("stdio", ALL),
    ("log", &["level"]),
    ("audit", &["arguments"]),
    ("admin", &["token_sha256"]),
    (
        "database",
        &[
            "idle_in_transaction_timeout_ms",
            "jit",
            "lock_timeout_ms",
            "slow_statement_ms",
            "slow_statement_plan",
            "statement_timeout_ms",
            "work_mem_kib",
        ],
    ),
    ("cache", &["entry_bytes_max", "ttl_s_max"]),
    ("plugins", &["log_lines_per_s_max", "start_ms"]),
    // By the others the pool of instances was made.
    (
        LIMITS,
        &[
            "bytes_max",
            "concurrent_calls",
            "cpu_ms",
            "deadline_ms",
            "fuel",
            "handles",
            "host_calls",
            "log_lines_max",
            "output_bytes_max",
            "rows_max",
            "stack_kib",
        ],
    ),
];

fn reloaded(section: &str) -> &'static [&'static str] {
    RELOADED.iter().find_map(|(name, keys)| (*name == section).then_some(*keys)).unwrap_or_default()
}

/// Section and key, or section and name; no key where the table itself came or went.
type Key = (String, String);

/// The keys in which two configurations differ.
pub(crate) struct Changes(BTreeSet<Key>);

fn keys(file: &Table) -> BTreeMap<Key, Value> {
    let mut keys = BTreeMap::new();
    for (section, table) in file {
        for (key, value) in table.as_table().into_iter().flatten() {
            match value {
                Value::Table(limits) if format!("{section}.{key}") == LIMITS => {
                    keys.extend(limits.iter().map(|(key, value)| ((LIMITS.to_owned(), key.clone()), value.clone())));
                }
                _ => drop(keys.insert((section.clone(), key.clone()), value.clone())),
            }
        }
    }
    // An empty table is not none: it has something kept.
    if file.contains_key("cache") {
        keys.insert(("cache".to_owned(), String::new()), Value::Boolean(true));
    }
    keys
}

impl Changes {
    pub(super) fn between(before: &Table, after: &Table) -> Self {
        let (before, after) = (keys(before), keys(after));
        let differs = |key: &&Key| before.get(*key) != after.get(*key);
        Self(before.keys().chain(after.keys()).filter(differs).cloned().collect())
    }

    /// Those that need a restart.
    pub(crate) fn fixed(&self) -> Vec<String> {
        let fixed = |(section, key): &&Key| {
            let reloaded = reloaded(section);
            reloaded != ALL && !reloaded.contains(&key.as_str())
        };
        self.0.iter().filter(fixed).map(written).collect()
    }

    /// Whether a section is as it was.
    pub(crate) fn leaves(&self, section: &str) -> bool {
        !self.0.iter().any(|(of, _)| of == section)
    }

    pub(crate) fn into_keys(self) -> Vec<String> {
        self.0.iter().map(written).collect()
    }
}

fn written((section, key): &Key) -> String {
    if key.is_empty() { section.clone() } else { format!("{section}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use stockade_db::{CacheConfig, DatabaseConfig};
    use stockade_runtime::{LimitCaps, RuntimeConfig};

    use super::*;
    use crate::config::{AdminConfig, AuditConfig, LogConfig, ServerConfig, whole::File};

    fn of(text: &str) -> Table {
        toml::from_str(text).expect("TOML")
    }

    #[test]
    fn what_changed_is_named_and_what_needs_a_restart_is_told_apart() {
        let before =
            "[server]\nlisten = 'a'\ncalls_max = 1\n[callers.a]\nx = 1\n[callers.b]\nx = 1\n[log]\nlevel = 'info'";
        let after = "[server]\nlisten = 'b'\ncalls_max = 2\n[callers.a]\nx = 1\n[callers.c]\nx = 1\n[log]\nlevel = 'info'\n\
                     [database]\nurl = 'u'\n[callersx]\ny = 1\n[plugins.limits]\ncpu_ms = 1\nmemory_mib = 2";
        let changes = Changes::between(&of(before), &of(after));
        assert!(changes.leaves("log") && changes.leaves("oauth") && !changes.leaves("callers"));
        assert_eq!(changes.fixed(), ["callersx.y", "database.url", "plugins.limits.memory_mib", "server.listen"]);
        let keys = changes.into_keys();
        assert_eq!(keys.len(), 8, "{keys:?}");
        for expected in ["callers.b", "callers.c", "plugins.limits.cpu_ms", "server.calls_max"] {
            assert!(keys.iter().any(|key| key == expected), "{keys:?}");
        }
        assert!(Changes::between(&of(after), &of(after)).into_keys().is_empty());
    }

    #[test]
    fn a_cache_that_comes_or_goes_needs_a_restart() {
        for text in ["[cache]", "[cache]\nttl_s_max = 1"] {
            assert_eq!(Changes::between(&of(""), &of(text)).fixed(), ["cache"], "{text}");
            assert_eq!(Changes::between(&of(text), &of("")).fixed(), ["cache"], "{text}");
        }
        assert!(Changes::between(&of("[cache]"), &of("[cache]\nttl_s_max = 1")).fixed().is_empty());
    }

    /// All that a table may have: the parser lists it when it meets a key that it does not know.
    fn keys_of<T: DeserializeOwned>() -> BTreeSet<String> {
        let refusal = toml::from_str::<T>("no_such_key = 1").err().expect("an unknown key");
        let names = refusal.message().split('`').skip(3).step_by(2);
        names.map(str::to_owned).collect()
    }

    fn listed<'a>(keys: impl Iterator<Item = &'a str>) -> String {
        let keys: Vec<_> = keys.map(|key| format!("`{key}`")).collect();
        if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
    }

    #[test]
    fn each_key_is_in_one_of_two_lists_of_the_reference() {
        let by_key: [(&str, BTreeSet<String>); 8] = [
            ("server", keys_of::<ServerConfig>()),
            ("log", keys_of::<LogConfig>()),
            ("audit", keys_of::<AuditConfig>()),
            ("admin", keys_of::<AdminConfig>()),
            ("database", keys_of::<DatabaseConfig>()),
            ("cache", keys_of::<CacheConfig>()),
            ("plugins", &keys_of::<RuntimeConfig>() - &["limits".to_owned()].into()),
            (LIMITS, keys_of::<LimitCaps>()),
        ];
        let mut rows = Vec::new();
        for (section, keys) in &by_key {
            assert!(keys.len() > 3, "{keys:?}");
            let reload = reloaded(section);
            assert!(reload.iter().all(|key| keys.contains(*key)), "a key of [{section}] that there is not: {reload:?}");
            let restart = keys.iter().map(String::as_str).filter(|key| !reload.contains(key));
            rows.push(format!("| `[{section}]` | {} | {} |", listed(reload.iter().copied()), listed(restart)));
        }
        for section in keys_of::<File>().iter().filter(|section| by_key.iter().all(|(name, _)| name != section)) {
            let (reload, restart) = if reloaded(section) == ALL { ("all", "nothing") } else { ("nothing", "all") };
            rows.push(format!("| `[{section}]` | {reload} | {restart} |"));
        }
        assert!(rows.len() == 16, "{rows:#?}");
        let reference = include_str!("../../README.md");
        let missing: Vec<_> = rows.iter().filter(|row| !reference.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "host/server/README.md lacks {missing:#?}");
    }
}
