use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Sample;
use super::histogram::{Histogram, micros};

/// The names that took the most time, each apart, and all others together. It holds twice as many as it is
/// made for; then the half that took less time joins the others, so a flood of names that come once displaces
/// none that keeps coming.
pub(super) struct Top {
    names_max: usize,
    names: HashMap<Arc<str>, Entry>,
    others: Entry,
}

#[derive(Default)]
struct Entry {
    text: Option<Arc<str>>,
    count: u64,
    failed: u64,
    slow: u64,
    rows: u64,
    total: Duration,
    min: Option<Duration>,
    max: Duration,
    times: Histogram,
}

/// One way to look at all statements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dimension {
    /// Those that took the most time, in all, first.
    pub top: Vec<Timing>,
    /// All others together.
    pub others: Timing,
}

/// How long the statements of one name took. Times are in milliseconds; quantiles are right to 3 %.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timing {
    /// A tool, a tenant or a fingerprint.
    pub name: String,
    /// The statement without its values, its first 500 characters; of statements alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Statements that ran, failed ones included.
    pub count: u64,
    /// Those that failed, were cancelled or ran out of time.
    pub failed: u64,
    /// Those that took `slow_statement_ms` or longer.
    pub slow: u64,
    /// Rows that they gave.
    pub rows: u64,
    /// The time of all of them.
    pub total_ms: f64,
    /// The average.
    pub average_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The shortest.
    pub min_ms: f64,
}

impl Top {
    pub(super) fn new(names_max: usize) -> Self {
        Self { names_max, names: HashMap::new(), others: Entry::default() }
    }

    pub(super) fn add(&mut self, name: &Arc<str>, text: Option<&Arc<str>>, sample: &Sample<'_>) {
        if let Some(entry) = self.names.get_mut(name) {
            return entry.add(sample);
        }
        if self.names.len() >= 2 * self.names_max {
            self.merge_the_lesser_half();
        }
        let mut entry = Entry { text: text.cloned(), ..Entry::default() };
        entry.add(sample);
        self.names.insert(Arc::clone(name), entry);
    }

    fn merge_the_lesser_half(&mut self) {
        let mut all: Vec<(Arc<str>, Entry)> = self.names.drain().collect();
        all.sort_unstable_by_key(|(_, entry)| Reverse(entry.total));
        for (_, entry) in all.drain(self.names_max.min(all.len())..) {
            self.others.merge(&entry);
        }
        self.names.extend(all);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.names.len()
    }

    pub(super) fn dimension(&self) -> Dimension {
        let mut top: Vec<_> = self.names.iter().collect();
        top.sort_unstable_by_key(|(name, entry)| (Reverse(entry.total), Arc::clone(name)));
        let mut others = Entry::default();
        others.merge(&self.others);
        top.iter().skip(self.names_max).for_each(|(_, entry)| others.merge(entry));
        let top = top.into_iter().take(self.names_max).map(|(name, entry)| entry.timing(name)).collect();
        Dimension { top, others: others.timing("others") }
    }
}

impl Entry {
    fn add(&mut self, sample: &Sample<'_>) {
        self.count += 1;
        self.failed += u64::from(sample.failed);
        self.slow += u64::from(sample.slow);
        self.rows = self.rows.saturating_add(sample.rows);
        self.total = self.total.saturating_add(sample.took);
        self.min = Some(self.min.map_or(sample.took, |min| min.min(sample.took)));
        self.max = self.max.max(sample.took);
        self.times.add(sample.took);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.slow += other.slow;
        self.rows = self.rows.saturating_add(other.rows);
        self.total = self.total.saturating_add(other.total);
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.max(other.max);
        self.times.merge(&other.times);
    }

    fn timing(&self, name: &str) -> Timing {
        let (min, max) = (self.min.unwrap_or_default(), self.max);
        // A bucket's middle may lie outside of what was seen.
        let quantile = |part| ms(self.times.quantile(part).clamp(min, max));
        Timing {
            name: name.to_owned(),
            text: self.text.as_ref().map(|text| text.to_string()),
            count: self.count,
            failed: self.failed,
            slow: self.slow,
            rows: self.rows,
            total_ms: ms(self.total),
            average_ms: if self.count == 0 { 0.0 } else { ms(self.total) / self.count as f64 },
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: ms(max),
            min_ms: ms(min),
        }
    }
}

/// To the microsecond.
fn ms(time: Duration) -> f64 {
    micros(time) as f64 / 1_000.0
}
