//! A week unlike the others.

use std::iter::successors;

use stockade_sdk::jiff::SignedDuration;
use stockade_sdk::jiff::civil::Date;
use zava::share;

use super::{dollars, insight};
use crate::facts::Facts;
use crate::output::{Insight, Kind};

const WEEK: usize = 7;
/// Fewer days have no usual week to be unlike.
const DAYS_MIN: usize = 6 * WEEK;
/// A week is compared with so many on either side: near enough that the season is the same.
const NEIGHBOURS: usize = 4;
/// How far off a week must be: in median distances of all weeks …
const DISTANCES: f64 = 5.0;
/// … and as a share of what is usual around it.
const SHARE: f64 = 0.3;

/// Seven days in a row, from any day on: what is odd keeps to no calendar.
struct Week {
    first: Date,
    revenue: f64,
    /// What is usual around it.
    usual: f64,
    /// How far off it is, as a share of that.
    off: f64,
}

/// The week farthest from what is usual around it, if it is far. Medians are not moved by the odd week
/// itself, as a mean would be.
pub(super) fn unusual(facts: &Facts) -> Option<Insight> {
    let weeks = weeks(facts);
    let distance = median(weeks.iter().map(|week| week.off.abs()).collect())?;
    let odd = weeks.into_iter().max_by(|a, b| a.off.abs().total_cmp(&b.off.abs()))?;
    if odd.off.abs() < SHARE.max(DISTANCES * distance) {
        return None;
    }
    let Week { first, revenue, usual, off } = odd;
    let than = if off > 0.0 { "more" } else { "less" };
    let what = format!(
        "The seven days from {first} brought {}, {} {than} than the weeks around them.",
        dollars(revenue),
        dollars((revenue - usual).abs()),
    );
    let why = "Look for an event of those days: the weather, a promotion, a closure, a fault in the data.";
    Some(insight(Kind::Week, revenue - usual, what, Some(why.to_owned())))
}

/// Every seven days from the first sale to the period's end, against those that lie whole weeks before and
/// after: so weekdays match.
fn weeks(facts: &Facts) -> Vec<Week> {
    let days = days(facts);
    if days.len() < DAYS_MIN {
        return Vec::new();
    }
    let sums: Vec<_> = days.windows(WEEK).map(|days| days.iter().map(|&(_, revenue)| revenue).sum::<f64>()).collect();
    let week = |at: usize, first: Date, revenue: f64| {
        let around = (1..=NEIGHBOURS).flat_map(|weeks| [at.checked_sub(weeks * WEEK), Some(at + weeks * WEEK)]);
        let usual = median(around.flatten().filter_map(|other| sums.get(other).copied()).collect())?;
        Some(Week { first, revenue, usual, off: share(revenue - usual, usual)? })
    };
    let each = days.iter().zip(&sums).enumerate();
    each.filter_map(|(at, (&(first, _), &revenue))| week(at, first, revenue)).collect()
}

/// The days from the first sale to the period's end. A day without sales counts as nothing.
fn days(facts: &Facts) -> Vec<(Date, f64)> {
    let Some(first_sale) = facts.days.first().map(|day| day.day) else { return Vec::new() };
    let mut sold = facts.days.iter().peekable();
    let all = successors(Some(first_sale), |day| Some(day.saturating_add(SignedDuration::from_hours(24))));
    let all = all.take_while(|&day| day < facts.until);
    all.map(|day| (day, sold.next_if(|sold| sold.day == day).map_or(0.0, |sold| sold.revenue))).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some((values.get(middle - 1)? + upper) / 2.0) }
}
