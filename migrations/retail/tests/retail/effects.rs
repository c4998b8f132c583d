//! Each planted effect, measured by SQL from the loaded data. What is printed is what the README's
//! table says.

use sqlx::PgConnection;
use zava_retail::effects::{self, Dates};
use zava_retail::{LoadOptions, store_id};

use crate::cluster::{connect, count, full, measure, run, say};

const DAY: &str = "(o.order_date AT TIME ZONE 'America/Los_Angeles')::date";

fn dates() -> Dates {
    Dates::new(LoadOptions::tests().today)
}

/// A number with its name, and the bounds that it must lie in.
async fn check(connection: &mut PgConnection, what: &str, sql: &str, bounds: std::ops::RangeInclusive<f64>) {
    let found = measure(connection, sql).await;
    say(&format!("{what}: {found:.3} (expected {:.2} to {:.2})", bounds.start(), bounds.end()));
    assert!(bounds.contains(&found), "{what}: {found}\n{sql}");
}

fn around(value: f64, tolerance: f64) -> std::ops::RangeInclusive<f64> {
    value - tolerance..=value + tolerance
}

/// Lift and confidence of all pairs of products that were bought together often.
const RULES: &str = "\
    CREATE TEMP TABLE rules AS
    WITH lines AS (SELECT DISTINCT i.order_id, p.product_name AS name FROM retail.order_items i JOIN retail.products p USING (product_id)),
    single AS (SELECT name, count(*)::float8 AS n FROM lines GROUP BY 1),
    pair AS (SELECT a.name AS anchor, b.name AS companion, count(*)::float8 AS n FROM lines a JOIN lines b USING (order_id) WHERE a.name <> b.name GROUP BY 1, 2)
    SELECT pair.anchor, pair.companion, pair.n, pair.n / a.n AS confidence, pair.n / a.n / (c.n / (SELECT count(*) FROM retail.orders)) AS lift
    FROM pair JOIN single a ON a.name = pair.anchor JOIN single c ON c.name = pair.companion WHERE pair.n >= 100";

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn products_are_bought_together() {
    run(async {
        let mut connection = connect(full().await).await;
        sqlx::raw_sql(RULES).execute(&mut connection).await.unwrap();
        let mut planted = Vec::new();
        for basket in effects::BASKETS {
            let rule = format!("FROM rules WHERE anchor = '{}' AND companion = '{}'", basket.anchor, basket.companion);
            let name = format!("{} → {}", basket.anchor, basket.companion);
            check(
                &mut connection,
                &format!("confidence of {name}"),
                &format!("SELECT confidence {rule}"),
                around(effects::COMPANION_PROBABILITY, 0.08),
            )
            .await;
            check(
                &mut connection,
                &format!("lift of {name}"),
                &format!("SELECT lift {rule}"),
                effects::LIFT_MIN..=60.0,
            )
            .await;
            planted.push(format!("'{}'", basket.anchor));
        }
        // What the storm sold, it sold together, and gardeners buy in spring: that lifts a little.
        let others = format!(
            "SELECT max(lift) FROM rules WHERE anchor NOT IN ({0}) AND companion NOT IN ({0})",
            planted.join(", ")
        );
        check(
            &mut connection,
            "greatest lift of a pair that is not planted",
            &others,
            0.0..=effects::LIFT_UNPLANTED_MAX,
        )
        .await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_store_lost_its_customers() {
    run(async {
        let mut connection = connect(full().await).await;
        let (first, after) = dates().lost_quarter;
        let store = store_id(effects::LOST_STORE);
        let ratio = |measured: &str, is: &str, months: u32| {
            format!(
                "SELECT ({measured} FILTER (WHERE {DAY} >= '{first}' AND {DAY} < '{after}'))::float8
                   / {measured} FILTER (WHERE {DAY} >= date '{first}' - interval '{months} months' AND {DAY} < date '{after}' - interval '{months} months')
                 FROM retail.orders o WHERE o.store_id {is} '{store}'"
            )
        };
        for (what, measured) in [("customers", "count(DISTINCT o.customer_id)"), ("orders", "count(*)")] {
            for (before, months) in [("the quarter before", 3), ("the year before", 12)] {
                let sql = format!("SELECT ({}) / ({})", ratio(measured, "=", months), ratio(measured, "<>", months));
                let name = format!("{what} of the store that lost them, over {before}, against the other stores");
                check(&mut connection, &name, &sql, around(1.0 - effects::LOST_SHARE, 0.10)).await;
            }
        }
        let came_again = |is: &str| {
            format!(
                "SELECT avg(CASE WHEN again THEN 1.0 ELSE 0.0 END) FROM (
                   SELECT bool_or({DAY} >= '{first}') AS again FROM retail.orders o WHERE o.store_id {is} '{store}'
                   GROUP BY o.customer_id HAVING count(*) FILTER (WHERE {DAY} < '{first}') >= 12) t"
            )
        };
        let sql = format!("SELECT (({}) / ({}))::float8", came_again("="), came_again("<>"));
        let name = "share of its frequent customers who came again, over that of the other stores";
        check(&mut connection, name, &sql, around(1.0 - effects::LOST_SHARE, 0.10)).await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_price_rose_and_volume_fell() {
    run(async {
        let mut connection = connect(full().await).await;
        let (rise, product) = (dates().price_rise, effects::PRICE_RISE_PRODUCT);
        let price = format!(
            "SELECT (avg(i.unit_price) FILTER (WHERE {DAY} >= '{rise}') / avg(i.unit_price) FILTER (WHERE {DAY} < '{rise}'))::float8
             FROM retail.order_items i JOIN retail.orders o USING (order_id) JOIN retail.products p USING (product_id) WHERE p.product_name = '{product}'"
        );
        check(&mut connection, "price after over price before", &price, around(effects::PRICE_RISE_FACTOR, 0.002))
            .await;
        let volume = |is: &str| {
            format!(
                "SELECT (count(*) FILTER (WHERE {DAY} >= '{rise}'))::float8
                   / count(*) FILTER (WHERE {DAY} >= date '{rise}' - interval '12 months' AND {DAY} < date '{}' - interval '12 months')
                 FROM retail.order_items i JOIN retail.orders o USING (order_id) JOIN retail.products p USING (product_id)
                 WHERE p.product_name {is} '{product}' AND p.category_id = (SELECT category_id FROM retail.products WHERE product_name = '{product}')",
                LoadOptions::tests().today
            )
        };
        let sql = format!("SELECT ({}) / ({})", volume("="), volume("<>"));
        check(
            &mut connection,
            "volume since then over the year before, against its category",
            &sql,
            around(effects::PRICE_RISE_VOLUME_FACTOR, 0.13),
        )
        .await;
        let moved = format!(
            "SELECT count(*)::float8 FROM (SELECT product_id FROM retail.order_items JOIN retail.products p USING (product_id)
             WHERE p.product_name <> '{product}' GROUP BY product_id HAVING min(unit_price) <> max(unit_price)) t"
        );
        check(&mut connection, "other products whose price moved", &moved, 0.0..=0.0).await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_week_was_unlike_any_other() {
    run(async {
        let mut connection = connect(full().await).await;
        let (first, after) = dates().anomaly_week;
        let orders = |is: &str| {
            format!(
                "SELECT (count(*) FILTER (WHERE {DAY} >= '{first}' AND {DAY} < '{after}'))::float8
                   / (count(*) FILTER (WHERE {DAY} < '{first}' OR {DAY} >= '{after}') / 4.0)
                 FROM retail.orders o JOIN retail.stores s USING (store_id)
                 WHERE {is} s.is_online AND {DAY} >= date '{first}' - 14 AND {DAY} < date '{after}' + 14"
            )
        };
        check(
            &mut connection,
            "orders in the storm week over the weeks around it",
            &orders("NOT"),
            around(effects::ANOMALY_ORDERS_FACTOR, 0.3),
        )
        .await;
        check(&mut connection, "the same online", &orders(""), around(1.0, 0.35)).await;
        let share = |when: &str| {
            format!(
                "SELECT avg(CASE WHEN t.type_name IN ('Generators', 'Flashlights & Batteries', 'Sump & Utility Pumps') THEN 1.0 ELSE 0.0 END)::float8
                 FROM retail.order_items i JOIN retail.orders o USING (order_id) JOIN retail.stores s ON s.store_id = o.store_id AND NOT s.is_online
                 JOIN retail.products p USING (product_id) JOIN retail.product_types t USING (type_id)
                 WHERE {when} ({DAY} >= '{first}' AND {DAY} < '{after}') AND {DAY} >= date '{first}' - 14 AND {DAY} < date '{after}' + 14"
            )
        };
        let storm = effects::ANOMALY_STORM_SHARE;
        check(&mut connection, "share of storm products in the week", &share(""), storm..=storm + 0.12).await;
        check(&mut connection, "their share around it", &share("NOT"), 0.02..=0.12).await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_store_ran_out() {
    run(async {
        let mut connection = connect(full().await).await;
        let (since, store) = (dates().stock_out_since, store_id(effects::STOCK_OUT_STORE));
        let sold = |days: i32, until: &str| {
            format!(
                "SELECT count(*)::float8 * 7 / {days} FROM retail.order_items i JOIN retail.orders o USING (order_id) JOIN retail.products p USING (product_id)
                 WHERE p.product_name = '{}' AND o.store_id = '{store}' AND {DAY} >= {until}::date - {days} AND {DAY} < {until}",
                effects::STOCK_OUT_PRODUCT
            )
        };
        check(
            &mut connection,
            "lines a week in the half year before it ran out",
            &sold(182, &format!("date '{since}'")),
            1.0..=20.0,
        )
        .await;
        let days = effects::STOCK_OUT_DAYS;
        check(
            &mut connection,
            "lines a week since",
            &sold(days + 1, &format!("(date '{since}' + {days} + 1)")),
            0.0..=0.0,
        )
        .await;
        let stock = format!(
            "SELECT stock_level::float8 FROM retail.inventory JOIN retail.products p USING (product_id) WHERE store_id = '{store}' AND p.product_name = '{}'",
            effects::STOCK_OUT_PRODUCT
        );
        check(&mut connection, "its stock", &stock, 0.0..=0.0).await;
        assert_eq!(count(&mut connection, "SELECT count(*) FROM retail.inventory WHERE stock_level = 0").await, 1);
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn customers_fall_into_groups() {
    run(async {
        let mut connection = connect(full().await).await;
        sqlx::raw_sql(
            "CREATE TEMP TABLE habits AS
             SELECT o.customer_id, count(DISTINCT o.order_id)::float8 AS orders, count(*)::float8 AS lines,
               avg(CASE WHEN c.category_name = 'GARDEN & OUTDOOR' THEN 1.0 ELSE 0.0 END)::float8 AS garden,
               avg(CASE WHEN extract(isodow FROM o.order_date AT TIME ZONE 'America/Los_Angeles') < 6 THEN 1.0 ELSE 0.0 END)::float8 AS weekdays
             FROM retail.orders o JOIN retail.order_items i USING (order_id) JOIN retail.products p USING (product_id) JOIN retail.categories c USING (category_id)
             GROUP BY o.customer_id",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        let contractors = effects::CUSTOMER_GROUPS[effects::CONTRACTORS].share;
        let best = format!(
            "SELECT sum(orders) FILTER (WHERE place <= {contractors} * 50000) / sum(orders) FROM (SELECT orders, row_number() OVER (ORDER BY orders DESC) AS place FROM habits) t"
        );
        check(&mut connection, "share of orders of the most frequent 8 % of customers", &best, 0.28..=0.42).await;
        let frequent = "FROM habits WHERE orders >= 16";
        check(&mut connection, "their lines an order", &format!("SELECT avg(lines / orders) {frequent}"), 3.0..=4.0)
            .await;
        check(
            &mut connection,
            "their share of lines on working days",
            &format!("SELECT avg(weekdays) {frequent}"),
            0.88..=1.0,
        )
        .await;
        let rare = "FROM habits WHERE orders BETWEEN 2 AND 4";
        check(
            &mut connection,
            "lines an order of occasional customers",
            &format!("SELECT avg(lines / orders) {rare}"),
            2.2..=2.8,
        )
        .await;
        check(
            &mut connection,
            "their share of lines on working days",
            &format!("SELECT avg(weekdays) {rare}"),
            0.5..=0.72,
        )
        .await;
        let gardeners = "SELECT avg(CASE WHEN garden > 0.45 THEN 1.0 ELSE 0.0 END)::float8 FROM habits WHERE lines BETWEEN 8 AND 14";
        check(&mut connection, "share of steady customers who buy for the garden above all", gardeners, 0.12..=0.40)
            .await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn demand_has_seasons_weekdays_growth_and_discounts() {
    run(async {
        let mut connection = connect(full().await).await;
        let month = |category: &str, one: u32, other: u32| {
            let lines = |month: u32| {
                format!(
                    "count(*) FILTER (WHERE c.category_name = '{category}' AND extract(month FROM o.order_date AT TIME ZONE 'America/Los_Angeles') = {month})"
                )
            };
            format!(
                "SELECT {}::float8 / {} FROM retail.order_items i JOIN retail.orders o USING (order_id) JOIN retail.products p USING (product_id) JOIN retail.categories c USING (category_id) WHERE o.order_date < '2026-01-01'",
                lines(one),
                lines(other)
            )
        };
        check(&mut connection, "garden, May over January", &month("GARDEN & OUTDOOR", 5, 1), 2.5..=5.0).await;
        check(&mut connection, "paint, June over December", &month("PAINT & FINISHES", 6, 12), 1.3..=2.3).await;
        check(&mut connection, "storage, January over June", &month("STORAGE & ORGANIZATION", 1, 6), 1.2..=2.4).await;
        let saturdays = "SELECT (count(*) FILTER (WHERE extract(isodow FROM order_date AT TIME ZONE 'America/Los_Angeles') = 6))::float8 \
                         / count(*) FILTER (WHERE extract(isodow FROM order_date AT TIME ZONE 'America/Los_Angeles') = 2) FROM retail.orders";
        check(&mut connection, "Saturdays over Tuesdays", saturdays, 1.05..=1.6).await;
        let years = |is: &str| {
            format!(
                "SELECT (count(*) FILTER (WHERE o.order_date >= '2025-01-01' AND o.order_date < '2026-01-01'))::float8
                   / count(*) FILTER (WHERE o.order_date < '2021-01-01') FROM retail.orders o JOIN retail.stores s USING (store_id) WHERE {is} s.is_online"
            )
        };
        check(&mut connection, "2025 over 2020 in the stores with a door", &years("NOT"), 1.2..=1.4).await;
        check(&mut connection, "2025 over 2020 online", &years(""), 1.45..=1.85).await;
        let discounted =
            "SELECT avg(CASE WHEN discount_percent > 0 THEN 1.0 ELSE 0.0 END)::float8 FROM retail.order_items";
        check(&mut connection, "share of lines with a discount", discounted, around(effects::DISCOUNT_SHARE, 0.003))
            .await;
        let outside = "SELECT count(*)::float8 FROM retail.order_items WHERE discount_percent > 0 AND discount_percent NOT BETWEEN 5 AND 25";
        check(&mut connection, "discounts outside 5 to 25 %", outside, 0.0..=0.0).await;
    });
}
