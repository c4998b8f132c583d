//! The plugin that `plugins/README.md` builds step by step, as its reader would have it.

use serde_json::json;
use stockade_tests::TestApp;

const GUIDE: &str = include_str!("../../plugins/README.md");
const SOURCE: &str = include_str!("../guests/recent-sales/src/lib.rs");
const MANIFEST: &str = include_str!("../guests/recent-sales/plugin.toml");

/// The smallest useful plugin has fewer lines than this.
const LINES: usize = 40;

/// The first block of code after some words of the guide.
fn block_after(words: &str) -> &'static str {
    let (_, after) = GUIDE.split_once(words).unwrap_or_else(|| panic!("the guide has no {words:?}"));
    let (_, block) = after.split_once("\n```").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    block.split_once('\n').unwrap().1
}

#[test]
fn the_guides_plugin_is_small_and_the_one_that_is_tested() {
    assert_eq!(block_after("**4. `recent_sales/src/lib.rs`**"), SOURCE.trim_end());
    assert_eq!(block_after("**3. `recent_sales/plugin.toml`**"), MANIFEST.trim_end());
    let lines = SOURCE.lines().count();
    assert!(lines < LINES, "{lines}");
    assert!(GUIDE.contains(&format!("{lines} lines of Rust")), "the guide's plugin has {lines} lines");
    assert!(include_str!("../../README.md").contains(&format!("plugin is under {LINES} lines")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn the_guides_plugin_is_granted_and_called_as_it_says() {
    let grants = block_after("**6. Grant.**");
    let app = TestApp::builder().plugins(&["recent-sales"]).grants(grants).start().await;
    let tools = app.client("tacoma-store").tools().await;
    assert_eq!(tools[0]["inputSchema"]["properties"]["days"]["description"], "How many days back, up to now.");
    let client = app.client("tacoma-store");
    let reply = client.call("recent_sales", json!({"days": 366})).await;
    let (orders, revenue): (i64, f64) = sqlx::query_as(
        "SELECT count(*), sum(total_amount)::float8 FROM retail.orders JOIN retail.stores USING (store_id)
         WHERE store_name LIKE '%Tacoma' AND order_date >= now() - interval '366 days'",
    )
    .fetch_one(&mut app.database.admin().await)
    .await
    .unwrap();
    assert!(orders > 0);
    assert_eq!(reply.structured(), &json!({"orders": orders, "revenue": revenue}));
    let refused = client.call("recent_sales", json!({"days": 367})).await;
    assert!(refused.error().starts_with("VALIDATION_ERROR"), "{}", refused.error());
    app.stop().await;
}
