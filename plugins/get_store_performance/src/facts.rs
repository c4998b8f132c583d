//! Sums, as the database gives them: all that the analysis stands on.

use serde::Deserialize;
use stockade_sdk::jiff::civil::Date;

#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) current: Totals,
    pub(crate) prior: Totals,
    /// Both periods a year earlier, where that tells the season.
    pub(crate) year_ago: Option<[Totals; 2]>,
    pub(crate) customers: CustomerFlow,
    /// The same between the periods of a year ago.
    pub(crate) customers_year_ago: Option<CustomerFlow>,
    /// Every product that sold in one of the periods.
    pub(crate) products: Vec<ProductSales>,
    /// The days of this period that had sales, in order.
    pub(crate) days: Vec<Day>,
    /// The day after the last of this period.
    pub(crate) until: Date,
}

/// Of one period.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Totals {
    pub(crate) orders: i64,
    pub(crate) revenue: f64,
    pub(crate) customers: i64,
}

/// Customers of the two periods against each other.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct CustomerFlow {
    pub(crate) kept: i64,
    pub(crate) gained: i64,
    pub(crate) registered: i64,
    pub(crate) lost: i64,
    pub(crate) gained_revenue: f64,
    pub(crate) lost_revenue: f64,
}

/// One product in both periods.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct ProductSales {
    pub(crate) sku: String,
    pub(crate) product_name: String,
    pub(crate) category_name: String,
    /// Today's cost of a unit.
    pub(crate) cost: f64,
    /// In stock now.
    pub(crate) stock_level: Option<i64>,
    pub(crate) units: i64,
    pub(crate) revenue: f64,
    /// Units at their list prices on the day, before discounts.
    pub(crate) list_revenue: f64,
    pub(crate) prior_units: i64,
    pub(crate) prior_revenue: f64,
    pub(crate) prior_list_revenue: f64,
}

/// One day.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(crate) struct Day {
    pub(crate) day: Date,
    pub(crate) revenue: f64,
}

impl Totals {
    pub(crate) fn average_order(self) -> f64 {
        zava::share(self.revenue, self.orders as f64).unwrap_or(0.0)
    }
}

impl ProductSales {
    pub(crate) fn change(&self) -> f64 {
        self.revenue - self.prior_revenue
    }

    pub(crate) fn margin(&self) -> f64 {
        self.revenue - self.units as f64 * self.cost
    }

    pub(crate) fn prior_margin(&self) -> f64 {
        self.prior_revenue - self.prior_units as f64 * self.cost
    }
}
