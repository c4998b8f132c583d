//! Every supported type there and back.
use stockade_db::{ColumnValues, DbError, FixedPoint, Packed, Value, VectorArray};

use crate::bed::{Bed, sql, sql_with};

fn packed(values: &[&str]) -> Packed {
    let mut packed = Packed { offsets: vec![0], data: Vec::new() };
    for value in values {
        packed.data.extend_from_slice(value.as_bytes());
        packed.offsets.push(packed.data.len() as u32);
    }
    packed
}

fn texts(values: &[&str]) -> ColumnValues {
    ColumnValues::Texts(packed(values))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn every_type_comes_back_as_the_contract_says() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    const DAY_US: i64 = 86_400_000_000;
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let cases: Vec<(&str, &str, ColumnValues)> = vec![
        ("(true), (NULL)", "bool", ColumnValues::Booleans(vec![true, false])),
        ("(1::int2), (NULL)", "int2", ColumnValues::Integers(vec![1, 0])),
        ("((-2)::int4), (NULL)", "int4", ColumnValues::Integers(vec![-2, 0])),
        ("(9223372036854775807::int8), (NULL)", "int8", ColumnValues::Integers(vec![i64::MAX, 0])),
        ("(4294967295::oid), (NULL)", "oid", ColumnValues::Integers(vec![4_294_967_295, 0])),
        ("(1.5::float4), (NULL)", "float4", ColumnValues::Floats(vec![1.5, 0.0])),
        ("('-infinity'::float8), (NULL)", "float8", ColumnValues::Floats(vec![f64::NEG_INFINITY, 0.0])),
        (
            "(12.50::numeric), (NULL), (-0.05)",
            "numeric",
            ColumnValues::Decimals(FixedPoint { scale: 2, unscaled: vec![1250, 0, -5] }),
        ),
        ("(1e30::numeric), (NULL), ('NaN')", "numeric", texts(&["1000000000000000000000000000000", "", "NaN"])),
        ("('ä'::text), (NULL), ('')", "text", texts(&["ä", "", ""])),
        ("('x'::varchar(3)), (NULL)", "varchar", texts(&["x", ""])),
        ("('x'::char(3)), (NULL)", "bpchar", texts(&["x  ", ""])),
        ("('x'::name), (NULL)", "name", texts(&["x", ""])),
        ("('calm'::app.mood), (NULL)", "mood", texts(&["calm", ""])),
        ("('00112233-4455-6677-8899-AABBCCDDEEFF'::uuid), (NULL)", "uuid", texts(&[uuid, ""])),
        ("('{\"a\": 1}'::json), (NULL)", "json", texts(&["{\"a\": 1}", ""])),
        ("('{\"a\":1}'::jsonb), (NULL)", "jsonb", texts(&["{\"a\": 1}", ""])),
        ("('\\x6869'::bytea), (NULL)", "bytea", ColumnValues::Bytes(packed(&["hi", ""]))),
        (
            "('1970-01-02'::date), (NULL), ('infinity'), ('-infinity')",
            "date",
            ColumnValues::Dates(vec![1, 0, i32::MAX, i32::MIN]),
        ),
        (
            "('1970-01-02'::timestamp), (NULL), ('infinity')",
            "timestamp",
            ColumnValues::Timestamps(vec![DAY_US, 0, i64::MAX]),
        ),
        (
            "('1969-12-31 00:00+00'::timestamptz), (NULL), ('-infinity')",
            "timestamptz",
            ColumnValues::Timestamps(vec![-DAY_US, 0, i64::MIN]),
        ),
        ("('00:00:01'::time), (NULL)", "time", ColumnValues::Times(vec![1_000_000, 0])),
        (
            "(NULL::vector), ('[1,2]')",
            "vector",
            ColumnValues::Vectors(VectorArray { dimension: 2, elements: vec![0.0, 0.0, 1.0, 2.0] }),
        ),
    ];
    for (values, type_name, expected) in cases {
        let result = session
            .query(sql(&format!("SELECT v FROM (VALUES {values}) AS t (v)")), 10)
            .await
            .unwrap_or_else(|error| panic!("{values}: {}", error.for_log()));
        let column = &result.columns[0];
        assert_eq!((column.type_name.as_str(), &column.values), (type_name, &expected), "{values}");
        assert_eq!(column.nulls, [if type_name == "vector" { 1 } else { 2 }], "{values}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn every_parameter_goes_as_its_type() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    let uuid = "00112233-4455-6677-8899-aabbccddeeff".to_owned();
    let cases = vec![
        (Value::Null, "$1::text IS NULL"),
        (Value::Null, "$1::vector IS NULL"),
        (Value::Null, "$1::app.mood IS NULL"),
        (Value::Boolean(true), "$1"),
        (Value::Integer(i64::MIN), "$1 = -9223372036854775808"),
        (Value::Float(0.5), "$1 = 0.5"),
        (Value::Text("12.5".to_owned()), "$1::numeric = 12.5"),
        (Value::Text("calm".to_owned()), "$1::app.mood = 'calm'"),
        (Value::Text("{\"a\": 1}".to_owned()), "($1::jsonb ->> 'a') = '1'"),
        (Value::Uuid(uuid.clone()), "$1 = '00112233-4455-6677-8899-aabbccddeeff'"),
        (Value::Date(1), "$1 = '1970-01-02'"),
        (Value::Date(i32::MAX), "$1 = 'infinity'"),
        (Value::Timestamp(1), "$1 = '1970-01-01 00:00:00.000001+00'"),
        (Value::Timestamp(i64::MIN), "$1 = '-infinity'"),
        (Value::Bytes(vec![0, 255]), "$1 = '\\x00ff'"),
        (Value::Floats(vec![1.0, 2.0]), "$1::vector = '[1,2]'"),
        (Value::Integers(vec![1, 2]), "2 = ANY ($1)"),
        (Value::Integers(vec![]), "cardinality($1) = 0"),
        (Value::Texts(vec![uuid]), "'00112233-4455-6677-8899-aabbccddeeff' = ANY ($1::uuid[])"),
    ];
    for (value, expression) in cases {
        let statement = sql_with(&format!("SELECT {expression} AS held"), vec![value.clone()]);
        let result =
            session.query(statement, 1).await.unwrap_or_else(|error| panic!("{expression}: {}", error.for_log()));
        assert_eq!(result.columns[0].values, ColumnValues::Booleans(vec![true]), "{expression} of {value:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_type_that_does_not_cross_says_what_to_cast() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    for (text, hint) in [
        ("SELECT 1 AS fine, '1 day'::interval AS how_long", "how_long"),
        ("SELECT ARRAY[1, 2] AS list", "list"),
        ("SELECT ARRAY[1, 2] AS list WHERE false", "list"),
        ("SELECT '[1]'::halfvec AS half", "::vector"),
        ("SELECT '(1,2)'::point AS spot FROM generate_series(1, 50000)", "spot"),
    ] {
        let error = session.query(sql(text), 100_000).await.unwrap_err();
        assert!(
            matches!(&error, DbError::Statement { sqlstate, message } if sqlstate == "0A000" && message.contains(hint)),
            "{text}: {}",
            error.for_log()
        );
    }
    assert_eq!(session.query(sql("SELECT 1"), 1).await.unwrap().row_count, 1, "the connections are still sound");
}
