#![allow(clippy::indexing_slicing, reason = "tests")]

use serde_json::json;
use stockade_sdk::sql::{Statement, Value};
use stockade_sdk::testing::{self, Host};
use stockade_sdk::{Error, ResultSet};

use crate::TopProducts;

const STORE: &str = "00000000-0000-4000-8000-00000000000a";

fn answer(statement: &Statement) -> ResultSet {
    if statement.text.contains("FROM retail.stores") {
        return testing::result([
            testing::texts("store_id", [Some(STORE)]),
            testing::texts("store_name", [Some("Seattle")]),
        ]);
    }
    if statement.text.contains("AS today") {
        let day = || [Some(20_780)];
        return testing::result([testing::dates("today", day()), testing::dates("last_sale", day())]);
    }
    // 30 days up to 2026-11-22.
    assert_eq!(statement.parameters[..3], [Value::Date(20_750), Value::Date(20_780), Value::Integer(10)]);
    assert_eq!(statement.parameters.len(), 3 + usize::from(statement.text.contains("$4")));
    testing::result([
        testing::texts("sku", [Some("A"), Some("B")]),
        testing::texts("product_name", [Some("Anvil"), Some("Bolt")]),
        testing::texts("category_name", [Some("X"), Some("X")]),
        testing::decimals("units", 0, [Some(3), Some(1)]),
        testing::decimals("revenue", 2, [Some(6000), Some(2000)]),
        testing::decimals("margin", 2, [Some(3000), Some(-1)]),
        testing::decimals("total_revenue", 2, [Some(16_000), Some(16_000)]),
    ])
}

fn call(arguments: serde_json::Value) -> Result<serde_json::Value, Error> {
    Host::new().on_query(|statement, _| Ok(answer(statement))).call::<TopProducts>(arguments)
}

#[test]
fn products_are_ranked_with_their_share() {
    let expected = json!({
        "store_id": STORE,
        "period": {"name": "last_30_days", "first_day": "2026-10-24", "last_day": "2026-11-22"},
        "by": "revenue",
        "products": [
            {"rank": 1, "sku": "A", "product_name": "Anvil", "category_name": "X", "units": 3,
             "revenue": 60.0, "margin": 30.0, "revenue_share_percent": 37.5},
            {"rank": 2, "sku": "B", "product_name": "Bolt", "category_name": "X", "units": 1,
             "revenue": 20.0, "margin": -0.01, "revenue_share_percent": 12.5},
        ],
        "total_revenue": 160.0,
    });
    assert_eq!(call(json!({"store_id": STORE})), Ok(expected));
}

#[test]
fn without_a_store_all_are_meant() {
    assert_eq!(call(json!({})).map(|output| output["store_id"].clone()), Ok(json!(null)));
}

#[test]
fn another_store_is_unknown() {
    let other = STORE.replace('a', "b");
    let error = call(json!({"store_id": other})).map_err(|error| error.code().to_owned());
    assert_eq!(error, Err("STORE_UNKNOWN".to_owned()));
}
