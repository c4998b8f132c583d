//! Store sales under row security: through a plugin, by sqlx with the same context, and bare.

use std::sync::Arc;

use serde_json::json;
use stockade_runtime::{CallReport, Invocation};
use stockade_tests::TestApp;

use crate::{
    native::Native,
    rounds::{Outcome, interleave, ms, us},
    table::Line,
};

const STORE_SALES: &str =
    "SELECT count(*) AS orders, sum(total_amount) AS revenue, max(order_date) AS latest FROM retail.orders";
/// The same, as an owner without row security would write it.
const STORE_SALES_WHERE: &str = "SELECT count(*) AS orders, sum(total_amount) AS revenue, max(order_date) AS latest \
     FROM retail.orders WHERE store_id = '5a7a0000-0001-4000-8000-000000000001'";
const CALLER: &str = "seattle-store";

pub(crate) async fn measure(app: &TestApp) -> Vec<Line> {
    eprintln!("a statement under row security");
    let runtime = Arc::clone(app.app().runtime());
    let caller = app.caller(CALLER);
    let arguments = json!({"query": STORE_SALES}).as_object().expect("an object").clone();
    let plugin = async || {
        let invocation = Invocation {
            caller: Arc::clone(&caller),
            tool: "execute_sales_query".into(),
            plugin: None,
            arguments: arguments.clone(),
            request_id: String::new(),
            progress: None,
            report: CallReport::default(),
        };
        runtime.call(invocation).await.expect("a result");
    };
    let mut native = Native::connect(&app.database, CALLER).await;
    let by_sqlx = async || {
        native.begin().await;
        assert_eq!(native.rows(STORE_SALES).await.len(), 1);
        native.commit().await;
    };
    let sales = interleave(15, 100, plugin, by_sqlx).await;

    let mut with_context = Native::connect(&app.database, CALLER).await;
    let mut bare = Native::connect(&app.database, CALLER).await;
    let context = interleave(
        15,
        500,
        async || {
            with_context.begin().await;
            assert_eq!(with_context.rows("SELECT 1 AS one").await.len(), 1);
            with_context.commit().await;
        },
        async || assert_eq!(bare.rows("SELECT 1 AS one").await.len(), 1),
    )
    .await;
    let policies = policies(app).await;
    vec![
        Line {
            what: "store sales over 200,000 orders under row security".into(),
            against: "the same with the store as a plain WHERE, by an administrator whom no policy binds".into(),
            measured: format!("{} : {}", ms(policies.ours), ms(policies.theirs)),
            ratio: Some(policies.ratio),
            bar: Some(1.5),
        },
        Line {
            what: "store sales under row security, through a plugin".into(),
            against: "the same statement by sqlx in the same process, same context and transaction".into(),
            measured: format!("{} : {}", ms(sales.ours), ms(sales.theirs)),
            ratio: Some(sales.ratio),
            bar: Some(1.10),
        },
        Line {
            what: "context + statement + end: 4 round trips".into(),
            against: "the bare prepared statement on such a connection: 1 round trip".into(),
            measured: format!("{} : {}", us(context.ours), us(context.theirs)),
            ratio: Some(context.ratio),
            bar: None,
        },
    ]
}

/// What the policies and the verification cost, and nothing else: prepared statements on both sides,
/// each in its transaction already.
async fn policies(app: &TestApp) -> Outcome {
    let mut caller = Native::connect(&app.database, CALLER).await;
    caller.begin().await;
    let mut admin = app.database.admin().await;
    let outcome = interleave(
        15,
        50,
        async || assert_eq!(caller.rows(STORE_SALES).await.len(), 1),
        async || assert_eq!(sqlx::query(STORE_SALES_WHERE).fetch_all(&mut admin).await.expect("rows").len(), 1),
    )
    .await;
    caller.commit().await;
    outcome
}
