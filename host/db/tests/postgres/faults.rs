//! A server that stops, starts, hangs and drops connections: what is tried again, and when nothing is.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use stockade_db::{BreakerState, ColumnValues, DbError, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::bed::{Bed, sql};
use crate::cancel::until_active_is;

#[path = "faults/rows.rs"]
pub(crate) mod rows;
#[path = "faults/server.rs"]
mod server;

use rows::{Asks, Load};
pub(crate) use server::{Frozen, Server, bin_dir};

/// How long a fault lasts under load.
pub(crate) const LASTS: Duration = Duration::from_secs(1);
const COUNT: &str = "SELECT count(*) FROM app.notes";
/// Takes the server a second or more.
const SLOW: &str = "SELECT count(*) FROM generate_series(1, 30000000)";

async fn until(bed: &Bed, wanted: BreakerState) {
    let waiting = async {
        while bed.database.stats().breaker != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    in_time.unwrap_or_else(|_| panic!("expected {wanted:?}, found {:?}", bed.database.stats()));
}

/// Closes the pool's connections on the server, as an administrator does.
async fn terminate(bed: &Bed, state: &str) -> i64 {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE usename = 'test_login' AND datname = current_database() AND application_name = 'stockade' AND state = '{state}'"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&bed.admin).await.unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_breaker_opens_when_the_server_stops_and_closes_when_it_is_back() {
    let mut server = Server::start().await;
    let bed = Bed::at(
        |user, database| server.url(user, database),
        |config| {
            config.connections_max = 4;
            config.breaker_open_ms = 2_000;
        },
    )
    .await;
    assert_eq!(bed.session("a").query(sql(COUNT), 1).await.unwrap().row_count, 1);
    server.stop().await;
    let mut tried = 0;
    while bed.database.stats().breaker == BreakerState::Closed {
        let error = bed.session("a").query(sql(COUNT), 1).await.unwrap_err();
        assert!(error.is_unavailable(), "{}", error.for_log());
        tried += 1;
        assert!(tried <= 5, "{:?}", bed.database.stats());
    }
    let open = bed.database.stats();
    assert_eq!(open.breaker_opened, 1);
    // While it is open nothing is tried: no connection, no pause, and nothing of the budget that all calls share.
    for _ in 0..50 {
        let error = match bed.session("a").open(sql(COUNT)).await {
            Err(error) => error,
            Ok(_) => panic!("the server has stopped"),
        };
        assert!(error.is_unavailable(), "{}", error.for_log());
    }
    let after = bed.database.stats();
    assert_eq!((after.retries, after.retries_refused), (open.retries, open.retries_refused));
    // A server that is there and does not answer: the probe hangs, the others fail at once.
    server.start_again().await;
    server.signal("-STOP").await;
    let hanging = bed.session("a");
    let probe = async {
        loop {
            if let Ok(result) = hanging.query(sql(COUNT), 1).await {
                return result;
            }
        }
    };
    let others = async {
        until(&bed, BreakerState::HalfOpen).await;
        let error = bed.session("b").query(sql(COUNT), 1).await.unwrap_err();
        assert!(error.for_log().contains("not tried"), "{}", error.for_log());
        assert_eq!(bed.database.stats().breaker, BreakerState::HalfOpen, "the second call is no probe");
        server.signal("-CONT").await;
        until(&bed, BreakerState::Closed).await;
    };
    let (result, ()) = tokio::join!(probe, others);
    assert_eq!(result.row_count, 1);
    assert_eq!(bed.session("b").query(sql(COUNT), 1).await.unwrap().row_count, 1);
    assert_eq!(bed.database.stats().breaker_opened, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_hangs_is_one_that_is_gone() {
    let server = Server::start().await;
    let bed = Bed::at(
        |user, database| server.url(user, database),
        |config| {
            config.acquire_timeout_ms = 1_500;
            config.breaker_failures_max = 1;
            config.breaker_open_ms = 100;
        },
    )
    .await;
    // A connection is open, and lies idle.
    bed.session("a").query(sql(COUNT), 1).await.unwrap();
    assert_eq!(bed.database.stats().breaker, BreakerState::Closed);
    let frozen = Frozen::new(server.postmaster(), &bed.admin_url).await;
    let error = bed.session("a").query(sql(COUNT), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Outage(_)), "{}", error.for_log());
    let stats = bed.database.stats();
    assert_eq!((stats.breaker_opened, stats.retries), (1, 0), "{stats:?}");
    drop(frozen);
    let well = async { while bed.session("b").query(sql(COUNT), 1).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), well).await.expect("well again");
    assert_eq!(bed.database.stats().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_whose_port_refuses_is_waited_for_once() {
    // An address for each process of this machine's, so that the customary port is free.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.77.{high}.{low}");
    let mut server = Server::start_at(&address).await;
    let url = |user: &str, database: &str| format!("postgres://{user}@{address}/{database}");
    let hasty = Bed::at(url, |config| {
        config.acquire_timeout_ms = 1_500;
        config.connections_max = 1;
    })
    .await;
    let bed = Arc::new(
        Bed::at(url, |config| {
            // The bed has fewer than there are by default.
            config.connections_max = 10;
            config.connections_min = 2;
        })
        .await,
    );
    let load = Load::start(&bed, Asks::ForCounts, |answer| answer.count == 100);
    let row = load.row("the server is stopped and started, over TCP, with default settings", &["SERVER_BUSY"], async {
        let session = hasty.session("a");
        let stopped = async {
            until_active_is(&hasty, 1).await;
            server.stop().await;
        };
        let (outcome, ()) = tokio::join!(session.query(sql(SLOW), 1), stopped);
        // It lost its connection, was run again, and asked for another, in the seat of the lost one: of a server that
        // was gone, or was just going and hung up.
        let error = outcome.unwrap_err();
        assert!(error.is_unavailable(), "{}", error.for_log());
        assert_eq!(hasty.database.stats().retries, 1);
        // Longer than callers wait for a connection.
        tokio::time::sleep(LASTS + Duration::from_millis(bed.config.acquire_timeout_ms)).await;
        server.start_again().await;
    });
    row.await;
    load.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_statement_whose_connection_is_lost_is_run_again_within_the_budget() {
    for (percent, attempts_max, expected) in [(10, 3, Some(1)), (0, 3, None), (10, 1, None)] {
        let bed = Bed::with(|config| {
            config.retry_budget_percent = percent;
            config.attempts_max = attempts_max;
        })
        .await;
        let session = bed.session("a");
        let query = session.query_all(vec![sql("SELECT id FROM app.notes"), sql(SLOW)], 1_000);
        let kill = async {
            until_active_is(&bed, 1).await;
            while terminate(&bed, "active").await == 0 {}
        };
        let (outcome, ()) = tokio::join!(query, kill);
        let stats = bed.database.stats();
        match (outcome, expected) {
            (Ok(results), Some(retries)) => {
                assert_eq!((results[0].row_count, results[0].truncated, stats.retries), (100, false, retries));
                // What the lost attempt had read is not counted.
                assert_eq!(session.usage().rows, 101);
            }
            (Err(DbError::Unavailable(_)), None) => assert_eq!(stats.retries, 0),
            (outcome, _) => panic!("{outcome:?} {stats:?}"),
        }
        assert_eq!((stats.breaker, stats.breaker_opened), (BreakerState::Closed, 0), "one lost statement is no outage");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_cursor_that_has_given_rows_is_not_run_again() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await.unwrap();
    assert_eq!(cursor.fetch(10).await.unwrap().row_count, 10);
    assert_eq!(terminate(&bed, "idle in transaction").await, 1);
    let error = cursor.fetch(10).await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    assert!(matches!(cursor.fetch(10).await, Err(DbError::Rejected { code: "CURSOR_CLOSED", .. })));
    assert_eq!(bed.database.stats().retries, 0);
    assert_eq!(session.query(sql(COUNT), 1).await.unwrap().row_count, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_cursor_does_not_outlive_its_server() {
    let mut server = Server::start().await;
    let bed = Bed::at(|user, database| server.url(user, database), |_| {}).await;
    let session = bed.session("a");
    let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await.unwrap();
    assert_eq!(cursor.fetch(10).await.unwrap().row_count, 10);
    server.stop().await;
    server.start_again().await;
    let error = cursor.fetch(10).await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    assert!(matches!(cursor.fetch(10).await, Err(DbError::Rejected { code: "CURSOR_CLOSED", .. })));
    let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await.unwrap();
    assert_eq!(cursor.fetch(1_000).await.unwrap().row_count, 100);
    drop(cursor);

    let bed = Arc::new(bed);
    let load = Load::start(&bed, Asks::ThroughCursors, |answer| answer.count == 100);
    let row = load.row("the server is restarted while cursors are open", &["SERVER_BUSY"], async {
        server.stop().await;
        server.start_again().await;
    });
    row.await;
    load.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_connection_that_is_lost_before_a_row_came_costs_an_attempt() {
    // What describes a statement joins it to nothing.
    const DESCRIPTION: &[u8] = b"LEFT JOIN (";
    // Whoever connects asks first whether the server speaks TLS (PostgreSQL, "SSL Session Encryption").
    const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    // What says for whom a transaction is.
    const CONTEXT: &[u8] = b"SET LOCAL ROLE";
    let words = [DESCRIPTION, SSL_REQUEST, CONTEXT];
    for (words, attempts_max) in words.into_iter().flat_map(|words| [(words, 3), (words, 1)]) {
        let folder = tempfile::tempdir().unwrap();
        let cut = Arc::new(AtomicBool::new(true));
        let (socket, to) = (folder.path().join(".s.PGSQL.5432"), crate::bed::url("", ""));
        let to = PathBuf::from(to.rsplit_once("host=").unwrap().1.replace("%2F", "/")).join(".s.PGSQL.5432");
        let socket = UnixListener::bind(socket).unwrap();
        let cutting = tokio::spawn(cut_once(socket, to, words, Arc::clone(&cut)));
        let bed = Bed::with(|config| {
            let url = config.url.as_ref().unwrap().expose();
            let host = folder.path().display().to_string().replace('/', "%2F");
            config.url = Some(Secret::new(format!("{}host={host}", url.rsplit_once("host=").unwrap().0)));
            config.attempts_max = attempts_max;
        })
        .await;
        cut.store(false, Ordering::Relaxed);
        let outcome = bed.session("a").query(sql("SELECT id, body FROM app.notes WHERE id < 0"), 10).await;
        assert!(cut.load(Ordering::Relaxed), "the connection was not cut");
        match (attempts_max, outcome) {
            (1, Err(DbError::Unavailable(_))) => assert_eq!(bed.database.stats().retries, 0),
            (3, Ok(found)) => {
                assert_eq!((found.row_count, found.columns.len(), bed.database.stats().retries), (0, 2, 1));
            }
            (_, outcome) => panic!("{words:?}, {attempts_max}: {outcome:?}"),
        }
        cutting.abort();
    }
}

/// Passes connections on, and cuts the first that carries `words` to the server once `cut` is false.
async fn cut_once(socket: UnixListener, to: PathBuf, words: &'static [u8], cut: Arc<AtomicBool>) {
    loop {
        let (client, _) = socket.accept().await.unwrap();
        let server = UnixStream::connect(&to).await.unwrap();
        let cut = Arc::clone(&cut);
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                let carries = buffer[..length].windows(words.len()).any(|window| window == words);
                if carries && !cut.swap(true, Ordering::Relaxed) {
                    break;
                }
                if to_server.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
            back.abort();
        });
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_without_a_free_connection_is_unavailable_until_it_has_one() {
    let bed = Bed::with(|config| {
        config.acquire_timeout_ms = 1_000;
        config.connections_per_tenant_max = Some(1);
    })
    .await;
    let limit = |number: i32| {
        let statement = format!("ALTER DATABASE {} CONNECTION LIMIT {number}", bed.name);
        async { sqlx::raw_sql(AssertSqlSafe(statement)).execute(&bed.admin).await.unwrap() }
    };
    limit(0).await;
    terminate(&bed, "idle").await;
    // One has its tenant's seat, one gets it when the first gives up, and one waits for it in vain.
    let sessions: Vec<_> = (0..3).map(|_| bed.session("a")).collect();
    for outcome in futures::future::join_all(sessions.iter().map(|session| session.query(sql(COUNT), 1))).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, DbError::Outage(_)), "{error:?}");
    }
    assert_eq!(bed.database.stats().retries, 0, "its time to connect is one, however often it may be tried");
    limit(-1).await;
    assert_eq!(bed.session("a").query(sql(COUNT), 1).await.unwrap().row_count, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn where_the_server_gives_no_more_connections_the_open_ones_serve_all() {
    let bed = Bed::with(|config| {
        config.connections_max = 8;
        config.breaker_failures_max = 1;
    })
    .await;
    // One is open, and there will be no second.
    bed.session("a").query(sql(COUNT), 1).await.unwrap();
    let statement = format!("ALTER DATABASE {} CONNECTION LIMIT 0", bed.name);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&bed.admin).await.unwrap();
    let sessions: Vec<_> = (0..16).map(|_| bed.session("a")).collect();
    let asked = futures::future::join_all(sessions.iter().map(|session| session.query(sql(COUNT), 1))).await;
    for outcome in asked {
        assert_eq!(outcome.unwrap_or_else(|error| panic!("{}", error.for_log())).row_count, 1);
    }
    let stats = bed.database.stats();
    assert_eq!((stats.connections, stats.breaker_opened), (1, 0), "{stats:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and libfaketime: cargo xtask test"]
async fn clocks_that_differ_by_a_minute_change_nothing() {
    let library = std::env::var_os("STOCKADE_FAKETIME_LIB")
        .expect("STOCKADE_FAKETIME_LIB is not set: run `cargo xtask test`, or take it from `cargo xtask servers`");
    for by in ["+60s", "-60s"] {
        let server = Server::start_ahead(&library, by).await;
        let bed = Bed::at(|user, database| server.url(user, database), |_| {}).await;
        let theirs: f64 = sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8")
            .fetch_one(&bed.admin)
            .await
            .unwrap();
        let ours = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((55.0..65.0).contains(&(theirs - ours).abs()), "{by}: the clocks differ by {} s", theirs - ours);
        for (tenant, first) in [("a", 1), ("b", 101)] {
            let session = bed.session(tenant);
            let seen = session.query(sql("SELECT count(*), min(id) FROM app.notes"), 1).await.unwrap();
            assert_eq!(seen.columns[0].values, ColumnValues::Integers(vec![100]));
            assert_eq!(seen.columns[1].values, ColumnValues::Integers(vec![first]));
            let mut cursor = session.open(sql("SELECT id FROM app.notes")).await.unwrap();
            assert_eq!(cursor.fetch(1_000).await.unwrap().row_count, 100);
        }
        let limits = |limits: &mut stockade_db::SessionLimits| {
            limits.deadline = tokio::time::Instant::now() + Duration::from_millis(300);
        };
        let error = bed.session_with("a", limits).query(sql(crate::cancel::ENDLESS), 1).await.unwrap_err();
        assert!(matches!(error, DbError::Timeout { .. }), "{error:?}");
        until_active_is(&bed, 0).await;
        let bed = Arc::new(bed);
        let load = Load::start(&bed, Asks::ForCounts, |answer| answer.count == 100);
        load.row(&format!("the server's clock differs by {by}"), &[], tokio::time::sleep(LASTS)).await;
        load.stop().await;
    }
}
