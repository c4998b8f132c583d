//! Two sides that take turns.

use std::time::{Duration, Instant};

/// The median of one side's times, and of the ratios of the rounds.
pub(crate) struct Outcome {
    pub(crate) ours: Duration,
    pub(crate) theirs: Duration,
    pub(crate) ratio: f64,
}

/// Run both sides in turns: `rounds` rounds of `each` runs a side, after one round that does not
/// count. A round's figure is the median of its runs; the outcome is the median of the rounds.
pub(crate) async fn interleave(
    rounds: usize,
    each: usize,
    mut ours: impl AsyncFnMut(),
    mut theirs: impl AsyncFnMut(),
) -> Outcome {
    let mut medians = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for round in 0..=rounds {
        let mine = time(each, &mut ours).await;
        let other = time(each, &mut theirs).await;
        if round > 0 {
            ratios.push(mine.as_secs_f64() / other.as_secs_f64());
            medians.0.push(mine);
            medians.1.push(other);
        }
    }
    Outcome { ours: median(medians.0), theirs: median(medians.1), ratio: median_of(ratios) }
}

async fn time(runs: usize, side: &mut impl AsyncFnMut()) -> Duration {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        side().await;
        times.push(start.elapsed());
    }
    median(times)
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

pub(crate) fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A duration in microseconds, as text.
pub(crate) fn us(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}

/// A duration in milliseconds, as text.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
