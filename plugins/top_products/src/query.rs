//! The statement.

use serde::Deserialize;
use stockade_sdk::sql::{IntoParameters, Value, uuid};
use zava::{SOLD, Span, day_begins};

use crate::By;

#[derive(Deserialize)]
pub(crate) struct Row {
    pub(crate) sku: String,
    pub(crate) product_name: String,
    pub(crate) category_name: String,
    pub(crate) units: i64,
    pub(crate) revenue: f64,
    pub(crate) margin: f64,
    pub(crate) total_revenue: f64,
}

/// Adds up by key first and looks names up after: the names are a few rows, the lines many.
pub(crate) fn text(one_store: bool, by: By) -> String {
    let of_store = if one_store { "o.store_id = $4 AND" } else { "" };
    let (first, until) = (day_begins(1), day_begins(2));
    let by = match by {
        By::Revenue => "revenue",
        By::Units => "units",
        By::Margin => "margin",
    };
    format!(
        "WITH sold AS (
           SELECT i.product_id, sum(i.quantity) AS units, sum(i.total_amount) AS revenue
           FROM retail.orders o
           JOIN retail.order_items i ON i.store_id = o.store_id AND i.order_id = o.order_id
           WHERE {of_store} o.order_date >= {first} AND o.order_date < {until} AND {SOLD}
           GROUP BY i.product_id
         )
         SELECT p.sku, p.product_name, c.category_name, s.units, s.revenue,
                s.revenue - s.units * p.cost AS margin, sum(s.revenue) OVER () AS total_revenue
         FROM sold s
         JOIN retail.products p ON p.product_id = s.product_id
         JOIN retail.categories c ON c.category_id = p.category_id
         ORDER BY {by} DESC, p.sku
         LIMIT $3"
    )
}

pub(crate) fn parameters(span: Span, limit: u32, store_id: Option<&str>) -> Vec<Value> {
    let mut parameters = (span.first, span.until, limit).into_parameters();
    parameters.extend(store_id.map(uuid));
    parameters
}
