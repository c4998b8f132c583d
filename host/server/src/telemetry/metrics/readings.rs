//! Numbers that something else keeps, read when somebody looks.

use opentelemetry::metrics::MeterProvider;

use super::Metrics;

/// Name, unit, words, and where it stands.
pub(super) type Reading<S> = (&'static str, &'static str, &'static str, fn(&S) -> u64);

impl Metrics {
    /// Shows what only grows.
    pub(super) fn watch_counts<S: 'static>(
        &self,
        readings: &[Reading<S>],
        read: impl Fn() -> Option<S> + Clone + Send + Sync + 'static,
    ) {
        let meter = self.0.provider.meter("stockade");
        for &(name, unit, words, value) in readings {
            let read = read.clone();
            let counter = meter.u64_observable_counter(name).with_unit(unit).with_description(words);
            counter.with_callback(move |observer| read().iter().for_each(|s| observer.observe(value(s), &[]))).build();
        }
    }

    /// Shows what grows and shrinks.
    pub(super) fn watch_levels<S: 'static>(
        &self,
        readings: &[Reading<S>],
        read: impl Fn() -> Option<S> + Clone + Send + Sync + 'static,
    ) {
        let meter = self.0.provider.meter("stockade");
        for &(name, unit, words, value) in readings {
            let read = read.clone();
            let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(words);
            gauge.with_callback(move |observer| read().iter().for_each(|s| observer.observe(value(s), &[]))).build();
        }
    }
}
