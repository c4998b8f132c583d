//! The effects planted in the data, and their sizes: what a tool that analyses sales should find.
//!
//! This is the one place that says what is there. The generator applies it, and
//! `tests/effects.rs` measures each effect from a loaded database by SQL alone. Dates hang on the
//! day on which the data ends, see [`Dates`].

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use crate::stores::StoreKey;

/// Two products bought together: whoever buys `anchor` also takes `companion` with a probability
/// of [`COMPANION_PROBABILITY`].
#[derive(Debug, Clone, Copy)]
pub struct Basket {
    /// Name of the product that leads.
    pub anchor: &'static str,
    /// Name of the product that follows.
    pub companion: &'static str,
}

/// The pairs. Each is found as a rule `anchor → companion` with a confidence near
/// [`COMPANION_PROBABILITY`] and a lift, P(companion | anchor) / P(companion), of [`LIFT_MIN`] or more.
pub const BASKETS: [Basket; 4] = [
    Basket { anchor: "Interior Eggshell Latex 1 gal White", companion: "9 in Roller Kit with Tray" },
    Basket { anchor: "20V Cordless Drill Kit", companion: "29-Piece Titanium Drill Bit Set" },
    Basket { anchor: "4 x 4 x 8 ft Pressure-Treated Post", companion: "Fast-Setting Post Mix 50 lb" },
    Basket { anchor: "Universal Fill Valve", companion: "Braided Supply Line 20 in" },
];

/// How probable it is that an order with the anchor gets the companion as well.
pub const COMPANION_PROBABILITY: f64 = 0.45;

/// The least lift of a planted pair, in the full data.
pub const LIFT_MIN: f64 = 8.0;

/// The greatest lift of any other pair that was bought a hundred times or more: what the season, the
/// storm and the tastes of [`CUSTOMER_GROUPS`] do by themselves.
pub const LIFT_UNPLANTED_MAX: f64 = 5.0;

/// The store that lost customers.
pub const LOST_STORE: StoreKey = StoreKey::Tacoma;

/// The share of the customers of [`LOST_STORE`] who never come back after the first day of
/// [`Dates::lost_quarter`]. Its orders fall by as much; no other store's do.
pub const LOST_SHARE: f64 = 0.45;

/// The product whose price rose on [`Dates::price_rise`].
pub const PRICE_RISE_PRODUCT: &str = "LED Bulb 60 W Equivalent Soft White 4-Pack";

/// By how much: the price after it over the price before. All other prices stood still.
pub const PRICE_RISE_FACTOR: f64 = 1.20;

/// What is left of its volume after the rise, the season apart: an elasticity of about −1.75.
pub const PRICE_RISE_VOLUME_FACTOR: f64 = 0.65;

/// In the week of [`Dates::anomaly_week`] a windstorm hit: how many orders the stores with a door
/// had, as a multiple of an ordinary January week. The online store had its usual week.
pub const ANOMALY_ORDERS_FACTOR: f64 = 1.8;

/// The share of that week's lines, in those stores, that the storm drove: generators, flashlights
/// and batteries, pumps. They come on top of the ordinary share of these types, some 7 %.
pub const ANOMALY_STORM_SHARE: f64 = 0.35;

/// The store that ran out of [`STOCK_OUT_PRODUCT`].
pub const STOCK_OUT_STORE: StoreKey = StoreKey::Spokane;

/// What it ran out of: a product of which it otherwise sells some every week.
pub const STOCK_OUT_PRODUCT: &str = "All-Purpose Joint Compound 4.5 gal";

/// For how many days, up to today, it has sold none. Its stock is 0; every other stock is at least 1.
pub const STOCK_OUT_DAYS: i32 = 35;

/// A kind of customer. No column says which a customer is: the orders do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CustomerGroup {
    /// A name for people.
    pub name: &'static str,
    /// Share of all customers.
    pub share: f64,
    /// Orders per customer, as a multiple of a weekend improver's.
    pub frequency: f64,
    /// Chance of an order having 1, 2, 3 … lines.
    pub lines: [f64; 8],
    /// How much they want of each category, in the catalogue's order, as a multiple of its share.
    pub taste: [f64; 9],
    /// When they come, Monday first, as a multiple of the category's weekdays.
    pub weekdays: [f64; 7],
}

