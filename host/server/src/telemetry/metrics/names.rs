//! Names that come from outside, of which a bounded number get a series of their own.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

/// What all names beyond the bound are called.
pub(super) const OTHER: &str = "other";

/// The first `max` names that are asked for.
pub(super) struct Names {
    max: usize,
    known: RwLock<HashSet<Arc<str>>>,
}

impl Names {
    pub(super) fn new(max: usize) -> Self {
        Self { max, known: RwLock::default() }
    }

    /// The name itself, or [`OTHER`].
    pub(super) fn bounded(&self, name: &Arc<str>) -> Arc<str> {
        let (is_known, is_full) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            (known.contains(name), known.len() >= self.max)
        };
        if is_known {
            return Arc::clone(name);
        }
        if !is_full {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() < self.max || known.contains(name) {
                known.insert(Arc::clone(name));
                return Arc::clone(name);
            }
        }
        Arc::from(OTHER)
    }
}
