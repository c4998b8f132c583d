//! Measurements of the plugin's own. The manifest lists the names that the host keeps.

use crate::host::metrics;

/// Add `by`, finite and not negative, to the counter `name`.
pub fn add(name: &str, by: f64) {
    metrics::add(name, by);
}

/// Record `value`, finite, in the histogram `name`. The unit belongs into the name: `basket_size_items`.
pub fn record(name: &str, value: f64) {
    metrics::record(name, value);
}