/// The groups: most customers improve a home at weekends; contractors come on working days, in the
/// morning, often, for a lot; gardeners come in spring for the garden.
pub const CUSTOMER_GROUPS: [CustomerGroup; 3] = [
    CustomerGroup {
        name: "weekend improvers",
        share: 0.77,
        frequency: 1.0,
        lines: [0.30, 0.30, 0.20, 0.11, 0.06, 0.03, 0.0, 0.0],
        taste: [1.0, 1.0, 1.1, 1.0, 0.8, 1.0, 1.0, 0.8, 1.2],
        weekdays: [0.9, 0.9, 0.9, 0.9, 1.0, 1.2, 1.2],
    },
    CustomerGroup {
        name: "contractors",
        share: 0.08,
        frequency: 6.0,
        lines: [0.10, 0.18, 0.24, 0.20, 0.13, 0.08, 0.05, 0.02],
        taste: [0.9, 1.2, 1.2, 1.4, 2.2, 1.6, 1.6, 0.2, 0.3],
        weekdays: [1.35, 1.35, 1.35, 1.30, 1.20, 0.35, 0.10],
    },
    CustomerGroup {
        name: "gardeners",
        share: 0.15,
        frequency: 1.6,
        lines: [0.28, 0.32, 0.22, 0.12, 0.06, 0.0, 0.0, 0.0],
        taste: [0.5, 0.4, 0.5, 0.5, 0.5, 0.4, 0.5, 9.0, 0.7],
        weekdays: [0.8, 0.8, 0.8, 0.9, 1.1, 1.3, 1.3],
    },
];

/// Index of the contractors in [`CUSTOMER_GROUPS`].
pub const CONTRACTORS: usize = 1;

/// Index of the gardeners in [`CUSTOMER_GROUPS`].
pub const GARDENERS: usize = 2;

/// Share of order lines with a discount.
pub const DISCOUNT_SHARE: f64 = 0.15;

/// Least and greatest discount, in whole percent.
pub const DISCOUNT_PERCENT: (u32, u32) = (5, 25);

/// How much more the stores with a door sell from one year to the next, as a share of 2020.
pub const GROWTH_A_YEAR: f64 = 0.06;

/// The same for the online store.
pub const GROWTH_A_YEAR_ONLINE: f64 = 0.14;

/// When the effects happened, for data that ends on some day. Days are in Pacific time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// The last full quarter before today: first day, and first day after.
    pub lost_quarter: (Date, Date),
    /// First day of the new price: the first of the month, six months before the current one.
    pub price_rise: Date,
    /// Monday of the storm week, and the Monday after: the second full week of January, of this
    /// year or, where that is less than eight weeks ago, of the last.
    pub anomaly_week: (Date, Date),
    /// First day without stock: [`STOCK_OUT_DAYS`] before today.
    pub stock_out_since: Date,
}

impl Dates {
    /// The dates for data that ends on `today`.
    #[must_use]
    pub fn new(today: Date) -> Self {
        let this_quarter = today.first_of_month().saturating_sub(i32::from((today.month() - 1) % 3).months());
        let last_quarter = this_quarter.saturating_sub(3.months());
        let anomaly = storm_monday(today.first_of_year());
        let anomaly = if anomaly.saturating_add(8.weeks()) <= today {
            anomaly
        } else {
            storm_monday(today.first_of_year().saturating_sub(1.year()))
        };
        Self {
            lost_quarter: (last_quarter, this_quarter),
            price_rise: today.first_of_month().saturating_sub(6.months()),
            anomaly_week: (anomaly, anomaly.saturating_add(1.week())),
            stock_out_since: today.saturating_sub(STOCK_OUT_DAYS.days()),
        }
    }
}

/// The second Monday of the month that begins on `first`.
fn storm_monday(first: Date) -> Date {
    first.nth_weekday_of_month(2, Weekday::Monday).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn dates_hang_on_today() {
        let dates = Dates::new(date(2026, 11, 23));
        assert_eq!(dates.lost_quarter, (date(2026, 7, 1), date(2026, 10, 1)));
        assert_eq!(dates.price_rise, date(2026, 5, 1));
        assert_eq!(dates.anomaly_week, (date(2026, 1, 12), date(2026, 1, 19)));
        assert_eq!(dates.stock_out_since, date(2026, 10, 19));
    }

    #[test]
    fn early_in_a_year_they_lie_in_the_last() {
        let dates = Dates::new(date(2026, 1, 31));
        assert_eq!(dates.lost_quarter, (date(2025, 10, 1), date(2026, 1, 1)));
        assert_eq!(dates.price_rise, date(2025, 7, 1));
        assert_eq!(dates.anomaly_week, (date(2025, 1, 13), date(2025, 1, 20)));
    }

    #[test]
    fn groups_are_whole() {
        let share: f64 = CUSTOMER_GROUPS.iter().map(|group| group.share).sum();
        assert!((share - 1.0).abs() < 1e-9);
        for group in CUSTOMER_GROUPS {
            assert!((group.lines.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", group.name);
        }
    }
}
