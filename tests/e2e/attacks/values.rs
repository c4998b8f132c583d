//! A list of 100,000 values, in every way that a list can be given.

use stockade_db::{Statement, Value};

use super::{
    CLUSTER,
    bed::Bed,
    host::{code, connect, session},
    wire::Wire,
};

const VALUES: usize = 100_000;
/// As many as the guard lets a statement name.
const PARAMETERS_MAX: usize = 1_000;
/// As many as a message of the protocol can carry: it counts them in 16 bits.
const WIRE_VALUES_MAX: usize = 65_535;

/// A query that names so many parameters.
fn naming(parameters: usize) -> String {
    let names: Vec<String> = (1..=parameters).map(|number| format!("${number}::int8")).collect();
    format!("SELECT 1 WHERE 1 IN ({})", names.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn the_host_refuses_a_hundred_thousand_values_by_name_and_takes_them_as_one_array() {
    let bed = Bed::new().await;
    let database = connect(&bed, false).await;
    let session = session(&bed, &database);
    let values = |count: usize| vec![Value::Integer(1); count];
    let one = |value| vec![value];
    for (text, parameters, expected) in [
        (naming(VALUES), values(VALUES), "SQL_TOO_LONG"),
        (naming(PARAMETERS_MAX + 1), values(VALUES), "SQL_PARAMETER"),
        (naming(PARAMETERS_MAX), values(VALUES), "ARGUMENT_PARAMETER_COUNT"),
        (naming(PARAMETERS_MAX), values(PARAMETERS_MAX), "ok"),
        ("SELECT 1 WHERE 1 = ANY ($1)".to_owned(), one(Value::Integers(vec![1; VALUES])), "ok"),
    ] {
        let shown: String = text.chars().take(60).collect();
        let result = session.query(Statement { text, parameters }, 1).await;
        let outcome = result.as_ref().err().map_or_else(|| "ok".to_owned(), code);
        assert_eq!(outcome, expected, "{shown}…");
    }
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn the_protocol_itself_ends_at_65535_values_and_the_connection_serves_on() {
    let mut bed = Bed::new().await;
    let mut wire = Wire::connect(&bed.database.login_url).await;
    for (parameters, expected) in [(VALUES, "08P01"), (WIRE_VALUES_MAX, "ok")] {
        bed.begin(&mut wire, true).await;
        // Planning so long a list takes its time: that is no matter here.
        wire.query("SET LOCAL statement_timeout = 0").await;
        let said = wire.execute_with(&naming(parameters), parameters).await;
        assert_eq!(said.outcome(), expected, "{parameters} values: {}", String::from_utf8_lossy(&said.bytes));
        assert!(!wire.ended, "{parameters} values");
        wire.query("COMMIT").await;
        bed.next_borrower(&mut wire).await.unwrap_or_else(|wrong| panic!("{parameters} values: {wrong}"));
    }
    let _beside_others = CLUSTER.read().await;
    assert_eq!(bed.changed().await, "");
}
