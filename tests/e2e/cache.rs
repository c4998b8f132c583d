//! Results that are kept between calls, by the manifest's policy.

use serde_json::{Value, json};
use sqlx::Executor as _;
use stockade_db::CacheStats;
use stockade_tests::TestApp;

async fn app() -> TestApp {
    let app = TestApp::builder().plugins(&["top-products"]).sections("[cache]\nttl_s_max = 300\n").start().await;
    while !stats(&app).hearing {
        tokio::task::yield_now().await;
    }
    app
}

fn stats(app: &TestApp) -> CacheStats {
    app.app().cache_stats().expect("a cache")
}

async fn best_sellers(app: &TestApp, caller: &str) -> Value {
    let arguments = json!({"time_period": "last_12_months", "by": "units", "limit": 3});
    app.client(caller).call("top_products", arguments).await.structured().clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_tool_with_a_policy_answers_from_what_was_kept_until_a_sale_comes_in() {
    let app = app().await;
    let first = best_sellers(&app, "head-office").await;
    let asked = stats(&app);
    assert!(asked.stores >= 1 && asked.bypasses == 0, "{asked:?}");
    assert_eq!(best_sellers(&app, "head-office").await, first);
    let again = stats(&app);
    assert!(again.hits > asked.hits, "{again:?}");
    // Another caller's answer is another.
    assert_ne!(best_sellers(&app, "seattle-store").await, first);
    assert_eq!(stats(&app).hits, again.hits);

    let sale = "UPDATE retail.order_items SET quantity = quantity + 1";
    app.database.admin().await.execute(sale).await.expect("a sale");
    let changed = async { while best_sellers(&app, "head-office").await == first {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), changed).await.expect("the sale shows");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_caller_who_loses_a_store_loses_what_was_kept() {
    let app = app().await;
    let first = best_sellers(&app, "seattle-store").await;
    assert_eq!(best_sellers(&app, "seattle-store").await, first);
    let caller = app.caller("seattle-store");
    let statement =
        format!("UPDATE retail.principals SET is_active = false WHERE principal_id = '{}'", caller.identity.principal);
    app.database.admin().await.execute(sqlx::AssertSqlSafe(statement)).await.expect("an administrator's act");
    let arguments = json!({"time_period": "last_12_months", "by": "units", "limit": 3});
    let gone = async {
        while app.client("seattle-store").call("top_products", arguments.clone()).await.message["result"]["isError"]
            != true
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the caller sees nothing");
    app.stop().await;
}
