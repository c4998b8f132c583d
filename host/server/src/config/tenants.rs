use std::collections::BTreeSet;

use serde::Deserialize;

use super::ConfigError;

/// A table `[tenants.NAME]`, and `[tenant_defaults]` for what such a table leaves out and for tenants
/// without one: what a tenant may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Plugins whose tools the tenant may see and call. Default: all.
    pub plugins: Option<BTreeSet<String>>,
    /// Tools that the tenant may see and call, of these plugins. Default: all.
    pub tools: Option<BTreeSet<String>>,
    /// Calls of all its callers that run at once; a further one waits. Default 8: fewer than the database
    /// has connections for us, so that no tenant alone takes them all.
    pub calls_max: Option<usize>,
    /// Calls a minute; a whole minute's may come at once. Default none: no limit.
    pub calls_per_minute_max: Option<u32>,
    /// CPU time of its calls a day (UTC), in seconds. Default none: no limit.
    pub cpu_s_per_day_max: Option<u64>,
    /// Rows that its calls take out of the database a day (UTC). Default none: no limit.
    pub rows_per_day_max: Option<u64>,
    /// HTTP requests under way at once, open streams included; a further one gets 429. Default 512.
    pub requests_max: Option<usize>,
    /// Sessions of the older revisions at once; a further one gets 503. Default 256.
    pub sessions_max: Option<usize>,
}

/// What a tenant may use, with nothing left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantLimits {
    pub(crate) plugins: Option<BTreeSet<String>>,
    pub(crate) tools: Option<BTreeSet<String>>,
    pub(crate) calls_max: usize,
    pub(crate) calls_per_minute_max: Option<u32>,
    pub(crate) cpu_s_per_day_max: Option<u64>,
    pub(crate) rows_per_day_max: Option<u64>,
    pub(crate) requests_max: usize,
    pub(crate) sessions_max: usize,
}

impl TenantConfig {
    /// What this table says, then what `defaults` says, then our own defaults.
    ///
    /// # Errors
    /// Names the key of a limit that is zero or out of any sense. `at` is the table's name.
    pub(crate) fn over(&self, defaults: &Self, at: &str) -> Result<TenantLimits, ConfigError> {
        let (own, rest) = (self.clone(), defaults.clone());
        let limits = TenantLimits {
            plugins: own.plugins.or(rest.plugins),
            tools: own.tools.or(rest.tools),
            calls_max: own.calls_max.or(rest.calls_max).unwrap_or(8),
            calls_per_minute_max: own.calls_per_minute_max.or(rest.calls_per_minute_max),
            cpu_s_per_day_max: own.cpu_s_per_day_max.or(rest.cpu_s_per_day_max),
            rows_per_day_max: own.rows_per_day_max.or(rest.rows_per_day_max),
            requests_max: own.requests_max.or(rest.requests_max).unwrap_or(512),
            sessions_max: own.sessions_max.or(rest.sessions_max).unwrap_or(256),
        };
        let within = [
            ("calls_max", Some(limits.calls_max as u64)),
            ("calls_per_minute_max", limits.calls_per_minute_max.map(Into::into)),
            ("cpu_s_per_day_max", limits.cpu_s_per_day_max),
            ("rows_per_day_max", limits.rows_per_day_max),
            ("requests_max", Some(limits.requests_max as u64)),
            ("sessions_max", Some(limits.sessions_max as u64)),
        ];
        for (key, value) in within {
            if value.is_some_and(|value| value == 0 || value > 1 << 32) {
                return Err(ConfigError::value(format!("{at}.{key}"), "must lie between 1 and 4294967296"));
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_own_value_comes_first_then_the_operators_default_then_ours() {
        let own: TenantConfig = toml::from_str("calls_max = 2").expect("a table");
        let defaults: TenantConfig = toml::from_str("calls_max = 3\nrequests_max = 4\nplugins = []").expect("a table");
        let limits = own.over(&defaults, "tenants.a").expect("limits");
        assert_eq!((limits.calls_max, limits.requests_max, limits.sessions_max), (2, 4, 256));
        assert_eq!(limits.plugins, Some(BTreeSet::new()), "an empty list is none, and not all");
        assert_eq!(limits.tools, None);
    }

    #[test]
    fn a_zero_is_refused_by_name() {
        let own: TenantConfig = toml::from_str("calls_per_minute_max = 0").expect("a table");
        let error = own.over(&TenantConfig::default(), "tenants.a").expect_err("a refusal").to_string();
        assert!(error.contains("tenants.a.calls_per_minute_max"), "{error}");
        assert!(toml::from_str::<TenantConfig>("calls_a_minute = 1").is_err());
    }
}
