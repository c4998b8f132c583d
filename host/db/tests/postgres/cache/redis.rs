//! Redis behind the memory: shared between hosts, and never the reason why a call fails.
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stockade_db::{CacheConfig, Database, RedisConfig, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{TTL_S, change, config, number, stats, until};
use crate::bed::{Bed, identity, sql_with};
use crate::fault_table::FaultTable;

const TABLE: FaultTable = FaultTable {
    after: "**Redis**",
    columns: &["Redis", "callers saw", "slowest", "well again after"],
    rows: &[
        "well",
        "slow (SIGSTOP)",
        "stopped (SIGKILL)",
        "full",
        "answers as a web server",
        "answers OK to everything",
        "answers PONG to everything",
        "sends a value without end",
        "hangs up",
    ],
};

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

/// Of hosts that wait for Redis for so many milliseconds.
async fn bed(url: &str, timeout_ms: u64) -> (Bed, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url_file = folder.path().join("url");
    std::fs::write(&url_file, format!("{url}\n")).unwrap();
    let bed = Bed::with(|bed| {
        bed.cache = Some(CacheConfig { redis: Some(tier(url_file, timeout_ms)), ..config() });
        bed.connections_max = 4;
    })
    .await;
    change(&bed, "SELECT stockade.watch('app.notes')").await;
    (bed, folder)
}

fn tier(url_file: PathBuf, timeout_ms: u64) -> RedisConfig {
    RedisConfig { url_file, prefix: "test".to_owned(), timeout_ms, value_bytes_max: 10_000 }
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
    let (bed, _folder) = bed(&redis.url(), 5_000).await;
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
#[derive(Default)]
struct Seen {
    calls: usize,
    slowest: Duration,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self { calls: self.calls + other.calls, slowest: self.slowest.max(other.slowest) }
    }

    fn print(&self, fault: &str, well_again: Option<Duration>) {
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let callers = format!("{} calls, all answered, none wrong", self.calls);
        TABLE.print(fault, &[&callers, &ms(self.slowest), &well_again.map_or("–".to_owned(), ms)]);
    }
}

/// Thirty-two clients, three questions each, that nobody has asked before.
async fn storm(bed: &Bed, first: i64) -> Seen {
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
    Seen { calls: slowest.len() * 3, slowest: slowest.into_iter().max().unwrap() }
}

/// How long it takes until a result is kept in Redis again: of questions from `first` on that nobody has asked.
async fn well_again(bed: &Bed, first: i64) -> Duration {
    let (began, stores) = (Instant::now(), stats(&bed.database).tier_stores);
    let asking = async {
        let mut id = first;
        while stats(&bed.database).tier_stores == stores {
            count_to(&bed.database, "a", id).await;
            id += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("well again");
    began.elapsed()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: cargo xtask test"]
async fn a_redis_that_is_stopped_slow_or_full_costs_time_and_no_call() {
    let mut redis = Redis::start();
    let (bed, _folder) = bed(&redis.url(), 100).await;
    until_shared(&bed).await;
    storm(&bed, 10_000).await.print("well", None);

    redis.signal("-STOP");
    let first = storm(&bed, 20_000).await;
    assert!(!stats(&bed.database).tier_connected);
    let asked = stats(&bed.database).tier_errors;
    let seen = first.and(storm(&bed, 30_000).await);
    assert_eq!(stats(&bed.database).tier_errors, asked, "while it does not answer nobody waits for it");
    redis.signal("-CONT");
    seen.print("slow (SIGSTOP)", Some(well_again(&bed, 40_000).await));

    redis.server.kill().unwrap();
    redis.server.wait().unwrap();
    let seen = storm(&bed, 50_000).await;
    until(&bed.database, |now| !now.tier_connected).await;
    redis.server = Redis::serve(redis.folder.path());
    seen.print("stopped (SIGKILL)", Some(well_again(&bed, 60_000).await));

    let mut connection = redis.connection().await;
    let mut limit = async |bytes: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes).query_async::<()>(&mut connection).await.unwrap();
    };
    limit("1").await;
    let before = stats(&bed.database);
    let seen = storm(&bed, 70_000).await;
    until(&bed.database, |now| now.tier_errors > before.tier_errors).await;
    assert!(stats(&bed.database).tier_connected, "what is full still answers");
    limit("0").await;
    seen.print("full", Some(well_again(&bed, 80_000).await));
}

/// What is at Redis' address.
#[derive(Clone)]
enum There {
    /// The server with this socket.
    Redis(PathBuf),
    /// Whatever it is asked, it says this; nothing: it hangs up.
    Says(&'static [u8]),
}

/// Answers there. What is there ends its connections when something else takes its place.
async fn answer(listener: tokio::net::TcpListener, there: tokio::sync::watch::Receiver<There>) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let mut there = there.clone();
        tokio::spawn(async move {
            let now = there.borrow_and_update().clone();
            let serving = async {
                match now {
                    There::Redis(path) => {
                        let mut redis = tokio::net::UnixStream::connect(path).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut socket, &mut redis).await;
                    }
                    There::Says(words) => {
                        let mut buffer = [0; 4_096];
                        while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                            if words.is_empty() || socket.write_all(words).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            };
            tokio::select! {
                () = serving => {}
                _ = there.changed() => {}
            }
        });
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: cargo xtask test"]
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
    let redis = Redis::start();
    let socket = redis.folder.path().join("redis.sock");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (put, there) = tokio::sync::watch::channel(There::Redis(socket.clone()));
    tokio::spawn(answer(listener, there));
    let (bed, _folder) = bed(&url, 100).await;
    until_shared(&bed).await;
    for (turn, (fault, words)) in answers.into_iter().enumerate() {
        put.send_replace(There::Says(words));
        let first = 100_000 * (turn as i64 + 1);
        let seen = storm(&bed, first).await.and(storm(&bed, first + 10_000).await);
        assert_eq!(stats(&bed.database).tier_hits, 0);
        put.send_replace(There::Redis(socket.clone()));
        seen.print(fault, Some(well_again(&bed, first + 20_000).await));
    }
}

#[test]
fn the_page_has_the_rows_of_redis() {
    TABLE.is_in(crate::FAULTS_PAGE);
}
