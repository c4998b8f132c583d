use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::auth::KnownCaller;

/// Kinds of refusals counted apart in one period; of those beyond, a tenant's are counted together.
const KINDS_MAX: usize = 1_000;

/// Whose requests were refused, and why: what is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    pub(super) tenant: Option<Arc<str>>,
    pub(super) caller: Option<Arc<str>>,
    pub(super) tool: Option<Arc<str>>,
    pub(super) reason: &'static str,
}

impl Refusal {
    /// Of `known`, or of a stranger.
    pub(super) fn of(known: Option<&KnownCaller>, reason: &'static str) -> Self {
        let tenant = known.map(|known| Arc::clone(&known.tenant.name));
        let caller = known.map(|known| Arc::clone(&known.name));
        Self { tenant, caller, tool: None, reason }
    }
}

/// How many requests were refused.
#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Refusal, u64>>);

impl Refusals {
    pub(super) fn count(&self, refusal: Refusal) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = if counts.len() < KINDS_MAX || counts.contains_key(&refusal) {
            refusal
        } else {
            // Callers may be as many as there are users; tenants stand in the configuration.
            Refusal { caller: None, tool: None, ..refusal }
        };
        *counts.entry(refusal).or_default() += 1;
    }

    pub(super) fn take(&self) -> impl Iterator<Item = (Refusal, u64)> + use<> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_are_refused_there_are_few_records_and_each_tenant_has_its_own() {
        let refusals = Refusals::default();
        let stranger = Refusal::of(None, "UNAUTHENTICATED");
        for number in 0..10_000 {
            refusals.count(stranger.clone());
            for tenant in ["acme", "zeta"] {
                let caller = Some(Arc::from(format!("caller-{number}")));
                refusals.count(Refusal { tenant: Some(tenant.into()), caller, tool: None, reason: "REQUESTS_MAX" });
            }
        }
        let taken: Vec<_> = refusals.take().collect();
        assert!(taken.len() <= KINDS_MAX + 2, "{}", taken.len());
        assert!(taken.contains(&(stranger, 10_000)));
        for tenant in ["acme", "zeta"] {
            let own = taken.iter().filter(|(refusal, _)| refusal.tenant.as_deref() == Some(tenant));
            assert_eq!(own.map(|(_, count)| count).sum::<u64>(), 10_000, "{tenant}");
        }
        assert_eq!(refusals.take().count(), 0);
    }
}
