//! A week unlike the others.

use stockade_sdk::jiff::SignedDuration;
use stockade_sdk::jiff::civil::Date;
use zava::share;

use super::{dollars, insight};
use crate::facts::Facts;
use crate::output::{Insight, Kind};

/// Fewer weeks have no usual to be unlike.
const WEEKS_MIN: usize = 6;
/// A week is compared with so many on either side: near enough that the season is the same.
const NEIGHBOURS: usize = 4;
/// How far off a week must be: in median distances of all weeks …
const DISTANCES: f64 = 5.0;
/// … and as a share of what is usual around it.
const SHARE: f64 = 0.3;

/// The week farthest from what is usual around it, if it is far. Medians are not moved by the odd week
/// itself, as a mean would be.
pub(super) fn unusual(facts: &Facts) -> Option<Insight> {
    let weeks = weeks(facts);
    if weeks.len() < WEEKS_MIN {
        return None;
    }
    // First day, revenue, what is usual around it, and how far off it is as a share of that.
    let mut compared = Vec::new();
    for (at, &(first, revenue)) in weeks.iter().enumerate() {
        let from = at.saturating_sub(NEIGHBOURS);
        let around = weeks.iter().enumerate().skip(from).take(at + NEIGHBOURS + 1 - from);
        let others = around.filter(|&(other, _)| other != at).map(|(_, &(_, revenue))| revenue);
        let usual = median(others.collect())?;
        compared.push((first, revenue, usual, share(revenue - usual, usual)?));
    }
    let distance = median(compared.iter().map(|&(.., off)| off.abs()).collect())?;
    let &(first, revenue, usual, off) = compared.iter().max_by(|(.., a), (.., b)| a.abs().total_cmp(&b.abs()))?;
    if off.abs() < SHARE.max(DISTANCES * distance) {
        return None;
    }
    let than = if off > 0.0 { "more" } else { "less" };
    let what = format!(
        "The seven days from {first} brought {}, {} {than} than the weeks around them.",
        dollars(revenue),
        dollars((revenue - usual).abs()),
    );
    let why = "Look for an event of those days: the weather, a promotion, a closure, a fault in the data.";
    Some(insight(Kind::Week, revenue - usual, what, Some(why.to_owned())))
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
