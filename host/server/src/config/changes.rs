use std::collections::BTreeSet;

use toml::{Table, Value};

/// What may change while the host runs, as section or `section.key`. Everything else needs a restart.
const MAY_CHANGE: [&str; 6] =
    ["callers", "oauth", "tenants", "tenant_defaults", "server.calls_per_caller_max", "server.requests_per_caller_max"];

/// The keys in which two configurations differ, as `section.key` or `section.NAME`.
pub(crate) struct Changes(BTreeSet<String>);

impl Changes {
    pub(super) fn between(before: &Table, after: &Table) -> Self {
        let nothing = Value::Table(Table::new());
        let sections: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut changed = BTreeSet::new();
        for section in sections {
            let of = |table: &Table| table.get(section).unwrap_or(&nothing).as_table().cloned().unwrap_or_default();
            let (before, after) = (of(before), of(after));
            let keys = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key));
            changed.extend(keys.map(|key| format!("{section}.{key}")));
        }
        Self(changed)
    }

    /// Those that need a restart.
    pub(crate) fn fixed(&self) -> Vec<String> {
        let may_change = |key: &str| {
            MAY_CHANGE
                .iter()
                .any(|may| key.strip_prefix(may).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        self.0.iter().filter(|key| !may_change(key)).cloned().collect()
    }

    /// Whether a section is as it was.
    pub(crate) fn leaves(&self, section: &str) -> bool {
        !self.0.iter().any(|key| key.split('.').next() == Some(section))
    }

    pub(crate) fn into_keys(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_and_what_needs_a_restart_is_told_apart() {
        let before = "[server]\nlisten = 'a'\ncalls_per_caller_max = 1\n[callers.a]\nx = 1\n[callers.b]\nx = 1\n[log]\nlevel = 'info'";
        let after = "[server]\nlisten = 'b'\ncalls_per_caller_max = 2\n[callers.a]\nx = 1\n[callers.c]\nx = 1\n[log]\nlevel = 'info'\n\
                     [database]\nurl = 'u'\n[callersx]\ny = 1";
        let of = |text: &str| toml::from_str::<Table>(text).expect("TOML");
        let changes = Changes::between(&of(before), &of(after));
        assert!(changes.leaves("log") && changes.leaves("oauth") && !changes.leaves("callers"));
        assert_eq!(changes.fixed(), ["callersx.y", "database.url", "server.listen"]);
        let keys = changes.into_keys();
        assert_eq!(keys.len(), 6, "{keys:?}");
        assert!(keys.contains(&"callers.b".to_owned()) && keys.contains(&"callers.c".to_owned()));
        assert!(Changes::between(&of(after), &of(after)).into_keys().is_empty());
    }
}
