//! Redis behind the memory: shared between hosts, and never the reason why a call fails.
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stockade_db::{CacheConfig, Database, RedisConfig, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{TTL_S, change, config, number, stats, until};
use crate::bed::{Bed, identity, sql_with};

const COUNT_TO: &str = "SELECT count(*) FROM app.notes WHERE id <= $1";

/// A server of its own, on a socket in a folder of its own.
struct Redis {
    folder: tempfile::TempDir,
    server: Child,
}

impl Redis {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self::serve(folder.path());
        Self { folder, server }
    }

    fn serve(folder: &Path) -> Child {
        let program =
            std::env::var_os("STOCKADE_REDIS_BIN").expect("STOCKADE_REDIS_BIN is not set: run `cargo xtask test`");
        let mut command = Command::new(program);
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"]).arg(folder);
        command.arg("--unixsocket").arg(folder.join("redis.sock"));
        command.stdout(Stdio::null()).spawn().unwrap()
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("redis.sock").display())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.server.id().to_string()]).status().unwrap().success());
    }

    async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// All names and values that are there.
    async fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let mut connection = self.connection().await;
        let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut entries = Vec::new();
        for name in names {
            let value = redis::cmd("GET").arg(&name).query_async(&mut connection).await.unwrap();
            entries.push((name, value));
        }
        entries
    }

    async fn set(&self, name: &str, value: &[u8]) {
        let mut connection = self.connection().await;
        redis::cmd("SET").arg(name).arg(value).query_async::<()>(&mut connection).await.unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

async fn bed(url: &str) -> (Bed, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url_file = folder.path().join("url");
    std::fs::write(&url_file, format!("{url}\n")).unwrap();
    let bed = Bed::with(|bed| {
        bed.cache = Some(CacheConfig { redis: Some(tier(url_file)), ..config() });
        bed.connections_max = 4;
    })
    .await;
    change(&bed, "SELECT stockade.watch('app.notes')").await;
    (bed, folder)
}

fn tier(url_file: PathBuf) -> RedisConfig {
    RedisConfig { url_file, prefix: "test".to_owned(), timeout_ms: 100, value_bytes_max: 10_000 }
}

/// Another host of the same database.
async fn another(bed: &Bed) -> Database {
    let other = Database::connect(&bed.config).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    until(&other, |now| now.hearing && now.tier_connected).await;
    other
}

async fn count_to(database: &Database, tenant: &str, id: i64) -> i64 {
    let limits = super::tenants::limits();
    let statement = sql_with(COUNT_TO, vec![Value::Integer(id)]);
    let answer = database.session(identity(tenant), limits).query_cached(statement, 10, TTL_S).await;
    number(&answer.unwrap_or_else(|error| panic!("{}", error.for_log())))
}

/// Asks until a result is kept in Redis: the definitions have to be heard of first.
async fn until_shared(bed: &Bed) {
    until(&bed.database, |now| now.hearing && now.tier_connected).await;
    let mut id = 1_000;
    while stats(&bed.database).tier_stores == 0 {
        count_to(&bed.database, "b", id).await;
        id += 1;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: cargo xtask test"]
async fn hosts_share_what_is_kept_and_believe_only_what_they_sealed() {
    let redis = Redis::start();
    let (bed, _folder) = bed(&redis.url()).await;
    until_shared(&bed).await;
    let stores = stats(&bed.database).tier_stores;
    for id in [10, 20, 30] {
        assert_eq!(count_to(&bed.database, "a", id).await, id);
    }
    until(&bed.database, |now| now.tier_stores == stores + 3).await;
    let other = another(&bed).await;
    assert_eq!(count_to(&other, "a", 10).await, 10);
    let now = stats(&other);
    assert_eq!((now.tier_hits, now.misses), (1, 0), "another host's result");
    assert_eq!(count_to(&other, "b", 10).await, 0, "another tenant's is another's");
    assert_eq!((stats(&other).tier_hits, stats(&other).misses), (1, 1));

    // Somebody who can write there: a bit of each value flipped, or a value under another's name.
    let entries = redis.entries().await;
    assert!(
        entries.iter().all(|(name, value)| name.starts_with("test:query:") && !value.windows(5).any(|w| w == b"count"))
    );
    for (name, value) in &entries {
        let mut flipped = value.clone();
        *flipped.last_mut().unwrap() ^= 1;
        redis.set(name, &flipped).await;
    }
    let third = another(&bed).await;
    assert_eq!((count_to(&third, "a", 20).await, stats(&third).tier_refusals), (20, 1));
    until(&third, |now| now.tier_stores == 1).await;
    let mine = &entries[0].1;
    for (name, _) in &entries {
        redis.set(name, mine).await;
    }
    let fourth = another(&bed).await;
    for id in [10, 20, 30] {
        assert_eq!(count_to(&fourth, "a", id).await, id);
    }
    assert!(stats(&fourth).tier_refusals >= 2, "{:?}", stats(&fourth));
    // A change is a change for all hosts, and ends what lies in Redis too.
    change(&bed, "DELETE FROM app.notes WHERE id = 1").await;
    while count_to(&fourth, "a", 30).await != 29 {}
    let fifth = another(&bed).await;
    assert_eq!(count_to(&fifth, "a", 20).await, 19);
    for host in [other, third, fourth, fifth] {
        host.close().await;
    }
}

/// What callers saw while something was wrong: a row for the table in `host/README.md`.
struct Seen {
    fault: &'static str,
    calls: usize,
    slowest: Duration,
}

impl Seen {
    fn print(&self, well_again: &str) {
        let Self { fault, calls, slowest } = self;
        writeln!(
            std::io::stderr(),
            "| Redis: {fault} | {calls} calls, all answered, none wrong | slowest {} ms | {well_again} |",
            slowest.as_millis()
        )
        .expect("standard error");
    }
}

/// Thirty-two clients, three questions each, that nobody has asked before.
async fn storm(bed: &Bed, fault: &'static str, first: i64) -> Seen {
    let mut clients = JoinSet::new();
    for client in 0..32 {
        let database = bed.database.clone();
        clients.spawn(async move {
            let mut slowest = Duration::ZERO;
            for turn in 0..3 {
                let id = first + client * 3 + turn;
                let began = Instant::now();
                assert_eq!(count_to(&database, "a", id).await, id.min(100));
                slowest = slowest.max(began.elapsed());
            }
            slowest
        });
    }
    let slowest = clients.join_all().await;
    Seen { fault, calls: slowest.len() * 3, slowest: slowest.into_iter().max().unwrap() }
}

async fn until_well(bed: &Bed, began: Instant) -> String {
    until(&bed.database, |now| now.tier_connected).await;
    format!("well again after {} ms", began.elapsed().as_millis())
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: cargo xtask test"]
async fn a_redis_that_is_stopped_slow_or_full_costs_time_and_no_call() {
    let mut redis = Redis::start();
    let (bed, _folder) = bed(&redis.url()).await;
    until_shared(&bed).await;
    storm(&bed, "well", 10_000).await.print("–");

    redis.signal("-STOP");
    storm(&bed, "slow (SIGSTOP)", 20_000).await.print("nobody waits from the first time-out on");
    assert!(!stats(&bed.database).tier_connected);
    let asked = stats(&bed.database).tier_errors;
    storm(&bed, "slow, a second time", 30_000).await.print("nobody asks it");
    assert_eq!(stats(&bed.database).tier_errors, asked, "while it does not answer nobody waits for it");
    redis.signal("-CONT");
    let began = Instant::now();
    let well = until_well(&bed, began).await;
    storm(&bed, "slow, then well", 40_000).await.print(&well);

    redis.server.kill().unwrap();
    redis.server.wait().unwrap();
    storm(&bed, "stopped (SIGKILL)", 50_000).await.print("–");
    until(&bed.database, |now| !now.tier_connected).await;
    let began = Instant::now();
    redis.server = Redis::serve(redis.folder.path());
    let well = until_well(&bed, began).await;
    let stores = stats(&bed.database).tier_stores;
    storm(&bed, "stopped, started again", 60_000).await.print(&well);
    until(&bed.database, |now| now.tier_stores > stores).await;

    let mut connection = redis.connection().await;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query_async::<()>(&mut connection).await.unwrap();
    let before = stats(&bed.database);
    storm(&bed, "full", 70_000).await.print("–");
    until(&bed.database, |now| now.tier_errors > before.tier_errors).await;
    assert!(stats(&bed.database).tier_connected, "what is full still answers");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_redis_that_talks_nonsense_is_not_believed() {
    let answers: [(&str, &[u8]); 5] = [
        ("answers as a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("answers OK to everything", b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n"),
        ("answers PONG to everything", b"+PONG\r\n"),
        (
            "sends a value without end",
            b"$1000000000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ),
        ("hangs up", b""),
    ];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (bed, _folder) = bed(&format!("redis://{}", listener.local_addr().unwrap())).await;
    let (choose, chosen) = tokio::sync::watch::channel(answers[0].1);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let chosen = chosen.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    let answer: &[u8] = *chosen.borrow();
                    if answer.is_empty() || socket.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    until(&bed.database, |now| now.hearing).await;
    for (turn, (fault, answer)) in answers.into_iter().enumerate() {
        choose.send_replace(answer);
        let first = 100_000 * (turn as i64 + 1);
        storm(&bed, fault, first).await.print("–");
        storm(&bed, fault, first + 10_000).await.print("–");
        assert_eq!(stats(&bed.database).tier_hits, 0);
    }
}
