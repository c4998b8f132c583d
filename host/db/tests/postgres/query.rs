//! Rows, limits, snapshots, cursors.

use stockade_db::{ColumnValues, DbError, Value};

use crate::bed::{Bed, sql, sql_with};
use crate::cancel::until_fetching;

fn integers(values: &ColumnValues) -> &[i64] {
    let ColumnValues::Integers(values) = values else { panic!("expected integers, found {values:?}") };
    values
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn truncated_is_exact_at_the_cap_and_one_beyond() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    for (rows, cap, kept, truncated) in [
        (10, 11, 10, false),
        (10, 10, 10, false),
        (11, 10, 10, true),
        (1, 0, 0, true),
        (0, 0, 0, false),
        (0, 5, 0, false),
    ] {
        let result = session
            .query(sql_with("SELECT i FROM generate_series(1, $1::int) AS i", vec![Value::Integer(rows)]), cap)
            .await
            .unwrap();
        assert_eq!((result.row_count, result.truncated), (kept, truncated), "{rows} rows, cap {cap}");
        assert_eq!(result.columns[0].name, "i", "the columns are there without rows too");
        assert_eq!(result.columns[0].type_name, "int4");
    }
    let capped = bed.session_with("a", |limits| limits.rows_max = 5);
    assert!(capped.query(sql("SELECT * FROM app.notes"), 100).await.unwrap().truncated);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn bytes_are_a_budget_of_the_whole_session() {
    let bed = Bed::new().await;
    // Rows of eight bytes each.
    let session = bed.session_with("a", |limits| limits.bytes_max = 8 * 15);
    let ten = || sql("SELECT i::int8 FROM generate_series(1, 10) AS i");
    let first = session.query(ten(), 100).await.unwrap();
    assert_eq!((first.row_count, first.truncated), (10, false));
    let second = session.query(ten(), 100).await.unwrap();
    assert_eq!((second.row_count, second.truncated), (5, true));
    let third = session.query(ten(), 100).await.unwrap();
    assert_eq!((third.row_count, third.truncated), (0, true));
    let usage = session.usage();
    assert_eq!((usage.statements, usage.rows, usage.bytes), (3, 15, 120));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn query_all_sees_one_snapshot() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    // The first statement waits for a writer that commits between the two: a lock that the test
    // holds cannot be awaited by a reader, so the writer runs while the first statement computes.
    let count = "SELECT count(*) FROM app.notes";
    let slow = "SELECT count(*) FROM app.notes, generate_series(1, 200000)";
    let write = async {
        until_fetching(&bed).await;
        sqlx::raw_sql("INSERT INTO app.notes VALUES (1000, 'a', 'new')").execute(&bed.admin).await.unwrap();
    };
    let (results, ()) = tokio::join!(session.query_all(vec![sql(count), sql(slow), sql(count)], 10), write);
    let results = results.unwrap();
    assert_eq!(integers(&results[0].columns[0].values), [100]);
    assert_eq!(integers(&results[2].columns[0].values), [100]);
    assert_eq!(integers(&session.query(sql(count), 1).await.unwrap().columns[0].values), [101]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn query_all_keeps_results_apart_and_fails_as_one() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    let results = session
        .query_all(
            vec![
                sql("SELECT 1 AS one WHERE false"),
                sql("SELECT 'x' AS two"),
                sql_with("SELECT $1 AS three", vec![Value::Boolean(true)]),
            ],
            10,
        )
        .await
        .unwrap();
    let names: Vec<&str> = results.iter().map(|result| result.columns[0].name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    assert_eq!(results[0].row_count, 0);
    let error = session.query_all(vec![sql("SELECT 1"), sql("SELECT 1/0")], 10).await.unwrap_err();
    assert!(matches!(error, DbError::Statement { ref sqlstate, .. } if sqlstate == "22012"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_cursor_gives_every_row_once() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await.unwrap();
    let mut seen = Vec::new();
    for (size, truncated) in [(0, true), (30, true), (30, true), (40, false), (10, false)] {
        let batch = cursor.fetch(size).await.unwrap();
        assert_eq!(batch.truncated, truncated, "after {} rows", seen.len());
        assert_eq!(batch.columns[0].name, "id");
        seen.extend_from_slice(integers(&batch.columns[0].values));
    }
    assert_eq!(seen, (1..=100).collect::<Vec<i64>>());
    // More cursors than connections, one after the other, each dropped early: no connection is lost.
    for _ in 0..5 {
        let mut cursor = session.open(sql("SELECT id FROM app.notes")).await.unwrap();
        assert!(cursor.fetch(1).await.unwrap().truncated);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn one_text_with_other_types_is_another_statement() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    for _ in 0..2 {
        for (value, type_name) in [
            (Value::Integer(1), "int8"),
            (Value::Text("x".to_owned()), "text"),
            (Value::Boolean(true), "bool"),
            (Value::Null, "text"),
        ] {
            let result = session.query(sql_with("SELECT $1 AS v", vec![value]), 1).await.unwrap();
            assert_eq!(result.columns[0].type_name, type_name);
        }
    }
    let many = (0..100).map(Value::Integer).collect();
    let list = (1..=100).map(|i| format!("${i}")).collect::<Vec<_>>().join("+");
    let result = session.query(sql_with(&format!("SELECT ({list})::int8 AS v"), many), 1).await.unwrap();
    assert_eq!(integers(&result.columns[0].values), [4950]);
    let error = session.query(sql("SELECT $1"), 1).await.unwrap_err();
    assert!(error.to_string().starts_with("ARGUMENT_PARAMETER_COUNT"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn it_works_without_a_statement_cache() {
    let bed = Bed::with(|config| config.statement_cache_capacity = 0).await;
    let session = bed.session("a");
    for _ in 0..3 {
        assert_eq!(
            session
                .query(sql_with("SELECT id FROM app.notes WHERE id > $1", vec![Value::Integer(90)]), 100)
                .await
                .unwrap()
                .row_count,
            10
        );
        assert_eq!(session.query(sql("SELECT id FROM app.notes WHERE false"), 100).await.unwrap().columns.len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn as_many_statements_at_once_as_may_be_and_no_more() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    let statements = |count: usize| vec![sql("SELECT 1"); count];
    assert_eq!(session.query_all(statements(32), 1).await.unwrap().len(), 32);
    let error = session.query_all(statements(33), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Rejected { code: "ARGUMENT_STATEMENTS", .. }), "{error:?}");
}
