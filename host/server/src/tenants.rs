//! What each tenant may use: which tools, how many calls, how much of a day.
//!
//! All tenants stand in the configuration, so what is kept here is bounded by it. Counts are this
//! process's own: a restart begins anew.

mod queue;
mod quota;
mod rate;

pub(crate) use queue::{FairQueue, Place};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use stockade_runtime::ToolInfo;
use tokio::sync::Semaphore;

use crate::config::{ConfigError, TenantConfig, TenantLimits};
use quota::Quota;
use rate::Rate;

/// A limit of a tenant that a call has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// The limit's key in the configuration.
    pub(crate) limit: &'static str,
    /// Time until there is room again.
    pub(crate) retry_after: Duration,
}

impl Exhausted {
    /// As the audit log names it.
    pub(crate) fn reason(self) -> &'static str {
        match self.limit {
            "cpu_s_per_day_max" => "CPU_S_PER_DAY_MAX",
            "rows_per_day_max" => "ROWS_PER_DAY_MAX",
            _ => "CALLS_PER_MINUTE_MAX",
        }
    }
}

/// A tenant, with what it has used.
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    pub(crate) limits: TenantLimits,
    /// HTTP requests under way at once.
    pub(crate) requests: Arc<Semaphore>,
    rate: Option<Rate>,
    quota: Quota,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tenant {
    pub(crate) fn new(name: &str, limits: TenantLimits) -> Self {
        Self {
            name: Arc::from(name),
            requests: Arc::new(Semaphore::new(limits.requests_max)),
            rate: limits.calls_per_minute_max.map(|calls| Rate::per_minute(calls, Instant::now())),
            quota: Quota::new(limits.cpu_s_per_day_max, limits.rows_per_day_max),
            limits,
        }
    }

    /// The same tenant under other limits: what it has used of its minute and its day stays used. Where calls had
    /// no limit, none were counted.
    fn continuing(self, before: &Self) -> Self {
        let rate = match (self.rate, &before.rate) {
            (Some(rate), Some(before)) => Some(rate.continuing(before, Instant::now())),
            (rate, _) => rate,
        };
        Self { quota: self.quota.continuing(&before.quota), rate, ..self }
    }

    /// HTTP requests under way now, open streams included.
    pub(crate) fn requests_under_way(&self) -> usize {
        self.limits.requests_max.saturating_sub(self.requests.available_permits())
    }

    /// Whether the tenant may know of the tool: what it may not know of is like what there is not.
    pub(crate) fn sees(&self, tool: &ToolInfo) -> bool {
        let among = |names: &Option<BTreeSet<String>>, name| names.as_ref().is_none_or(|names| names.contains(name));
        among(&self.limits.plugins, &tool.plugin) && among(&self.limits.tools, &tool.name)
    }

    /// Takes one call out of what the tenant may make now.
    pub(crate) fn take_call(&self) -> Result<(), Exhausted> {
        self.quota.check(SystemTime::now())?;
        match self.rate.as_ref().map(|rate| rate.take(Instant::now())) {
            Some(Err(retry_after)) => Err(Exhausted { limit: "calls_per_minute_max", retry_after }),
            _ => Ok(()),
        }
    }

    /// Enters what a call has used, however it ended.
    pub(crate) fn charge(&self, cpu: Duration, rows: u64) {
        self.quota.charge(SystemTime::now(), cpu, rows);
    }
}

/// The tenants that callers and issuers name.
#[derive(Debug)]
pub(crate) struct Tenants(BTreeMap<String, Arc<Tenant>>);

impl Tenants {
    /// Takes `[tenants.*]` and `[tenant_defaults]`, and the names that callers can have. A tenant that was there
    /// `before`, with the same limits, is the same one.
    ///
    /// # Errors
    /// Names the key of a wrong limit, or of a table for a tenant that nobody can be: most likely a
    /// misspelt one, whose tenant would go without its limits.
    pub(crate) fn new<'a>(
        configured: &BTreeMap<String, TenantConfig>,
        defaults: &TenantConfig,
        named: impl Iterator<Item = &'a String>,
        before: Option<&Self>,
    ) -> Result<Self, ConfigError> {
        let named: BTreeSet<_> = named.collect();
        if let Some(stray) = configured.keys().find(|name| !named.contains(name)) {
            return Err(ConfigError::value(format!("tenants.{stray}"), "is no tenant of any caller or issuer"));
        }
        defaults.over(&TenantConfig::default(), "tenant_defaults")?;
        let nothing = TenantConfig::default();
        let tenant = |name: &String| {
            let own = configured.get(name).unwrap_or(&nothing);
            let limits = own.over(defaults, &format!("tenants.{name}"))?;
            let tenant = match before.and_then(|before| before.get(name)) {
                Some(before) if before.limits == limits => before,
                Some(before) => Arc::new(Tenant::new(name, limits).continuing(&before)),
                None => Arc::new(Tenant::new(name, limits)),
            };
            Ok((name.clone(), tenant))
        };
        Ok(Self(named.into_iter().map(tenant).collect::<Result<_, ConfigError>>()?))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Tenant>> {
        self.0.values().cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Tenant>> {
        self.0.get(name).cloned()
    }
}
