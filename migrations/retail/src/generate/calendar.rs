//! How many orders each store has on each day.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rand::RngExt;

use crate::effects::{ANOMALY_ORDERS_FACTOR, GROWTH_A_YEAR, GROWTH_A_YEAR_ONLINE, LOST_SHARE, LOST_STORE};
use crate::options::{FIRST_DAY, pacific};
use crate::stores::{STORES, Store};

use super::taste::Taste;
use super::{Stream, World};

/// The share of a day's orders that `today` has had so far.
const TODAY_SHARE: f64 = 0.10;

/// A day of business.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) date: Date,
    /// Days since 1970-01-01.
    pub(super) number: i32,
    /// 0 is January.
    pub(super) month: usize,
    /// 0 is Monday.
    pub(super) weekday: usize,
    /// Its midnight in Pacific time, in seconds since 1970-01-01T00:00:00Z.
    pub(super) midnight_s: i64,
    pub(super) is_today: bool,
}

impl Day {
    fn new(date: Date, time_zone: &TimeZone, today: Date) -> Self {
        // By way of noon, as clocks change in the night.
        let noon_s = time_zone.to_timestamp(date.at(12, 0, 0, 0)).map_or(0, jiff::Timestamp::as_second);
        Self {
            date,
            number: day_number(date),
            month: usize::from(date.month().unsigned_abs()) - 1,
            weekday: usize::from(date.weekday().to_monday_zero_offset().unsigned_abs()),
            midnight_s: noon_s - 12 * 3600,
            is_today: date == today,
        }
    }
}

/// Days since 1970-01-01.
pub(super) fn day_number(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.until(date).map_or(0, |span| span.get_days())
}

/// All days, and the number of orders of each store on each.
pub(super) fn calendar(world: &World, taste: &Taste) -> Vec<(Day, [u32; STORES.len()])> {
    let time_zone = pacific();
    let mut rng = world.rng(Stream::Calendar);
    let days: Vec<Day> = FIRST_DAY
        .series(jiff::Span::new().days(1))
        .take_while(|date| *date <= world.options.today)
        .map(|date| Day::new(date, &time_zone, world.options.today))
        .collect();
    let weights: Vec<[f64; STORES.len()]> = days
        .iter()
        .map(|day| {
            // Weather, ball games and luck: for all stores together, and for each.
            let luck = rng.random_range(0.88..1.12) * smooth_demand(taste, day);
            std::array::from_fn(|store| luck * rng.random_range(0.75..1.25) * weight(world, day, &STORES[store]))
        })
        .collect();
    let whole: f64 = weights.iter().flatten().sum();
    // Running totals, rounded: the counts add up to exactly what was asked for.
    let scale = f64::from(world.options.size.orders()) / whole;
    let (mut total, mut counted) = (0.0, 0_u32);
    let mut counts = weights.into_iter().map(|day| {
        day.map(|weight| {
            total += weight * scale;
            let upto = (total + 0.5) as u32;
            let count = upto - counted;
            counted = upto;
            count
        })
    });
    days.into_iter().zip(&mut counts).collect()
}

/// Demand on that day, gliding from mid-month to mid-month.
fn smooth_demand(taste: &Taste, day: &Day) -> f64 {
    let offset = (f64::from(day.date.day()) - 15.5) / 30.5;
    let neighbour = if offset < 0.0 { (day.month + 11) % 12 } else { (day.month + 1) % 12 };
    let share = offset.abs();
    taste.demand(day.month, day.weekday) * (1.0 - share) + taste.demand(neighbour, day.weekday) * share
}

fn weight(world: &World, day: &Day, store: &Store) -> f64 {
    let closed = (day.date.month(), day.date.day()) == (12, 25) || is_thanksgiving(day.date);
    if closed && !store.is_online() {
        return 0.0;
    }
    let years = f64::from(day.number - day_number(FIRST_DAY)) / 365.25;
    let growth = if store.is_online() { GROWTH_A_YEAR_ONLINE } else { GROWTH_A_YEAR };
    let mut weight = store.share * (1.0 + growth * years);
    if store.key == LOST_STORE && day.date >= world.dates.lost_quarter.0 {
        weight *= 1.0 - LOST_SHARE;
    }
    if is_anomaly(world, day, store) {
        weight *= ANOMALY_ORDERS_FACTOR;
    }
    if day.is_today {
        weight *= TODAY_SHARE;
    }
    weight
}

/// Whether the windstorm blows at that store on that day.
pub(super) fn is_anomaly(world: &World, day: &Day, store: &Store) -> bool {
    let (first, after) = world.dates.anomaly_week;
    !store.is_online() && (first..after).contains(&day.date)
}

fn is_thanksgiving(date: Date) -> bool {
    date.month() == 11
        && date.first_of_month().nth_weekday_of_month(4, jiff::civil::Weekday::Thursday).is_ok_and(|day| day == date)
}
