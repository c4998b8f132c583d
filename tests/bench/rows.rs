//! A hundred thousand rows of six columns, summed: in a guest, and in native Rust by sqlx.

use std::sync::Arc;

use serde_json::json;
use sqlx::{Row as _, postgres::PgRow};
use stockade_runtime::{CallReport, Invocation};
use stockade_tests::TestApp;
use wasmtime::Store;

use crate::{
    instance::Bare,
    native::Native,
    rounds::{Outcome, interleave, ms},
    rows::bindings::Value,
    table::Line,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "guests/rows-of-variants/wit",
        world: "variants",
        exports: { default: async },
    });
}

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
            plugin: None,
            arguments: arguments.clone(),
            request_id: String::new(),
            progress: None,
            report: CallReport::default(),
        };
        let output = runtime.call(invocation).await.expect("a result");
        assert_eq!(output.structured["rows"], 100_000);
    };
    let mut native = Native::connect(&app.database, CALLER).await;
    let by_sqlx = async || sum_natively(&mut native).await;
    let columns = interleave(9, 3, guest, by_sqlx).await;

    let component = std::fs::read(stockade_tests::packed("rows-of-variants")).expect("the component");
    let Bare { engine, pre } = Bare::of(&component);
    let mut variants_side = Native::connect(&app.database, CALLER).await;
    let mut sqlx_side = Native::connect(&app.database, CALLER).await;
    let variants = interleave(
        9,
        3,
        async || {
            variants_side.begin().await;
            let rows = variants_side.rows(ROWS).await;
            variants_side.commit().await;
            let rows: Vec<Vec<Value>> =
                rows.iter().map(|row| (0..6).map(|index| value(row, index)).collect()).collect();
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1_000_000);
            store.set_hostcall_fuel(1 << 30);
            let instance = pre.instantiate_async(&mut store).await.expect("an instance");
            let variants = bindings::Variants::new(&mut store, &instance).expect("the exports");
            assert_eq!(variants.call_sum(&mut store, &rows).await.expect("no trap").len(), 6);
        },
        async || sum_natively(&mut sqlx_side).await,
    )
    .await;
    let line = |what: &str, outcome: Outcome, bar| Line {
        what: what.into(),
        against: "the same by sqlx in native Rust".into(),
        measured: format!("{} : {}", ms(outcome.ours), ms(outcome.theirs)),
        ratio: Some(outcome.ratio),
        bar,
    };
    vec![
        line("100,000 rows × 6 columns into a guest and summed there", columns, Some(1.5)),
        line("the same as rows of variants, beside it", variants, None),
    ]
}

async fn sum_natively(native: &mut Native) {
    native.begin().await;
    let rows = native.rows(ROWS).await;
    native.commit().await;
    let mut sums = [0.0; 6];
    for row in &rows {
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum += if is_integer(index) { row.get::<i64, _>(index) as f64 } else { row.get::<f64, _>(index) };
        }
    }
    assert!(rows.len() == 100_000 && sums.iter().all(|sum| sum.is_finite()));
}

fn value(row: &PgRow, index: usize) -> Value {
    if is_integer(index) { Value::Integer(row.get(index)) } else { Value::Float(row.get(index)) }
}

/// The first and the last column of [`ROWS`].
const fn is_integer(index: usize) -> bool {
    index == 0 || index == 5
}
