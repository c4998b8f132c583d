//! The cache of queries, Redis behind it and the replicas, as metrics show them.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use stockade_tests::{Replicated, TestApp, TestAppBuilder};

use super::read;

/// A server of its own, on a socket in a folder of its own.
pub(super) struct Redis {
    folder: tempfile::TempDir,
    server: Child,
}

impl Redis {
    pub(super) fn start() -> Self {
        let program =
            std::env::var_os("STOCKADE_REDIS_BIN").expect("STOCKADE_REDIS_BIN is not set: run `cargo xtask test`");
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new(program);
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        let server = command.arg("--unixsocket").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        std::fs::write(url_file(folder.path()), format!("redis+unix://{}", socket.display())).unwrap();
        Self { folder, server }
    }

    /// A server whose cache has it behind, and room for few results before it.
    pub(super) fn behind(&self, builder: TestAppBuilder) -> TestAppBuilder {
        let url_file = url_file(self.folder.path());
        let redis = format!("[cache.redis]\nurl_file = '{}'\ntimeout_ms = 1000", url_file.display());
        builder.plugins(&["top-products"]).sections(&format!("[cache]\nbytes_max = 2000\n{redis}"))
    }

    fn stop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn url_file(folder: &Path) -> PathBuf {
    folder.join("url")
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The value of a series, or nothing.
async fn seen(app: &TestApp, series: &str) -> Option<f64> {
    let text = read(app).await;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

async fn answers(app: &TestApp, source: &str) -> f64 {
    let series = format!("stockade_cache_answers_total{{stockade_cache_source=\"{source}\"}}");
    seen(app, &series).await.unwrap()
}

async fn until(app: &TestApp, series: &str, such: impl Fn(f64) -> bool) {
    let waiting = async {
        while !seen(app, series).await.is_some_and(&such) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    in_time.expect(series);
}

/// A question that is kept, whatever comes of the call: there are no sales.
async fn ask(app: &TestApp, caller: &str) {
    app.client(caller).call("top_products", json!({})).await;
}

const REPLICA: &str = "{stockade_replica=\"1\"}";

/// All of it is there, and known to be.
pub(super) async fn are_seen(app: &TestApp) {
    until(app, "stockade_cache_hearing", |hearing| hearing == 1.0).await;
    until(app, "stockade_cache_redis_connected", |connected| connected == 1.0).await;
    until(app, &format!("stockade_db_replica_used{REPLICA}"), |used| used == 1.0).await;
    assert!(seen(app, &format!("stockade_db_replica_lag_seconds{REPLICA}")).await.unwrap() < 10.0);
}

/// What each source of answers, and the replica, gave shows in its own series.
pub(super) async fn are_seen_at_work(app: &TestApp) {
    // The definitions have to be heard of first.
    while answers(app, "memory").await == 0.0 {
        ask(app, "head-office").await;
    }
    let before = (answers(app, "memory").await, answers(app, "database").await);
    assert!(before.1 >= 1.0);
    for _ in 0..3 {
        ask(app, "head-office").await;
    }
    assert!(answers(app, "memory").await >= before.0 + 3.0);
    assert_eq!(answers(app, "database").await, before.1);
    until(app, "stockade_cache_held_bytes", |bytes| (1.0..=2_000.0).contains(&bytes)).await;
    until(app, "stockade_cache_results", |results| results >= 1.0).await;
    until(app, "stockade_cache_redis_stores_total", |stores| stores >= 1.0).await;
    assert!(seen(app, "stockade_cache_redis_misses_total").await.unwrap() >= 1.0);
    assert!(seen(app, "stockade_cache_redis_commands_total").await.unwrap() >= 2.0);
    assert!(seen(app, "stockade_cache_redis_time_seconds_total").await.unwrap() > 0.0);

    // One asks, and the others wait for it.
    let mut admin = app.database.admin().await;
    let lock = "BEGIN; LOCK TABLE retail.stores, retail.orders, retail.products IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut admin).await.unwrap();
    let asking = join_all((0..6).map(|_| ask(app, "seattle-store")));
    let waiting = async {
        let shared = "stockade_cache_answers_total{stockade_cache_source=\"shared\"}";
        until(app, shared, |shared| shared >= 1.0).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut admin).await.unwrap();
    };
    tokio::join!(asking, waiting);

    // Memory has room for few; who comes back finds theirs in Redis.
    let callers = zava_retail::demo_callers();
    while seen(app, "stockade_cache_evictions_total").await.unwrap() == 0.0 || answers(app, "redis").await == 0.0 {
        for caller in &callers {
            ask(app, caller.key).await;
        }
    }

    let acquires = format!("stockade_db_replica_acquires_total{REPLICA}");
    let before = seen(app, &acquires).await.unwrap();
    while seen(app, &acquires).await.unwrap() == before {
        let query = json!({ "query": "SELECT 1 AS one" });
        app.client("head-office").call("execute_sales_query", query).await.structured();
    }
    assert!(seen(app, &format!("stockade_db_replica_connections{REPLICA}")).await.unwrap() >= 1.0);
}

/// Redis goes, and the replica falls behind, and then goes too.
pub(super) async fn are_seen_in_trouble(app: &TestApp, redis: &mut Redis, servers: &mut Replicated) {
    redis.stop();
    until(app, "stockade_cache_redis_connected", |connected| connected == 0.0).await;
    assert!(seen(app, "stockade_cache_redis_errors_total").await.unwrap() >= 1.0);

    let (used, lag) =
        (format!("stockade_db_replica_used{REPLICA}"), format!("stockade_db_replica_lag_seconds{REPLICA}"));
    servers.administer_standby("SELECT pg_wal_replay_pause()").await;
    let write = "SELECT pg_logical_emit_message(false, 'test', 'a record')";
    sqlx::raw_sql(write).execute(&mut app.database.admin().await).await.unwrap();
    until(app, &lag, |lag_s| lag_s >= 1.0).await;
    until(app, &used, |used| used == 0.0).await;
    servers.administer_standby("SELECT pg_wal_replay_resume()").await;
    until(app, &used, |used| used == 1.0).await;
    servers.kill_standby().await;
    until(app, &used, |used| used == 0.0).await;
    until(app, &lag, |lag_s| lag_s >= 2.0).await;
}
