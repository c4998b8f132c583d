//! A hundred thousand rows of six columns, summed: in a guest, and in native Rust by sqlx.

use std::sync::Arc;

use serde_json::json;
use sqlx::Row as _;
use stockade_runtime::Invocation;
use stockade_tests::TestApp;

use crate::{
    native::Native,
    rounds::{interleave, ms},
    table::Line,
};

/// Two integers, two floats, a timestamp and another float: types that sqlx reads without help.
const ROWS: &str = "SELECT quantity::int8 AS quantity, unit_price::float8 AS unit_price, \
     discount_percent::float8 AS discount_percent, discount_amount::float8 AS discount_amount, \
     total_amount::float8 AS total_amount, length(order_id::text)::int8 AS length \
     FROM retail.order_items LIMIT 100000";
const CALLER: &str = "head-office";

pub(crate) async fn measure(app: &TestApp) -> Vec<Line> {
    eprintln!("a hundred thousand rows");
    let runtime = Arc::clone(app.app().runtime());
    let caller = app.caller(CALLER);
    let arguments = json!({"query": ROWS}).as_object().expect("an object").clone();
    let guest = async || {
        let invocation = Invocation {
            caller: Arc::clone(&caller),
            tool: "bench_sum".into(),
            arguments: arguments.clone(),
            request_id: String::new(),
            progress: None,
        };
        let output = runtime.call(invocation).await.expect("a result");
        assert_eq!(output.structured["rows"], 100_000);
    };
    let mut native = Native::connect(&app.database, CALLER).await;
    let by_sqlx = async || {
        native.begin().await;
        let rows = native.rows(ROWS).await;
        native.commit().await;
        let mut sums = [0.0; 6];
        for row in &rows {
            sums[0] += row.get::<i64, _>(0) as f64;
            for (index, sum) in sums.iter_mut().enumerate().take(5).skip(1) {
                *sum += row.get::<f64, _>(index);
            }
            sums[5] += row.get::<i64, _>(5) as f64;
        }
        assert!(rows.len() == 100_000 && sums.iter().all(|sum| sum.is_finite()));
    };
    let outcome = interleave(9, 3, guest, by_sqlx).await;
    vec![Line {
        what: "100,000 rows × 6 columns into a guest and summed there".into(),
        against: "the same by sqlx in native Rust".into(),
        measured: format!("{} : {}", ms(outcome.ours), ms(outcome.theirs)),
        ratio: Some(outcome.ratio),
        bar: Some(1.5),
    }]
}
