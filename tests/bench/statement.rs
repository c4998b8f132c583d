//! Store sales under row security: through a plugin, by sqlx with the same context, and bare.

use std::sync::Arc;

use serde_json::json;
use stockade_runtime::Invocation;
use stockade_tests::TestApp;

use crate::{
    native::Native,
    rounds::{interleave, ms, us},
    table::Line,
};

const STORE_SALES: &str =
    "SELECT count(*) AS orders, sum(total_amount) AS revenue, max(order_date) AS latest FROM retail.orders";
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
            arguments: arguments.clone(),
            request_id: String::new(),
            progress: None,
            usage: Arc::default(),
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
    vec![
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
