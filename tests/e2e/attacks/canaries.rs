//! A canary that nobody could find would show nothing: each is found where it may be seen.

use stockade_db::Statement;

use super::{
    bed::{Bed, caller},
    host::{connect, session_of, shown},
    wire::Wire,
};

/// Columns that carry one, each of a type of its own.
const CARRIERS: [(&str, &str); 7] = [
    ("store_name", "retail.stores"),
    ("opened_on", "retail.stores"),
    ("order_id", "retail.orders WHERE order_id::text LIKE '7734cafe%'"),
    ("order_date", "retail.orders WHERE order_date < '1980-01-01'"),
    ("total_amount", "retail.orders WHERE total_amount > 7000000000"),
    ("quantity", "retail.order_items WHERE quantity > 1000000000"),
    ("stock_level", "retail.inventory WHERE stock_level > 1000000000"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn each_is_found_by_whoever_may_see_it_in_text_in_binary_and_through_the_host() {
    let bed = Bed::new().await;
    let database = connect(&bed, false).await;
    let office = session_of(&caller("head-office"), &database);
    let mut wire = Wire::connect(&bed.database.admin_url).await;
    for (column, rest) in CARRIERS {
        let sql = format!("SELECT {column} FROM {rest}");
        let said = wire.query(&sql).await;
        assert!(bed.leak(&said.bytes, None).is_some(), "in text: {sql}");
        wire.query(&format!("BEGIN; DECLARE c BINARY CURSOR FOR {sql}")).await;
        let said = wire.query("FETCH ALL FROM c; COMMIT").await;
        assert!(bed.leak(&said.bytes, None).is_some(), "in binary: {sql}");
        let result = office.query(Statement { text: sql.clone(), parameters: Vec::new() }, 10_000).await;
        let result = result.unwrap_or_else(|error| panic!("{sql}: {}", error.for_log()));
        assert!(bed.leak(&shown(&result), None).is_some(), "through the host: {sql}");
    }
    database.close().await;
}
