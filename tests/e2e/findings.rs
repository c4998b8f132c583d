//! What was planted in the full data, `get_store_performance` finds and names; and its figures are the
//! tables' own. What it says of each effect is printed.

use std::io::Write as _;

use serde_json::{Map, Value, json};
use stockade_tests::{Client, TestApp};
use zava_retail::effects::{self, Dates};
use zava_retail::{BoxError, Date, EMBEDDING_DIMENSION, FnEmbedder, LoadOptions, Size, StoreKey, store_id};

const WITH_A_DOOR: [StoreKey; 7] = [
    StoreKey::Seattle,
    StoreKey::Bellevue,
    StoreKey::Tacoma,
    StoreKey::Spokane,
    StoreKey::Everett,
    StoreKey::Redmond,
    StoreKey::Kirkland,
];

/// Where the price rise stands out from chance: a bulb is a few hundred units a year in a store.
const SELL_MANY_BULBS: [StoreKey; 2] = [StoreKey::Online, StoreKey::Bellevue];

/// What the demo loads, up to the day on which all tests' data ends.
fn full() -> LoadOptions {
    LoadOptions { size: Size::Full, ..LoadOptions::tests() }
}

/// The whole server over the full data. Nothing is searched, so the embeddings need no model.
async fn over_full_data() -> TestApp {
    let app = TestApp::builder().plugins(&["get-store-performance"]).start().await;
    let embedder = FnEmbedder::new("none", |texts: Vec<String>| async move {
        Ok::<_, BoxError>(vec![vec![1.0; EMBEDDING_DIMENSION]; texts.len()])
    });
    zava_retail::load(&app.database.admin_url, full(), &embedder, &|_| {}).await.unwrap();
    app
}

async fn performance(client: &Client, store: StoreKey, time_period: &str) -> Value {
    let arguments = json!({"store_id": store_id(store).to_string(), "time_period": time_period});
    client.call("get_store_performance", arguments).await.structured().clone()
}

/// The words of the insight of a kind, what and why, if there is one.
fn said(result: &Value, kind: &str) -> Option<String> {
    let insight = result["insights"].as_array().unwrap().iter().find(|insight| insight["kind"] == kind)?;
    Some(format!("{} {}", insight["what"].as_str().unwrap(), insight["why"].as_str().unwrap_or_default()))
}

