//! Planted changes are found, with their size.
#![allow(clippy::unwrap_used, reason = "tests")]

use stockade_sdk::jiff::SignedDuration;
use stockade_sdk::jiff::civil::date;

use super::{dollars, drivers, insights, moved};
use crate::facts::{CustomerFlow, Day, Facts, ProductSales, Totals};
use crate::output::{Insight, Kind};

fn totals(orders: i64, revenue: f64, customers: i64) -> Totals {
    Totals { orders, revenue, customers }
}

fn product(name: &str, units: [i64; 2], list_prices: [f64; 2]) -> ProductSales {
    let [revenue, prior_revenue] =
        [0, 1].map(|at: usize| units.get(at).map(|&units| units as f64).unwrap() * list_prices.get(at).unwrap());
    ProductSales {
        sku: name.into(),
        product_name: name.into(),
        category_name: "TOOLS".into(),
        cost: 1.0,
        stock_level: Some(5),
        units: units[0],
        revenue,
        list_revenue: revenue,
        prior_units: units[1],
        prior_revenue,
        prior_list_revenue: prior_revenue,
    }
}

fn find(facts: &Facts, kind: Kind) -> Option<Insight> {
    insights(facts).into_iter().find(|insight| insight.kind == kind)
}

#[test]
fn effects_of_orders_and_size_add_up() {
    let facts = Facts { current: totals(90, 9900.0, 75), prior: totals(100, 10_000.0, 90), ..Facts::default() };
    let (of_orders, of_average) = drivers::effects(&facts);
    assert_eq!(of_orders, -1050.0);
    assert_eq!(of_average, 950.0);
    assert_eq!(of_orders + of_average, -100.0);
    let orders = find(&facts, Kind::Orders).unwrap();
    assert_eq!(orders.what, "Orders fell by 10 % (90 after 100), worth −$1,050.");
    assert_eq!(
        orders.why.unwrap(),
        "The number of customers fell by 16.7 % (75 after 90), orders a customer rose by 8 % (1.20 after 1.11)."
    );
}

#[test]
fn lost_customers_are_told_with_their_money() {
    let flow =
        CustomerFlow { kept: 40, gained: 10, registered: 8, lost: 60, gained_revenue: 500.0, lost_revenue: 6000.0 };
    let facts = Facts {
        current: totals(55, 4500.0, 50),
        prior: totals(110, 10_000.0, 100),
        customers: flow,
        customers_year_ago: Some(CustomerFlow { kept: 80, lost: 20, ..CustomerFlow::default() }),
        ..Facts::default()
    };
    let customers = find(&facts, Kind::Customers).unwrap();
    assert_eq!(customers.amount, -5500.0);
    assert!(customers.what.starts_with("60 of 100 customers"), "{}", customers.what);
    assert_eq!(
        customers.why.unwrap(),
        "60 % of the customers did not buy again (a year ago, between the same periods, 20 %); of those gained 8 \
         registered in this period and 2 had bought earlier."
    );
    let headline = insights(&facts).swap_remove(0);
    assert_eq!((headline.kind, headline.amount), (Kind::Revenue, -5500.0));
    assert_eq!(headline.what, "Revenue fell by 55 %: $4,500 after $10,000.");
    assert_eq!(
        headline.why.unwrap(),
        "Orders fell by 50 % (55 after 110), worth −$4,750. What may be behind it, first of all: 60 of 100 customers \
         of the prior period did not buy again and took $6,000 with them; 10 who had not bought then brought $500."
    );
}

#[test]
fn a_price_rise_with_its_drop_in_volume_is_found() {
    let drill = product("Drill", [50, 100], [120.0, 100.0]);
    let steady = product("Saw", [100, 101], [50.0, 50.0]);
    let facts = Facts {
        current: totals(100, 11_000.0, 90),
        prior: totals(150, 15_050.0, 140),
        products: vec![drill, steady],
        ..Facts::default()
    };
    let price = find(&facts, Kind::Price).unwrap();
    assert_eq!(price.amount, -4000.0);
    assert_eq!(
        price.what,
        "The list price of Drill rose by 20 % ($120.00 after $100.00) and its units fell by 50 % (50 after 100)."
    );
    assert_eq!(find(&facts, Kind::Stock), None);
}

#[test]
fn a_stock_out_is_found_where_sales_fell() {
    let gone = ProductSales { stock_level: Some(0), ..product("Pump", [2, 20], [100.0, 100.0]) };
    let sold_out_well = ProductSales { stock_level: Some(0), ..product("Fan", [30, 20], [100.0, 100.0]) };
    // Less than a hundredth of the revenue, and told all the same.
    let facts = Facts {
        current: totals(3000, 320_000.0, 30),
        prior: totals(4000, 400_000.0, 40),
        products: vec![gone, sold_out_well],
        ..Facts::default()
    };
    let stock = find(&facts, Kind::Stock).unwrap();
    assert_eq!(stock.amount, -1800.0);
    assert!(stock.what.starts_with("Out of stock now: 1 product that sold less"), "{}", stock.what);
    assert!(stock.why.unwrap().contains("Pump (Pump), 2 units after 20"));
}

