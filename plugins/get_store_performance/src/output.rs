//! What the tool gives.

use schemars::JsonSchema;
use serde::Serialize;
use zava::{Spans, TimePeriod};

#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct Output {
    /// The store's key.
    pub(crate) store_id: String,
    /// The store's name.
    pub(crate) store_name: String,
    /// The days looked at, and those compared with.
    pub(crate) period: Period,
    /// Figures of both periods.
    pub(crate) metrics: Metrics,
    /// What changed: first the revenue, then its parts, the largest first.
    pub(crate) insights: Vec<Insight>,
}

#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct Period {
    /// The period asked for.
    name: TimePeriod,
    /// Its first day, Pacific time.
    first_day: String,
    /// Its last day.
    last_day: String,
    /// The first day of the prior period.
    prior_first_day: String,
    /// The last day of the prior period.
    prior_last_day: String,
}

impl Period {
    pub(crate) fn new(name: TimePeriod, Spans { current, prior, .. }: Spans) -> Self {
        Self {
            name,
            first_day: current.first.to_string(),
            last_day: current.last().to_string(),
            prior_first_day: prior.first.to_string(),
            prior_last_day: prior.last().to_string(),
        }
    }
}

#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct Metrics {
    /// The period asked for.
    pub(crate) current: Figures,
    /// The one before.
    pub(crate) prior: Figures,
    /// From the prior period to this one, in percent; null where there was nothing before.
    pub(crate) change_percent: Change,
    /// How customers of the two periods compare.
    pub(crate) customers: Customers,
    /// Every category that sold, by revenue.
    pub(crate) categories: Vec<Category>,
    /// The ten products with the highest revenue.
    pub(crate) top_products: Vec<Product>,
}

#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// What customers paid after discounts, in US dollars.
    pub(crate) revenue: f64,
    /// How many orders.
    pub(crate) orders: i64,
    /// Revenue an order, in US dollars; 0 without orders.
    pub(crate) average_order: f64,
    /// Units sold.
    pub(crate) units: i64,
    /// Different customers who bought.
    pub(crate) customers: i64,
    /// Revenue less the units at today's cost, in US dollars.
    pub(crate) margin: f64,
    /// Margin in percent of revenue; 0 without revenue.
    pub(crate) margin_percent: f64,
    /// Discounts in percent of the list price; 0 without sales.
    pub(crate) discount_percent: f64,
}

#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Change {
    /// Of the revenue.
    pub(crate) revenue: Option<f64>,
    /// Of the number of orders.
    pub(crate) orders: Option<f64>,
    /// Of the average order.
    pub(crate) average_order: Option<f64>,
    /// Of the units sold.
    pub(crate) units: Option<f64>,
    /// Of the number of customers.
    pub(crate) customers: Option<f64>,
    /// Of the margin.
    pub(crate) margin: Option<f64>,
}

#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Customers {
    /// Bought in both periods.
    pub(crate) kept: i64,
    /// Bought in this period and not in the prior one.
    pub(crate) gained: i64,
    /// Of those gained: registered in this period.
    pub(crate) new: i64,
    /// Bought in the prior period and not in this one.
    pub(crate) lost: i64,
    /// What the gained ones spent in this period, in US dollars.
    pub(crate) gained_revenue: f64,
    /// What the lost ones had spent in the prior period, in US dollars.
    pub(crate) lost_revenue: f64,
}

#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Category {
    /// Name, in capitals.
    pub(crate) category_name: String,
    /// Revenue in this period, in US dollars.
    pub(crate) revenue: f64,
    /// Revenue in the prior period, in US dollars.
    pub(crate) prior_revenue: f64,
    /// Units in this period.
    pub(crate) units: i64,
    /// Units in the prior period.
    pub(crate) prior_units: i64,
}

#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Product {
    /// Stock keeping unit.
    pub(crate) sku: String,
    /// Name.
    pub(crate) product_name: String,
    /// Category, in capitals.
    pub(crate) category_name: String,
    /// Units in this period.
    pub(crate) units: i64,
    /// Revenue in this period, in US dollars.
    pub(crate) revenue: f64,
    /// Revenue less the units at today's cost, in US dollars.
    pub(crate) margin: f64,
    /// Revenue in the prior period, in US dollars.
    pub(crate) prior_revenue: f64,
    /// Units in stock now; null where the store does not carry it.
    pub(crate) stock_level: Option<i64>,
}

/// What an insight is about.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Kind {
    /// The revenue as a whole.
    Revenue,
    /// The number of orders.
    Orders,
    /// The size of an order.
    AverageOrder,
    /// What the same change of period brought a year ago.
    Season,
    /// Customers won and lost.
    Customers,
    /// A category.
    Category,
    /// A list price that changed.
    Price,
    /// How much was given away in discounts.
    Discount,
    /// Products that are out of stock.
    Stock,
    /// A week unlike the others.
    Week,
    /// What is left after cost.
    Margin,
}

#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Insight {
    /// What it is about.
    pub(crate) kind: Kind,
    /// What changed.
    pub(crate) what: String,
    /// Why it may have, as far as sales and stock tell.
    pub(crate) why: Option<String>,
    /// By how much, in US dollars: what it adds to the revenue of this period, or takes from it.
    /// Insights overlap, so these do not add up; `orders` and `average_order` do, to the change. Of
    /// `margin`: what it adds to the margin.
    pub(crate) amount: f64,
}

pub(crate) fn text(output: &Output) -> String {
    let Output { store_name, period, metrics, insights, .. } = output;
    let Figures { revenue, orders, average_order, customers, margin_percent, .. } = metrics.current;
    let mut text = format!(
        "{store_name}, {} to {}: revenue ${revenue:.2}, {orders} orders of ${average_order:.2}, \
         {customers} customers, margin {margin_percent} %\n",
        period.first_day, period.last_day,
    );
    for Insight { what, why, .. } in insights {
        text.push_str(&format!("- {what}"));
        if let Some(why) = why {
            text.push_str(&format!(" {why}"));
        }
        text.push('\n');
    }
    text
}
