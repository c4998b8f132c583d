use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Callers counted apart in one period; those beyond are counted together.
const CALLERS_MAX: usize = 1_000;

type Key = (Option<Arc<str>>, &'static str);

/// How many requests were refused, for whom and why.
#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Key, u64>>);

impl Refusals {
    pub(super) fn count(&self, caller: Option<&Arc<str>>, reason: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (caller.cloned(), reason);
        if counts.len() >= CALLERS_MAX && !counts.contains_key(&key) {
            key.0 = None;
        }
        *counts.entry(key).or_default() += 1;
    }

    pub(super) fn take(&self) -> impl Iterator<Item = (Option<Arc<str>>, &'static str, u64)> + use<> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        counts.into_iter().map(|((caller, reason), count)| (caller, reason, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_are_refused_there_are_few_records() {
        let refusals = Refusals::default();
        for number in 0..10_000 {
            refusals.count(None, "UNAUTHENTICATED");
            refusals.count(Some(&Arc::from(format!("caller-{number}"))), "REQUESTS_PER_CALLER_MAX");
        }
        let taken: Vec<_> = refusals.take().collect();
        assert!(taken.len() <= CALLERS_MAX + 1, "{}", taken.len());
        assert_eq!(taken.iter().map(|(_, _, count)| count).sum::<u64>(), 20_000);
        assert!(taken.contains(&(None, "UNAUTHENTICATED", 10_000)));
        assert_eq!(refusals.take().count(), 0);
    }
}
