use std::time::Duration;

/// Parts of each power of two: a figure is off by half of a part at most, 3 %.
const PARTS: u64 = 16;
const PARTS_BITS: u32 = PARTS.trailing_zeros();
/// Longer times count as this one, in microseconds (19 hours).
const LONGEST_US: u64 = (1 << 36) - 1;

/// How often each time occurred, in buckets that grow with the time, as in an HDR histogram: 16 for each power
/// of two of microseconds, 544 at most, as many as the longest time needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let index = index_of(micros(time));
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = bucket.saturating_add(1);
            self.count += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (own, others) in self.buckets.iter_mut().zip(&other.buckets) {
            *own = own.saturating_add(*others);
        }
        self.count += other.count;
    }

    /// The time that `part` of all (0 to 1) did not exceed. Zero where there is none.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Duration::from_micros(middle_of(index as u64));
            }
        }
        Duration::ZERO
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).min(LONGEST_US)
}

fn index_of(us: u64) -> usize {
    let index = match us.checked_ilog2() {
        Some(power) if power >= PARTS_BITS => {
            let part = (us >> (power - PARTS_BITS)) & (PARTS - 1);
            u64::from(power - PARTS_BITS + 1) * PARTS + part
        }
        _ => us,
    };
    index as usize
}

fn middle_of(index: u64) -> u64 {
    match (index / PARTS).checked_sub(1) {
        None => index,
        Some(shift) => ((PARTS + index % PARTS) << shift) + ((1 << shift) >> 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_three_per_cent_of_the_truth() {
        // Every scale from a microsecond to an hour, and every step within it.
        let mut times: Vec<u64> =
            (0..32).flat_map(|power| (0..37).map(move |k| (1_u64 << power) * (37 + k) / 37)).collect();
        times.sort_unstable();
        let mut histogram = Histogram::default();
        times.iter().for_each(|us| histogram.add(Duration::from_micros(*us)));
        for part in [0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let at = ((times.len() as f64 * part).ceil() as usize).max(1) - 1;
            let (truth, said) = (times[at] as f64, histogram.quantile(part).as_micros() as f64);
            assert!((said - truth).abs() <= truth * 0.032 + 0.5, "{part}: {said} for {truth}");
        }
    }

    #[test]
    fn its_size_has_a_bound() {
        let mut histogram = Histogram::default();
        for time in [Duration::ZERO, Duration::MAX, Duration::from_micros(1)] {
            histogram.add(time);
        }
        assert!(histogram.buckets.len() <= 544, "{}", histogram.buckets.len());
        assert_eq!(histogram.quantile(0.1), Duration::ZERO);
        assert!(histogram.quantile(1.0) > Duration::from_secs(60 * 60 * 18));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
