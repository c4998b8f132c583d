//! A week unlike the others.

use stockade_sdk::jiff::SignedDuration;
use stockade_sdk::jiff::civil::Date;

use super::{dollars, insight};
use crate::facts::Facts;
use crate::output::{Insight, Kind};

/// Fewer weeks have no usual to be unlike.
const WEEKS_MIN: usize = 6;
/// How far from the median a week must lie: in median distances of all weeks …
const DISTANCES: f64 = 5.0;
/// … and as a share of the median.
const SHARE: f64 = 0.3;

/// The week farthest from the median, if it is far. Median and median distance are not moved by the odd
/// week itself, as a mean would be.
pub(super) fn unusual(facts: &Facts) -> Option<Insight> {
    let weeks = weeks(facts);
    if weeks.len() < WEEKS_MIN {
        return None;
    }
    let usual = median(weeks.iter().map(|&(_, revenue)| revenue).collect())?;
    let distance = median(weeks.iter().map(|&(_, revenue)| (revenue - usual).abs()).collect())?;
    let &(first, revenue) = weeks.iter().max_by(|(_, a), (_, b)| (a - usual).abs().total_cmp(&(b - usual).abs()))?;
    let off = revenue - usual;
    if off.abs() < DISTANCES * distance || off.abs() < SHARE * usual {
        return None;
    }
    let than = if off > 0.0 { "more" } else { "less" };
    let what = format!(
        "The seven days from {first} brought {}, {} {than} than a usual week.",
        dollars(revenue),
        dollars(off.abs()),
    );
    let why = "Look for an event of those days: a promotion, a closure, the weather, a fault in the data.";
    Some(insight(Kind::Week, off, what, Some(why.to_owned())))
}

/// Whole weeks, counted back from the period's end, each with its first day. A day without sales counts
/// as nothing.
fn weeks(facts: &Facts) -> Vec<(Date, f64)> {
    let Some(first_sale) = facts.days.first().map(|day| day.day) else { return Vec::new() };
    let mut weeks = Vec::new();
    let mut until = facts.until;
    loop {
        let first = until.saturating_sub(SignedDuration::from_hours(7 * 24));
        if first < first_sale {
            return weeks;
        }
        let days = facts.days.iter().filter(|day| first <= day.day && day.day < until);
        weeks.push((first, days.map(|day| day.revenue).sum()));
        until = first;
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some((values.get(middle - 1)? + upper) / 2.0) }
}