/// Past the harness, which keeps what a test that passes prints.
fn print(effect: &str, store: StoreKey, result: &Value, words: Option<&str>) {
    let name = result["period"]["name"].as_str().unwrap();
    let words = words.unwrap_or("nothing");
    let line = format!("{effect}, {store:?}, {name}: {words}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

#[track_caller]
fn check_named(effect: &str, store: StoreKey, result: &Value, kind: &str, words: &[&str]) {
    let said = said(result, kind);
    print(effect, store, result, said.as_deref());
    let said = said.unwrap_or_else(|| panic!("{effect} in {store:?}: nothing of the kind {kind}: {result:#}"));
    for word in words {
        assert!(said.contains(word), "{effect} in {store:?}: no {word:?} in {said:?}");
    }
}

/// The orders that count, of a store and some days, both in the stores' time.
const SOLD: &str = "o.status NOT IN ('cancelled', 'returned') AND o.store_id = $1
    AND (o.order_date AT TIME ZONE 'America/Los_Angeles')::date";

/// One period's figures as the tables have them.
async fn figures(app: &TestApp, store: StoreKey, first: &Value, last: &Value) -> Map<String, Value> {
    let figures = format!(
        "WITH sold AS (SELECT * FROM retail.orders o WHERE {SOLD} BETWEEN $2::date AND $3::date),
         line AS (
           SELECT sum(i.quantity) AS units, sum(i.total_amount - i.quantity * p.cost) AS margin,
             sum(i.quantity * i.unit_price) AS list, sum(i.total_amount) AS paid
           FROM sold JOIN retail.order_items i USING (order_id) JOIN retail.products p USING (product_id)),
         total AS (SELECT sum(total_amount) AS revenue, count(*) AS orders, count(DISTINCT customer_id) AS customers FROM sold)
         SELECT jsonb_build_object('revenue', revenue, 'orders', orders, 'average_order', round(revenue / orders, 2),
           'units', units, 'customers', customers, 'margin', margin, 'margin_percent', round(100 * margin / revenue, 1),
           'discount_percent', round(100 * (list - paid) / list, 1))
         FROM total, line"
    );
    let row: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(figures))
        .bind(store_id(store))
        .bind(first.as_str())
        .bind(last.as_str())
        .fetch_one(&mut app.database.admin().await)
        .await
        .unwrap();
    row.as_object().unwrap().clone()
}

/// Both periods' figures, by name, are the tables'.
async fn check_figures(app: &TestApp, store: StoreKey, result: &Value) {
    let period = &result["period"];
    for (span, first, last) in [("current", "first_day", "last_day"), ("prior", "prior_first_day", "prior_last_day")] {
        let expected = figures(app, store, &period[first], &period[last]).await;
        let found = result["metrics"][span].as_object().unwrap();
        assert!(found.keys().eq(expected.keys()), "{found:?}");
        for (name, figure) in &expected {
            assert_eq!(found[name].as_f64(), figure.as_f64(), "{name} of {span} in {store:?}, {period}");
        }
    }
}

/// Customers of the prior period: those who did not come again in this one, and all.
async fn customers_lost(app: &TestApp, store: StoreKey, period: &Value) -> (i64, i64) {
    let of = |first: u8, last: u8| {
        format!("SELECT o.customer_id FROM retail.orders o WHERE {SOLD} BETWEEN ${first}::date AND ${last}::date")
    };
    let (current, prior) = (of(2, 3), of(4, 5));
    let counts = format!(
        "SELECT (SELECT count(*) FROM ({prior} EXCEPT {current}) lost), (SELECT count(*) FROM (SELECT DISTINCT * FROM ({prior}) p) all_of_them)"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(counts))
        .bind(store_id(store))
        .bind(period["first_day"].as_str())
        .bind(period["last_day"].as_str())
        .bind(period["prior_first_day"].as_str())
        .bind(period["prior_last_day"].as_str())
        .fetch_one(&mut app.database.admin().await)
        .await
        .unwrap()
}

/// The store that lost its customers: they are what the revenue's fall is put down to, first of all.
async fn check_lost_customers(app: &TestApp, dates: &Dates) {
    let store = effects::LOST_STORE;
    let result = performance(&app.client("head-office"), store, "last_quarter").await;
    assert_eq!(
        result,
        performance(&app.client("tacoma-store"), store, "last_quarter").await,
        "its manager sees the same"
    );
    let period = &result["period"];
    assert_eq!(period["first_day"], dates.lost_quarter.0.to_string());
    let (lost, before) = customers_lost(app, store, period).await;
    let words = format!("{lost} of {before} customers of the prior period did not buy again");
    check_named("lost customers", store, &result, "customers", &[&words]);
    let driver = format!("What may be behind it, first of all: {words}");
    check_named("lost customers, as the driver", store, &result, "revenue", &["Revenue fell by", &driver]);
}

/// The storm's week: in every store with a door, and not online. Where its Sunday was weak by chance, the seven
/// days that stand out most may begin a day beside its Monday.
async fn check_storm_week(app: &TestApp, dates: &Dates) {
    let (client, monday) = (app.client("head-office"), dates.anomaly_week.0);
    let mut exact = 0;
    for store in WITH_A_DOOR {
        let result = performance(&client, store, "year_to_date").await;
        let words = said(&result, "week");
        print("storm week", store, &result, words.as_deref());
        let first = words.as_deref().and_then(|words| words.strip_prefix("The seven days from ")?.split(' ').next());
        let first: Date = first.unwrap_or_else(|| panic!("no week in {store:?}: {result:#}")).parse().unwrap();
        let beside = (first - monday).get_days().abs();
        assert!(beside <= 1, "{first} in {store:?}");
        exact += usize::from(beside == 0);
    }
    assert!(exact >= 6, "the storm's Monday is named in {exact} of 7 stores");
    let online = performance(&client, StoreKey::Online, "year_to_date").await;
    assert_eq!(said(&online, "week"), None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_was_planted_is_named_and_the_figures_are_the_tables() {
    let app = over_full_data().await;
    let (client, dates) = (app.client("head-office"), Dates::new(full().today));
    check_lost_customers(&app, &dates).await;

    let store = effects::STOCK_OUT_STORE;
    let result = performance(&client, store, "last_30_days").await;
    let words = ["Out of stock now: 1 product", effects::STOCK_OUT_PRODUCT, " 0 units after "];
    check_named("stock-out", store, &result, "stock", &words);

    let rose = format!("The list price of {} rose by ", effects::PRICE_RISE_PRODUCT);
    for store in SELL_MANY_BULBS {
        let result = performance(&client, store, "year_to_date").await;
        check_named("price rise", store, &result, "price", &[&rose, "and its units fell by "]);
    }
    check_storm_week(&app, &dates).await;

    for (store, time_period) in [
        (effects::LOST_STORE, "last_quarter"),
        (effects::STOCK_OUT_STORE, "last_30_days"),
        (StoreKey::Online, "year_to_date"),
        (StoreKey::Seattle, "last_12_months"),
    ] {
        check_figures(&app, store, &performance(&client, store, time_period).await).await;
    }
    app.stop().await;
}
