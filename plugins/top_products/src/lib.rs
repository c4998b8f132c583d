//! The products that sell best.

mod query;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, sql};
use zava::{Scope, StoreId, TimePeriod, percent, round_cents};

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// The store, a key from retail.stores. All stores that you may see, if left out.
    store_id: Option<StoreId>,
    /// Which days count.
    #[serde(default = "time_period")]
    time_period: TimePeriod,
    /// What best means.
    #[serde(default)]
    by: By,
    /// How many products.
    #[serde(default = "limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

fn time_period() -> TimePeriod {
    TimePeriod::Last30Days
}

fn limit() -> u32 {
    10
}

/// What products are ranked by.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum By {
    /// What customers paid.
    #[default]
    Revenue,
    /// How many were sold.
    Units,
    /// Revenue less today's cost.
    Margin,
}

#[derive(JsonSchema, Serialize)]
struct Output {
    /// The store; null for all that you may see.
    store_id: Option<String>,
    /// The days that count.
    period: Period,
    /// What the products are ranked by.
    by: By,
    /// The products, best first.
    products: Vec<Product>,
    /// What all products together brought in the period, in US dollars.
    total_revenue: f64,
}

#[derive(JsonSchema, Serialize)]
struct Period {
    /// The period asked for.
    name: TimePeriod,
    /// The first day, Pacific time.
    first_day: String,
    /// The last day.
    last_day: String,
}

/// A product and what it sold.
#[derive(JsonSchema, Serialize)]
struct Product {
    /// 1 for the best.
    rank: u32,
    /// Stock keeping unit.
    sku: String,
    /// Name.
    product_name: String,
    /// Category, in capitals.
    category_name: String,
    /// Units sold.
    units: i64,
    /// What customers paid after discounts, in US dollars.
    revenue: f64,
    /// Revenue less the units at today's cost, in US dollars.
    margin: f64,
    /// Share of the revenue of all products, in percent.
    revenue_share_percent: f64,
}

struct TopProducts;

impl Tool for TopProducts {
    const NAME: &'static str = "top_products";
    const TITLE: &'static str = "Top products";
    const DESCRIPTION: &'static str = "The products that sell best in a period, by revenue, units or margin, in \
        one store or in all that you may see. Use it for best-seller lists; for how a store does and why use \
        get_store_performance, for anything else execute_sales_query. Periods are whole days and end with \
        yesterday, or with the last day that has sales. Cancelled and returned orders do not count. Margins use \
        today's cost. At most 100 products.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let Scope { store, until } = Scope::open(input.store_id.as_ref())?;
        let store_id = store.map(|store| store.store_id);
        let span = input.time_period.spans(until).current;
        let rows = sql::query(
            &query::text(store_id.is_some(), input.by),
            query::parameters(span, input.limit, store_id.as_deref()),
        )?;
        let rows: Vec<query::Row> = rows.all()?;
        Ok(Output {
            store_id,
            period: Period {
                name: input.time_period,
                first_day: span.first.to_string(),
                last_day: span.last().to_string(),
            },
            by: input.by,
            total_revenue: rows.first().map_or(0.0, |row| round_cents(row.total_revenue)),
            products: (1..).zip(rows).map(|(rank, row)| product(rank, row)).collect(),
        })
    }

    fn text(output: &Output) -> Option<String> {
        let Period { first_day, last_day, .. } = &output.period;
        let mut text = format!("{first_day} to {last_day}\n");
        for Product { rank, product_name, units, revenue, margin, .. } in &output.products {
            text.push_str(&format!("{rank}. {product_name}: {units} units, ${revenue:.2}, margin ${margin:.2}\n"));
        }
        Some(text)
    }
}

fn product(rank: u32, row: query::Row) -> Product {
    Product {
        rank,
        sku: row.sku,
        product_name: row.product_name,
        category_name: row.category_name,
        units: row.units,
        revenue: round_cents(row.revenue),
        margin: round_cents(row.margin),
        revenue_share_percent: percent(row.revenue, row.total_revenue).unwrap_or(0.0),
    }
}

stockade_sdk::plugin!(TopProducts);

#[cfg(test)]
mod tests;
