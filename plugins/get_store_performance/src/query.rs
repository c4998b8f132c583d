//! Four statements on one snapshot.

use serde::Deserialize;
use stockade_sdk::sql::{IntoParameters, Statement, Value, statement, uuid};
use stockade_sdk::{Error, sql};
use zava::{SOLD, Span, Spans, TIME_ZONE, day_begins};

use crate::facts::{CustomerFlow, Facts, Totals};

/// Parameters: `$1` the store, `$2` and `$3` this period's first day and the day after its last, `$4` and
/// `$5` the prior one's. The totals go on with the same of a year ago, `$6` to `$9`.
fn parameters(store_id: &str, spans: &[Span]) -> Vec<Value> {
    let days = spans.iter().flat_map(|span| (span.first, span.until).into_parameters());
    std::iter::once(uuid(store_id)).chain(days).collect()
}

/// Whether the order `o` lies between the days in two parameters.
fn within(first: usize, until: usize) -> String {
    format!("(o.order_date >= {} AND o.order_date < {})", day_begins(first), day_begins(until))
}

pub(crate) fn facts(store_id: &str, spans: Spans) -> Result<Facts, Error> {
    let both = [spans.current, spans.prior];
    let [totals, customers, products, days] = sql::query_all([
        totals(store_id, spans),
        customers(store_id, spans),
        statement(products(), parameters(store_id, &both)),
        statement(days(), parameters(store_id, &[spans.current])),
    ])?;

    #[derive(Deserialize)]
    struct Numbered {
        span: usize,
        orders: i64,
        revenue: f64,
        customers: i64,
    }
    let totals: Vec<Numbered> = totals.all()?;
    // A period without orders has no row.
    let of = |wanted: usize| {
        let found = totals.iter().find(|totals| totals.span == wanted);
        found.map_or(Totals::default(), |&Numbered { orders, revenue, customers, .. }| Totals {
            orders,
            revenue,
            customers,
        })
    };
    let mut customers = customers.all::<CustomerFlow>()?.into_iter();
    Ok(Facts {
        current: of(0),
        prior: of(1),
        year_ago: spans.year_ago.map(|_| [of(2), of(3)]),
        customers: customers.next().unwrap_or_default(),
        customers_year_ago: customers.next(),
        products: products.all()?,
        days: days.all()?,
        until: spans.current.until,
    })
}

/// This period and the prior one, then both a year ago, if that is asked for.
fn all(spans: Spans) -> Vec<Span> {
    [spans.current, spans.prior].into_iter().chain(spans.year_ago.into_iter().flatten()).collect()
}

/// One index range a period: a single scan over all of them would read the years between.
fn totals(store_id: &str, spans: Spans) -> Statement {
    let all = all(spans);
    let select = |span: usize| {
        let within = within(2 + 2 * span, 3 + 2 * span);
        format!(
            "SELECT {span}::int8 AS span, count(*) AS orders, coalesce(sum(o.total_amount), 0) AS revenue,
                    count(DISTINCT o.customer_id) AS customers
             FROM retail.orders o WHERE o.store_id = $1 AND {SOLD} AND {within}"
        )
    };
    let text: Vec<_> = (0..all.len()).map(select).collect();
    statement(text.join("\nUNION ALL\n"), parameters(store_id, &all))
}

/// One row for this period against the prior one, and one for the same a year ago.
fn customers(store_id: &str, spans: Spans) -> Statement {
    let all = all(spans);
    let text: Vec<_> = (0..all.len() / 2).map(customer_flow).collect();
    let text = format!("{}\nORDER BY pair", text.join("\nUNION ALL\n"));
    statement(text, parameters(store_id, &all))
}

fn customer_flow(pair: usize) -> String {
    let [first, until, prior_first, prior_until] = [2, 3, 4, 5].map(|number| number + 4 * pair);
    let (current, prior) = (within(first, until), within(prior_first, prior_until));
    let (first, until) = (day_begins(first), day_begins(until));
    format!(
        "SELECT {pair}::int8 AS pair,
                count(*) FILTER (WHERE s.now IS NOT NULL AND s.before IS NOT NULL) AS kept,
                count(*) FILTER (WHERE s.before IS NULL) AS gained,
                count(*) FILTER (WHERE s.before IS NULL AND c.created_at >= {first} AND c.created_at < {until})
                  AS registered,
                count(*) FILTER (WHERE s.now IS NULL) AS lost,
                coalesce(sum(s.now) FILTER (WHERE s.before IS NULL), 0) AS gained_revenue,
                coalesce(sum(s.before) FILTER (WHERE s.now IS NULL), 0) AS lost_revenue
         FROM (
           SELECT o.customer_id,
                  sum(o.total_amount) FILTER (WHERE {current}) AS now,
                  sum(o.total_amount) FILTER (WHERE {prior}) AS before
           FROM retail.orders o
           WHERE o.store_id = $1 AND {SOLD} AND ({current} OR {prior})
           GROUP BY o.customer_id
         ) s
         JOIN retail.customers c ON c.store_id = $1 AND c.customer_id = s.customer_id"
    )
}

fn products() -> String {
    let (current, prior) = (within(2, 3), within(4, 5));
    let sums = [("", &current), ("prior_", &prior)].map(|(prefix, within)| {
        format!(
            "coalesce(sum(i.quantity) FILTER (WHERE {within}), 0) AS {prefix}units,
             coalesce(sum(i.total_amount) FILTER (WHERE {within}), 0) AS {prefix}revenue,
             coalesce(sum(i.quantity * i.unit_price) FILTER (WHERE {within}), 0) AS {prefix}list_revenue"
        )
    });
    let sums = sums.join(",\n");
    format!(
        "WITH sold AS (
           SELECT i.product_id, {sums}
           FROM retail.orders o
           JOIN retail.order_items i ON i.store_id = $1 AND i.order_id = o.order_id
           WHERE o.store_id = $1 AND {SOLD} AND ({current} OR {prior})
           GROUP BY i.product_id
         )
         SELECT p.sku, p.product_name, c.category_name, p.cost, v.stock_level, s.units, s.revenue, s.list_revenue,
                s.prior_units, s.prior_revenue, s.prior_list_revenue
         FROM sold s
         JOIN retail.products p ON p.product_id = s.product_id
         JOIN retail.categories c ON c.category_id = p.category_id
         LEFT JOIN retail.inventory v ON v.store_id = $1 AND v.product_id = s.product_id
         ORDER BY p.sku"
    )
}

fn days() -> String {
    let within = within(2, 3);
    format!(
        "SELECT (o.order_date AT TIME ZONE '{TIME_ZONE}')::date AS day, sum(o.total_amount) AS revenue
         FROM retail.orders o WHERE o.store_id = $1 AND {SOLD} AND {within}
         GROUP BY 1 ORDER BY 1"
    )
}