#[test]
fn discounts_and_margin_are_weighed_at_this_periods_sales() {
    let mut drill = product("Drill", [100, 100], [10.0, 10.0]);
    drill.revenue = 800.0;
    let facts = Facts {
        current: totals(10, 800.0, 10),
        prior: totals(10, 1000.0, 10),
        products: vec![drill],
        ..Facts::default()
    };
    assert_eq!(find(&facts, Kind::Discount).unwrap().amount, -200.0);
    let margin = find(&facts, Kind::Margin).unwrap();
    // 87.5 % after 90 %, at 800.
    assert_eq!(margin.amount, -20.0);
}

#[test]
fn the_season_is_what_it_was_a_year_ago() {
    let facts = Facts {
        current: totals(8, 800.0, 8),
        prior: totals(10, 1000.0, 10),
        year_ago: Some([totals(7, 700.0, 7), totals(10, 1000.0, 10)]),
        ..Facts::default()
    };
    let season = find(&facts, Kind::Season).unwrap();
    assert_eq!(season.amount, -300.0);
    assert_eq!(season.why.unwrap(), "The season may explain that much; $100 are beyond it.");
}

fn days(odd_week: f64) -> Facts {
    let until = date(2026, 11, 23);
    let day = |back: i64| Day {
        day: until.saturating_sub(SignedDuration::from_hours(24 * back)),
        revenue: if (15..=21).contains(&back) { odd_week } else { 100.0 + (back % 7) as f64 + (back % 5) as f64 },
    };
    Facts {
        current: totals(900, 9000.0, 800),
        prior: totals(900, 9000.0, 800),
        days: (1..=90).rev().map(day).collect(),
        until,
        ..Facts::default()
    }
}

#[test]
fn an_odd_week_is_found_and_an_ordinary_one_is_not() {
    let week = find(&days(300.0), Kind::Week).unwrap();
    assert!(week.what.starts_with("The seven days from 2026-11-02 brought $2,100"), "{}", week.what);
    assert!(week.amount > 1300.0);
    assert_eq!(find(&days(105.0), Kind::Week), None);
}

#[test]
fn an_odd_week_is_found_on_whatever_day_it_begins() {
    for shift in 0..7 {
        let mut facts = days(300.0);
        facts.until = facts.until.saturating_add(SignedDuration::from_hours(24 * shift));
        let last = facts.days.last().unwrap().day;
        let further = (1..=shift).map(|day| last.saturating_add(SignedDuration::from_hours(24 * day)));
        facts.days.extend(further.map(|day| Day { day, revenue: 105.0 }));
        let week = find(&facts, Kind::Week).unwrap();
        assert!(week.what.starts_with("The seven days from 2026-11-02 brought $2,100"), "{shift}: {}", week.what);
    }
}

#[test]
fn days_without_sales_count_as_nothing() {
    let mut facts = days(300.0);
    facts.days.retain(|day| day.revenue != 300.0);
    let week = find(&facts, Kind::Week).unwrap();
    assert!(week.what.starts_with("The seven days from 2026-11-02 brought $0"), "{}", week.what);
}

#[test]
fn a_week_is_compared_with_its_neighbours_and_not_with_another_season() {
    let until = date(2026, 11, 23);
    // Sales grow fourfold over the year; one early week has half as much again.
    let year = |odd_week: f64| Facts {
        days: (1..=364)
            .rev()
            .map(|back: i64| Day {
                day: until.saturating_sub(SignedDuration::from_hours(24 * back)),
                revenue: (400.0 - 300.0 * back as f64 / 364.0)
                    * if (323..=329).contains(&back) { odd_week } else { 1.0 },
            })
            .collect(),
        ..days(0.0)
    };
    let week = find(&year(1.5), Kind::Week).unwrap();
    assert!(week.what.starts_with("The seven days from 2025-12-29"), "{}", week.what);
    assert_eq!(find(&year(1.0), Kind::Week), None);
}

#[test]
fn no_sales_are_one_insight() {
    let none = insights(&Facts::default());
    assert_eq!(none.len(), 1);
    let began = Facts { current: totals(1, 10.0, 1), ..Facts::default() };
    assert_eq!(insights(&began).swap_remove(0).what, "Revenue began: $10 after $0.");
    assert!(insights(&began).iter().all(|insight| insight.amount.is_finite()));
}

#[test]
fn words_for_amounts() {
    assert_eq!(dollars(-1_234_567.4), "−$1,234,567");
    assert_eq!(dollars(-0.4), "$0");
    assert_eq!(dollars(999.5), "$1,000");
    assert_eq!(moved(90.0, 100.0), "fell by 10 %");
    assert_eq!(moved(100.01, 100.0), "stayed the same");
}
