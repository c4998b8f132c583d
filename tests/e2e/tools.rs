//! Each reference tool, called by an agent.

use serde_json::{Map, Value, json};
use stockade_tests::{Client, TestApp};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn tools_are_listed_with_schemas_and_as_read_only() {
    let app = TestApp::start().await;
    let tools = app.client("head-office").tools().await;
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    for name in [
        "execute_sales_query",
        "get_current_utc_date",
        "get_multiple_table_schemas",
        "get_store_performance",
        "semantic_search_products",
        "top_products",
    ] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    for tool in &tools {
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        assert!(tool["description"].as_str().unwrap().len() > 20, "{tool}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_query_gives_columns_rows_and_whether_there_are_more() {
    let app = TestApp::start().await;
    let client = app.client("head-office");
    let reply = client
        .call("execute_sales_query", json!({"query": "SELECT store_name, is_online FROM retail.stores ORDER BY 1"}))
        .await;
    let result = reply.structured();
    assert_eq!(result["columns"][0]["name"], "store_name");
    assert_eq!(result["rows"].as_array().unwrap().len(), 8);
    assert_eq!(result["truncated"], false);
    let text = reply.message["result"]["content"][0]["text"].as_str().unwrap();
    assert!(!text.is_empty(), "people get a text");

    let all = app.database.count("orders").await;
    let query = json!({"query": "SELECT order_id FROM retail.orders", "max_rows": 7});
    let reply = client.call("execute_sales_query", query).await;
    assert!(all > 7);
    assert_eq!(reply.structured()["rows"].as_array().unwrap().len(), 7);
    assert_eq!(reply.structured()["truncated"], true);
    let exact = json!({"query": "SELECT store_id FROM retail.stores", "max_rows": 8});
    assert_eq!(client.call("execute_sales_query", exact).await.structured()["truncated"], false);
    app.stop().await;
}

/// Tables, columns and keys as the catalogue has them for a role that may read all of a table or nothing: in
/// the tool's own terms, foreign keys as PostgreSQL writes them.
const CATALOGUE: &str = "\
    SELECT jsonb_object_agg('retail.' || c.relname, jsonb_build_object(
      'comment', obj_description(c.oid, 'pg_class'),
      'columns', (SELECT jsonb_object_agg(a.attname, jsonb_build_array(format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      'foreign_keys', (SELECT coalesce(jsonb_agg(replace(pg_get_constraintdef(k.oid), ' ON DELETE CASCADE', '') ORDER BY pg_get_constraintdef(k.oid) COLLATE \"C\"), '[]')
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f')))
    FROM pg_class c
    WHERE c.relnamespace = 'retail'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege($1, c.oid, 'SELECT')";

/// What the tool gave, in the form of [`CATALOGUE`].
fn as_catalogue(result: &Value) -> Value {
    let names = |list: &Value| {
        let names: Vec<_> = list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        names.join(", ")
    };
    let table = |table: &Value| {
        let column = |column: &Value| (text(&column["name"]), json!([column["type"], column["comment"]]));
        let columns: Map<_, _> = table["columns"].as_array().unwrap().iter().map(column).collect();
        let key = |key: &Value| {
            let (columns, of) = (names(&key["columns"]), names(&key["references_columns"]));
            format!("FOREIGN KEY ({columns}) REFERENCES {}({of})", text(&key["references_table"]))
        };
        let mut keys: Vec<_> = table["foreign_keys"].as_array().unwrap().iter().map(key).collect();
        keys.sort();
        (text(&table["name"]), json!({"comment": table["comment"], "columns": columns, "foreign_keys": keys}))
    };
    result["tables"].as_array().unwrap().iter().map(table).collect::<Map<_, _>>().into()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn schemas_are_the_catalogues_with_comments_and_foreign_keys() {
    let app = TestApp::start().await;
    let reply = app.client("seattle-store").call("get_multiple_table_schemas", json!({})).await;
    let found = as_catalogue(reply.structured());
    let expected: Value = sqlx::query_scalar(CATALOGUE)
        .bind("zava_store_reader")
        .fetch_one(&mut app.database.admin().await)
        .await
        .unwrap();
    assert_eq!(found, expected);
    for (table, of_table) in found.as_object().unwrap() {
        assert!(of_table["comment"].is_string(), "{table} has no comment");
        let columns = of_table["columns"].as_object().unwrap();
        assert!(columns.values().all(|column| column[1].is_string()), "{table}: {columns:?}");
    }
    assert_eq!(found["retail.orders"]["foreign_keys"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found.get("retail.caller"), None, "the view behind the policies");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn schemas_show_what_the_caller_may_read_and_nothing_else() {
    let app = TestApp::start().await;
    let prepare = "CREATE TABLE retail.payroll (employee text, salary numeric);
        REVOKE SELECT ON retail.customers, retail.products FROM zava_store_reader;
        GRANT SELECT (product_id, sku, product_name) ON retail.products TO zava_store_reader";
    sqlx::raw_sql(prepare).execute(&mut app.database.admin().await).await.unwrap();

    let (store, office) = (app.client("seattle-store"), app.client("head-office"));
    let reply = store.call("get_multiple_table_schemas", json!({})).await;
    let found = as_catalogue(reply.structured());
    let columns: Vec<_> = found["retail.products"]["columns"].as_object().unwrap().keys().collect();
    assert_eq!(columns, ["product_id", "product_name", "sku"]);
    let orders = &found["retail.orders"]["foreign_keys"];
    assert_eq!(*orders, json!(["FOREIGN KEY (store_id) REFERENCES retail.stores(store_id)"]));
    let whole = reply.message.to_string();
    for hidden in ["retail.customers", "payroll", "salary"] {
        assert!(!whole.contains(hidden), "{hidden} is shown: {whole}");
    }
    // One that may not be read is refused like one that is not there.
    let refusal = async |client: &Client, table: &str| {
        let reply = client.call("get_multiple_table_schemas", json!({"table_names": [table]})).await;
        reply.error_without_id().replace(&format!("{table:?}"), "TABLE")
    };
    let missing = refusal(&store, "retail.no_such_table").await;
    assert!(missing.starts_with("VALIDATION_ERROR"), "{missing}");
    assert_eq!(refusal(&store, "retail.customers").await, missing);
    assert_eq!(refusal(&store, "retail.payroll").await, missing);
    assert_eq!(refusal(&store, "pg_catalog.pg_class").await, missing);

    let reply = office.call("get_multiple_table_schemas", json!({})).await;
    let theirs = as_catalogue(reply.structured());
    assert!(theirs["retail.customers"].is_object() && theirs.get("retail.payroll").is_none(), "{theirs}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn the_date_is_the_hosts() {
    let app = TestApp::start().await;
    let reply = app.client("online-store").call("get_current_utc_date", json!({})).await;
    let today: String = sqlx::query_scalar("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')")
        .fetch_one(&mut app.database.admin().await)
        .await
        .unwrap();
    assert!(reply.structured().to_string().contains(&today), "{} lacks {today}", reply.structured());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_store_is_compared_with_its_past() {
    let app = TestApp::start().await;
    let store = zava_retail::store_id(zava_retail::StoreKey::Seattle).to_string();
    let arguments = json!({"store_id": store, "time_period": "last_12_months"});
    let reply = app.client("seattle-store").call("get_store_performance", arguments).await;
    let result = reply.structured();
    assert_eq!(result["store_id"], store.as_str());
    assert!(!result["insights"].as_array().unwrap().is_empty(), "{result}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_store_of_somebody_else_is_refused_like_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let client = app.client("seattle-store");
    let others = zava_retail::store_id(zava_retail::StoreKey::Tacoma).to_string();
    let nobodys = "00000000-0000-4000-8000-000000000000";
    for tool in ["get_store_performance", "top_products"] {
        let call = async |store: &str| {
            let arguments = json!({"store_id": store, "time_period": "last_30_days"});
            client.call(tool, arguments).await.error_without_id().replace(store, "STORE")
        };
        let (hidden, missing) = (call(&others).await, call(nobodys).await);
        assert!(hidden.starts_with("VALIDATION_ERROR"), "{hidden}");
        assert_eq!(hidden, missing, "{tool}");
    }
    app.stop().await;
}

/// The five best products of some days over all stores, and what all products brought.
const BEST: &str = "\
    WITH product AS (
      SELECT p.sku, sum(i.quantity) AS units, sum(i.total_amount) AS revenue, sum(i.total_amount - i.quantity * p.cost) AS margin
      FROM retail.order_items i JOIN retail.orders o USING (order_id) JOIN retail.products p USING (product_id)
      WHERE o.status NOT IN ('cancelled', 'returned')
        AND (o.order_date AT TIME ZONE 'America/Los_Angeles')::date BETWEEN $1::date AND $2::date
      GROUP BY p.sku)
    SELECT sku, units::int8, revenue::float8, margin::float8, (SELECT sum(revenue) FROM product)::float8
    FROM product ORDER BY CASE $3 WHEN 'revenue' THEN revenue WHEN 'units' THEN units ELSE margin END DESC, sku LIMIT 5";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn best_sellers_agree_with_the_table() {
    let app = TestApp::start().await;
    for by in ["revenue", "units", "margin"] {
        let arguments = json!({"time_period": "last_12_months", "by": by, "limit": 5});
        let reply = app.client("head-office").call("top_products", arguments).await;
        let result = reply.structured();
        let best: Vec<(String, i64, f64, f64, f64)> = sqlx::query_as(BEST)
            .bind(text(&result["period"]["first_day"]))
            .bind(text(&result["period"]["last_day"]))
            .bind(by)
            .fetch_all(&mut app.database.admin().await)
            .await
            .unwrap();
        let expected: Vec<_> = (1..)
            .zip(&best)
            .map(|(rank, (sku, units, revenue, margin, _))| json!([rank, sku, units, revenue, margin]))
            .collect();
        let found: Vec<_> = result["products"]
            .as_array()
            .unwrap()
            .iter()
            .map(|product| {
                json!([product["rank"], product["sku"], product["units"], product["revenue"], product["margin"]])
            })
            .collect();
        assert_eq!(found.len(), 5, "{result}");
        assert_eq!(found, expected, "by {by}");
        assert_eq!(result["total_revenue"], best[0].4, "by {by}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_leak_under_the_sink_is_plumbing() {
    let app = TestApp::start().await;
    let arguments = json!({"query_description": "stop water leaking under the sink", "max_rows": 5});
    let reply = app.client("head-office").call("semantic_search_products", arguments).await;
    let found = reply.structured()["products"].as_array().unwrap_or_else(|| panic!("{}", reply.message));
    let plumbing = |product: &Value| product.to_string().to_uppercase().contains("PLUMBING");
    assert!(found.first().is_some_and(plumbing), "{found:?}");
    app.stop().await;
}
