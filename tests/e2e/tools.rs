//! Each reference tool, called by an agent.

use serde_json::{Value, json};
use stockade_tests::TestApp;

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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn schemas_come_with_comments_and_foreign_keys() {
    let app = TestApp::start().await;
    let arguments = json!({"table_names": ["retail.orders"]});
    let reply = app.client("seattle-store").call("get_multiple_table_schemas", arguments).await;
    let text = reply.structured().to_string();
    for expected in ["order_date", "retail.stores", "timestamp with time zone"] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    let unknown = json!({"table_names": ["retail.no_such_table"]});
    let error = app.client("seattle-store").call("get_multiple_table_schemas", unknown).await;
    assert!(error.error().starts_with("VALIDATION_ERROR"), "{}", error.error());
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn best_sellers_agree_with_the_table() {
    let app = TestApp::start().await;
    let arguments = json!({"time_period": "last_12_months", "by": "revenue", "limit": 5});
    let reply = app.client("head-office").call("top_products", arguments).await;
    let products = reply.structured()["products"].as_array().unwrap_or_else(|| panic!("{}", reply.message));
    assert_eq!(products.len(), 5);
    let revenue: Vec<f64> = products.iter().map(|p| p["revenue"].as_f64().unwrap()).collect();
    assert!(revenue.is_sorted_by(|a, b| a >= b), "{revenue:?}");
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
