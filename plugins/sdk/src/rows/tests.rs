//! How rows read, and what the reader says when they do not.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use crate::testing::{booleans, dates, decimals, floats, integers, json, result, texts, timestamps, truncated};
use crate::{Error, ResultSet};

#[derive(Debug, Deserialize, PartialEq)]
struct Store<'a> {
    name: &'a str,
    revenue: f64,
    orders: i64,
    closed_on: Option<Date>,
    seen_at: Timestamp,
    online: bool,
}

fn stores() -> ResultSet {
    result([
        texts("name", [Some("Zürich"), Some("")]),
        decimals("revenue", 2, [Some(123_456), Some(-1)]),
        decimals("orders", 0, [Some(7), Some(9_007_199_254_740_993)]),
        dates("closed_on", [None, Some(20_780)]),
        timestamps("seen_at", [Some(0), Some(1_000_000)]),
        booleans("online", [Some(true), Some(false)]),
        integers("ignored", [None, None]),
    ])
}

#[test]
fn rows_read_as_structs() {
    let rows = stores();
    let read: Vec<Store<'_>> = rows.all().unwrap();
    assert_eq!(
        read,
        [
            Store {
                name: "Zürich",
                revenue: 1234.56,
                orders: 7,
                closed_on: None,
                seen_at: Timestamp::UNIX_EPOCH,
                online: true,
            },
            Store {
                name: "",
                revenue: -0.01,
                orders: 9_007_199_254_740_993,
                closed_on: Some(jiff::civil::date(2026, 11, 23)),
                seen_at: Timestamp::constant(1, 0),
                online: false,
            },
        ]
    );
}

#[test]
fn rows_read_as_tuples_and_single_values() {
    let rows = result([integers("n", [Some(3)]), texts("t", [Some("x")])]);
    assert_eq!(rows.one::<(i64, String)>().unwrap(), (3, "x".to_owned()));
    assert_eq!(rows.get::<u8>(0, "n").unwrap(), 3);
    let single = result([integers("n", [Some(3), None])]);
    assert_eq!(single.rows::<Option<i64>>().unwrap(), [Some(3), None]);
    assert_eq!(single.first::<i64>().unwrap(), Some(3));
    let none = result([integers("n", [])]);
    assert_eq!(none.first::<i64>().unwrap(), None);
}

#[test]
fn json_reads_as_what_it_holds() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Key {
        column: String,
    }
    let rows = result([json("keys", [Some(r#"[{"column": "id"}]"#)])]);
    assert_eq!(rows.get::<Vec<Key>>(0, "keys").unwrap(), [Key { column: "id".into() }]);
    assert_eq!(rows.get::<&str>(0, "keys").unwrap(), r#"[{"column": "id"}]"#);
}

#[test]
fn numbers_come_from_every_numeric_type() {
    let mut big = texts("n", [Some("1e30"), None]);
    big.type_name = "numeric".into();
    let columns = [
        (integers("n", [Some(2), None]), 2.0),
        (floats("n", [Some(0.5), None]), 0.5),
        (decimals("n", 1, [Some(15), None]), 1.5),
        (big, 1e30),
    ];
    for (column, first) in columns {
        let numbers: Vec<_> = column.numbers().unwrap().collect();
        assert_eq!(numbers, [Some(first), None], "{}", column.type_name);
        assert_eq!(result([column]).rows::<Option<f64>>().unwrap(), [Some(first), None]);
    }
}

#[test]
fn columns_lend_their_values() {
    let rows = stores();
    assert_eq!(rows.column("closed_on").unwrap().dates().unwrap(), [0, 20_780]);
    let names = rows.column("name").unwrap().texts().unwrap();
    assert_eq!(names.iter().collect::<Vec<_>>(), ["Zürich", ""]);
    let revenue = rows.column("revenue").unwrap().decimals().unwrap();
    assert_eq!((revenue.scale, revenue.unscaled), (2, &[123_456, -1][..]));
}

#[test]
fn nulls_lie_in_bits() {
    let column = integers("n", (0..20).map(|n| (n != 9).then_some(n)));
    assert_eq!(column.nulls, [0, 0b10]);
    assert!((0..20).all(|row| column.is_null(row) == (row == 9)));
}

#[track_caller]
fn check<T: std::fmt::Debug>(read: Result<T, Error>, code: &str, message: &str) {
    let error = read.unwrap_err();
    assert!(matches!(error, Error::Unexpected(_)), "{error:?}");
    assert_eq!((error.code(), error.message()), (code, message));
}

#[test]
fn errors_name_column_types_and_what_was_wanted() {
    let rows = stores();
    check(
        rows.row::<(String,)>(0),
        "RESULT_SHAPE",
        "expected 1 columns, found 7: `name`, `revenue`, `orders`, `closed_on`, `seen_at`, \
         `online`, `ignored`",
    );
    check(rows.get::<i64>(0, "name"), "RESULT_SHAPE", "column `name` (text), row 0: expected i64, found a text");
    check(
        rows.get::<i64>(0, "revenue"),
        "RESULT_SHAPE",
        "column `revenue` (numeric), row 0: expected i64, found a number with a fraction",
    );
    check(
        rows.get::<String>(0, "closed_on"),
        "RESULT_SHAPE",
        "column `closed_on` (date), row 0: expected a string, found null",
    );
    check(rows.row::<Store<'_>>(2), "RESULT_SHAPE", "no row 2; there are 2");
    check(
        rows.column("seen_at").unwrap().integers(),
        "RESULT_SHAPE",
        "column `seen_at` (timestamptz) holds timestamps, not integers",
    );
    let narrow = result([integers("n", [Some(300)])]);
    check(narrow.one::<u8>(), "RESULT_SHAPE", "column `n` (int8), row 0: expected u8, found an integer out of range");
    check(narrow.one::<Store<'_>>(), "RESULT_SHAPE", "no column `name`; the columns are `n`");
    check(narrow.column("m"), "RESULT_SHAPE", "no column `m`; there are `n`");
    check(
        truncated(narrow).all::<i64>(),
        "RESULT_TRUNCATED",
        "the query has more rows than the 1 that the plugin's limits let through",
    );
}

#[test]
fn infinite_dates_are_errors_but_have_json() {
    let rows = result([dates("d", [Some(i32::MAX)]), timestamps("t", [Some(i64::MIN)])]);
    check(
        rows.get::<Date>(0, "d"),
        "RESULT_SHAPE",
        "column `d` (date), row 0: the date is infinite or beyond the year 9999",
    );
    let json = rows.to_json_rows().unwrap();
    assert_eq!(json, [[serde_json::json!("infinity"), serde_json::json!("-infinity")]]);
}

#[test]
fn unknown_shapes_become_json() {
    let rows = result([
        integers("i", [Some(1 << 53), None]),
        floats("f", [Some(f64::NAN), Some(1e300)]),
        decimals("d", 2, [Some(1999), Some(0)]),
        timestamps("t", [Some(0), Some(1_500_000)]),
        json("j", [Some("[1]"), Some("{}")]),
    ]);
    assert_eq!(
        serde_json::Value::from_iter(rows.to_json_rows().unwrap().into_iter().map(serde_json::Value::from)),
        serde_json::json!([
            ["9007199254740992", "NaN", 19.99, "1970-01-01T00:00:00Z", [1]],
            [null, 1e300, 0.0, "1970-01-01T00:00:01.5Z", {}],
        ])
    );
}
