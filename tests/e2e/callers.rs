//! Who calls decides what is seen, and who has no credential sees nothing.

use serde_json::json;
use stockade_tests::{Client, TestApp};

async fn orders_by_store(client: &Client) -> Vec<(String, i64)> {
    let query = "SELECT store_id::text, count(*) AS n FROM retail.orders GROUP BY 1 ORDER BY 1";
    let reply = client.call("execute_sales_query", json!({"query": query})).await;
    let rows = reply.structured()["rows"].as_array().unwrap().clone();
    rows.iter().map(|row| (row[0].as_str().unwrap().to_owned(), row[1].as_i64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn each_caller_sees_its_own_stores_and_no_other() {
    let app = TestApp::start().await;
    let truth = orders_by_store(&app.client("head-office")).await;
    let all: i64 = truth.iter().map(|(_, n)| n).sum();
    assert_eq!(all, app.database.count("orders").await, "head office sees all orders");
    for caller in zava_retail::demo_callers() {
        let stores: Vec<String> = caller.stores.iter().map(|&key| zava_retail::store_id(key).to_string()).collect();
        let expected: Vec<_> = truth.iter().filter(|(store, _)| stores.contains(store)).cloned().collect();
        assert_eq!(orders_by_store(&app.client(caller.key)).await, expected, "{}", caller.key);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn callers_that_share_connections_do_not_share_what_they_see() {
    let app = TestApp::builder().database("connections_max = 2\nconnections_min = 1").start().await;
    let seattle = zava_retail::store_id(zava_retail::StoreKey::Seattle).to_string();
    let online = zava_retail::store_id(zava_retail::StoreKey::Online).to_string();
    let check = async |caller: &'static str, store: &str| {
        for _ in 0..20 {
            let seen = orders_by_store(&app.client(caller)).await;
            assert!(seen.len() == 1 && seen[0].0 == store, "{caller} saw {seen:?}");
        }
    };
    tokio::join!(
        check("seattle-store", &seattle),
        check("online-store", &online),
        check("seattle-store", &seattle),
        check("online-store", &online),
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn without_a_valid_token_there_is_one_answer() {
    let app = TestApp::start().await;
    for token in [None, Some(""), Some("wrong"), Some("a-token-for-nobody-in-the-tests-of-this-project")] {
        let response = app.client_with(token).request("tools/list", json!({})).send().await.unwrap();
        assert_eq!(response.status(), 401, "{token:?}");
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    app.stop().await;
}
