//! Rows that are wide, budgets that are spent, and text around a statement.
use stockade_db::DbError;

use crate::bed::{Bed, sql};

/// The most memory that this process has had resident, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

fn assert_too_wide(error: &DbError) {
    assert!(
        matches!(error, DbError::Statement { sqlstate, message } if sqlstate == "54000" && message.contains("wider than")),
        "{}",
        error.for_log()
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_row_wider_than_the_budget_ends_on_the_server() {
    let bed = Bed::with(|config| config.statement_timeout_ms = 120_000).await;
    let session = bed.session_with("a", |limits| {
        limits.bytes_max = 1_000_000;
        limits.deadline += std::time::Duration::from_secs(100);
    });
    let before = peak_bytes();
    for text in [
        "SELECT repeat('x', 400000000)",
        // Names that the host's own part of the statement has too
        "SELECT 1 AS t, 2 AS s, repeat('x', 400000000) AS t",
        "SELECT 'short' UNION ALL SELECT repeat('x', 400000000)",
    ] {
        assert_too_wide(&session.query(sql(text), 10).await.unwrap_err());
    }
    let mut cursor =
        session.open(sql("SELECT repeat('x', i * 100000000) FROM generate_series(0, 6) AS i")).await.unwrap();
    assert_too_wide(&cursor.fetch(10).await.unwrap_err());
    let grown = peak_bytes() - before;
    assert!(grown < 300_000_000, "the host's memory grew by {grown} bytes");
    // What fits is given out; what does not, but is no danger, is cut off as ever.
    assert_eq!(session.query(sql("SELECT repeat('x', 900000)"), 10).await.unwrap().row_count, 1);
    let cut = session.query(sql("SELECT repeat('x', 150000)"), 10).await.unwrap();
    assert_eq!((cut.row_count, cut.truncated), (0, true));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_cursor_whose_budget_is_spent_says_so_and_does_not_promise_more_for_ever() {
    let bed = Bed::new().await;
    // Rows of eight bytes each.
    let session = bed.session_with("a", |limits| limits.bytes_max = 8 * 5);
    let mut cursor = session.open(sql("SELECT i::int8 FROM generate_series(1, 10) AS i")).await.unwrap();
    let batch = cursor.fetch(3).await.unwrap();
    assert_eq!((batch.row_count, batch.truncated), (3, true));
    let batch = cursor.fetch(3).await.unwrap();
    assert_eq!((batch.row_count, batch.truncated), (2, true));
    for _ in 0..2 {
        let error = cursor.fetch(3).await.unwrap_err();
        assert!(matches!(&error, DbError::Statement { sqlstate, .. } if sqlstate == "54000"), "{}", error.for_log());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn semicolons_comments_and_order_survive_what_the_host_adds() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    for text in [
        "SELECT id FROM app.notes ORDER BY id DESC LIMIT 3;",
        "SELECT id FROM app.notes ORDER BY id DESC LIMIT 3 ; ; -- the last three",
        "-- ä; the first line\nSELECT id FROM app.notes /* ; */ ORDER BY id DESC LIMIT 3; /* end */",
        "SELECT id FROM app.notes ORDER BY id DESC LIMIT 3 -- no newline",
        "(SELECT id FROM app.notes ORDER BY id DESC LIMIT 3)",
        "WITH t AS (SELECT id FROM app.notes) SELECT id FROM t ORDER BY 1 DESC FETCH FIRST 3 ROWS ONLY",
        "TABLE app.notes ORDER BY id DESC LIMIT 3",
    ] {
        let result = session.query(sql(text), 10).await.unwrap_or_else(|error| panic!("{text}: {}", error.for_log()));
        let stockade_db::ColumnValues::Integers(ids) = &result.columns[0].values else { panic!("{text}: {result:?}") };
        assert_eq!(ids, &[100, 99, 98], "{text}");
    }
    let none = session.query(sql("SELECT FROM app.notes WHERE false"), 10).await.unwrap();
    assert_eq!((none.columns.len(), none.row_count), (0, 0));
}
