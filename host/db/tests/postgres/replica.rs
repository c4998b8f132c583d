//! A streaming standby: reads go there while it is close behind, and see what their caller may see.
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use stockade_db::{ColumnValues, ReplicaStats, Secret};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::bed::{Bed, sql};
use crate::faults::rows::{Answer, Asks, Load};
use crate::faults::{Frozen, LASTS, Server, bin_dir};

/// A standby that keeps up is always far below it, on a busy machine too.
const LAG_MS_MAX: u64 = 3_000;
const COUNT: &str = "SELECT count(*), min(id) FROM app.notes";

/// A copy of a server that follows it.
struct Standby {
    folder: tempfile::TempDir,
    /// The folder of the primary's socket.
    primary: PathBuf,
    /// None while it is stopped.
    process: Option<Child>,
}

impl Standby {
    async fn of(primary: &Server) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("stockade-standby-")
            .permissions(PermissionsExt::from_mode(0o755))
            .tempdir_in("/var/tmp")
            .unwrap();
        let mut standby = Self { folder, primary: primary.sockets(), process: None };
        standby.copy().await;
        standby
    }

    /// Begins anew, as a copy of what the primary's address leads to.
    async fn copy(&mut self) {
        self.kill().await;
        let data = self.folder.path().join("data");
        let _ = std::fs::remove_dir_all(&data);
        let mut copy = self.program("pg_basebackup");
        copy.args(["-c", "fast", "-R", "-U", "postgres", "-h"]).arg(&self.primary).arg("-D").arg(&data);
        assert!(copy.status().await.unwrap().success(), "pg_basebackup failed");
        self.start(&[]).await;
    }

    /// Starts it, in its own folder and at further addresses.
    async fn start(&mut self, more: &[&Path]) {
        let addresses: Vec<_> =
            [self.folder.path()].iter().chain(more).map(|path| path.display().to_string()).collect();
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.folder.path().join("data")).args(["-c", "listen_addresses=", "-c"]);
        postgres.arg(format!("unix_socket_directories={}", addresses.join(",")));
        self.process = Some(postgres.kill_on_drop(true).spawn().unwrap());
        let url = self.url("postgres", "postgres");
        let answers = async {
            while PgConnection::connect(&url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), answers).await.expect("the standby does not answer");
    }

    async fn freeze(&self) -> Frozen {
        let postmaster = self.process.as_ref().and_then(Child::id).unwrap().to_string();
        Frozen::new(postmaster, &self.url("postgres", "postgres")).await
    }

    async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // At once, its processes with it: who starts it again need not wait for one that is left.
            let sent = Command::new("kill").args(["-QUIT", &process.id().unwrap().to_string()]).status().await;
            assert!(sent.unwrap().success());
            process.wait().await.unwrap();
        }
    }

    /// It runs as the primary's user, as root PostgreSQL refuses.
    fn program(&self, name: &str) -> Command {
        let owner = std::fs::metadata(&self.primary).unwrap();
        chown(self.folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut command = Command::new(bin_dir().join(name));
        command.current_dir("/").uid(owner.uid()).gid(owner.gid()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn url(&self, user: &str, database: &str) -> String {
        let socket = |folder: &Path| folder.display().to_string().replace('/', "%2F");
        format!("postgres://{user}@localhost/{database}?host={}", socket(self.folder.path()))
    }

    async fn administer(&self, sql: &'static str) {
        let mut connection = PgConnection::connect(&self.url("postgres", "postgres")).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

/// A host of `primary` that reads from `standbys`, and its callers' database.
async fn host(primary: &Server, standbys: &[&Standby]) -> Arc<Bed> {
    let bed = Bed::at(
        |user, database| primary.url(user, database),
        |config| {
            let database =
                config.url.as_ref().unwrap().expose().rsplit_once('?').unwrap().0.rsplit('/').next().unwrap();
            let url = |standby: &&Standby| Secret::new(standby.url("test_login", database));
            config.replicas = standbys.iter().map(url).collect();
            config.replica_lag_ms_max = LAG_MS_MAX;
            config.breaker_open_ms = 100;
        },
    )
    .await;
    until_all(&bed, "replicas in use", |replicas| replicas.iter().all(|replica| replica.used)).await;
    Arc::new(bed)
}

async fn until(bed: &Bed, what: &str, holds: impl Fn(&ReplicaStats) -> bool) {
    until_all(bed, what, |replicas| holds(&replicas[0])).await;
}

async fn until_all(bed: &Bed, what: &str, mut holds: impl FnMut(&[ReplicaStats]) -> bool) {
    let waiting = async {
        while !holds(&bed.database.stats().replicas) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    in_time.unwrap_or_else(|_| panic!("expected {what}: {:?}", bed.database.stats()));
}

async fn count(bed: &Bed, tenant: &str) -> (i64, i64) {
    let found = bed.session(tenant).query(sql(COUNT), 1).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    let one = |at: usize| match &found.columns[at].values {
        ColumnValues::Integers(values) => values[0],
        other => panic!("{other:?}"),
    };
    (one(0), one(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn reads_go_to_a_replica_while_it_is_close_behind() {
    let primary = Server::start().await;
    let mut standby = Standby::of(&primary).await;
    let bed = host(&primary, &[&standby]).await;
    let acquires = |bed: &Bed| (bed.database.stats().acquires, bed.database.stats().replicas[0].acquires);
    let before = acquires(&bed);
    assert_eq!((count(&bed, "a").await, count(&bed, "b").await), ((100, 1), (100, 101)));
    let session = bed.session("b");
    let all = session.query_all(vec![sql(COUNT), sql(COUNT)], 1).await.unwrap();
    assert_eq!(all[0], all[1]);
    let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await.unwrap();
    assert_eq!(cursor.fetch(7).await.unwrap().columns[0].values, ColumnValues::Integers((101..108).collect()));
    drop(cursor);
    assert_eq!(acquires(&bed), (before.0, before.1 + 4), "all of it from the replica");

    // It stops replaying, and the primary goes on: what is written is seen after the limit at the latest.
    standby.administer("SELECT pg_wal_replay_pause()").await;
    sqlx::raw_sql("INSERT INTO app.notes VALUES (201, 'a', 'new')").execute(&bed.admin).await.unwrap();
    until(&bed, "a replica too far behind", |replica| !replica.used).await;
    assert!(bed.database.stats().replicas[0].lag_ms.unwrap() >= LAG_MS_MAX);
    assert_eq!(count(&bed, "a").await, (101, 1));
    assert_eq!(acquires(&bed).1, before.1 + 4, "nothing from the replica");
    standby.administer("SELECT pg_wal_replay_resume()").await;
    until(&bed, "a replica that has caught up", |replica| replica.used).await;
    assert_eq!(count(&bed, "a").await, (101, 1));
    assert!(acquires(&bed).1 > before.1 + 4);

    // It goes away: no call fails for it.
    standby.kill().await;
    for _ in 0..20 {
        assert_eq!(count(&bed, "b").await, (100, 101));
    }
    until(&bed, "a replica that is gone", |replica| !replica.used).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_replica_that_hangs_takes_no_other_along() {
    let primary = Server::start().await;
    let (hanging, well) = (Standby::of(&primary).await, Standby::of(&primary).await);
    let bed = host(&primary, &[&hanging, &well]).await;
    let frozen = hanging.freeze().await;
    until_all(&bed, "the hanging replica unused", |replicas| !replicas[0].used).await;
    // The other is measured as before: again and again it is found to be less far behind than a moment ago.
    let (mut last, mut measured) = (None, 0);
    let often = |replicas: &[ReplicaStats]| {
        assert!(!replicas[0].used, "{replicas:?}");
        measured += usize::from(replicas[1].lag_ms < last);
        last = replicas[1].lag_ms;
        measured >= 10
    };
    until_all(&bed, "the other measured", often).await;
    let before = bed.database.stats().replicas[1].acquires;
    for _ in 0..4 {
        assert_eq!(count(&bed, "b").await, (100, 101));
    }
    assert_eq!(bed.database.stats().replicas[1].acquires, before + 4);
    drop(frozen);
    until_all(&bed, "both in use", |replicas| replicas.iter().all(|replica| replica.used)).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_follows_nobody_is_no_replica() {
    let bed = Bed::with(|config| config.replicas = vec![config.url.clone().unwrap()]).await;
    until(&bed, "connections to it", |replica| replica.breaker == stockade_db::BreakerState::Closed).await;
    // It was asked, more than once, and says each time that it is none.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let found = bed.database.stats().replicas[0].clone();
    assert_eq!((found.used, found.lag_ms, found.acquires), (false, None, 0));
    assert_eq!(count(&bed, "a").await, (100, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nobody_reads_what_is_older_than_the_limit() {
    let primary = Server::start().await;
    let mut standby = Standby::of(&primary).await;
    let bed = host(&primary, &[&standby]).await;
    // Whoever asks later than the limit after a note was written must see it.
    let written: Arc<Mutex<Option<Instant>>> = Arc::default();
    let is_right = {
        let written = Arc::clone(&written);
        move |answer: &Answer| {
            let written = *written.lock().unwrap();
            let must = written.is_some_and(|at| answer.began > at + Duration::from_millis(LAG_MS_MAX));
            answer.count == if answer.tenant == "a" && must { 101 } else { answer.count.clamp(100, 101) }
        }
    };
    let load = Load::start(&bed, Asks::ForCounts, is_right);
    let row = load.row("a replica stops replaying", &[], async {
        standby.administer("SELECT pg_wal_replay_pause()").await;
        sqlx::raw_sql("INSERT INTO app.notes VALUES (201, 'a', 'new')").execute(&bed.admin).await.unwrap();
        *written.lock().unwrap() = Some(Instant::now());
        until(&bed, "a replica too far behind", |replica| !replica.used).await;
        tokio::time::sleep(LASTS).await;
        standby.administer("SELECT pg_wal_replay_resume()").await;
        until(&bed, "a replica that has caught up", |replica| replica.used).await;
    });
    row.await;
    let row = load.row("a replica is killed", &[], async {
        standby.kill().await;
        tokio::time::sleep(LASTS).await;
    });
    row.await;
    load.stop().await;
}

/// The primary is lost with a note that had not reached its successor, but another replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn after_a_fail_over_a_replica_of_the_old_primary_is_not_read_from() {
    let mut primary = Server::start().await;
    let mut successor = Standby::of(&primary).await;
    let mut follower = Standby::of(&primary).await;
    let bed = host(&primary, &[&follower]).await;
    successor.kill().await;
    sqlx::raw_sql("INSERT INTO app.notes VALUES (201, 'a', 'lost')").execute(&bed.admin).await.unwrap();
    // Its log is the longer one, by a file.
    sqlx::raw_sql("SELECT pg_switch_wal()").execute(&bed.admin).await.unwrap();
    sqlx::raw_sql("SELECT pg_logical_emit_message(false, 'a', 'b')").execute(&bed.admin).await.unwrap();
    let arrives = async {
        while count(&bed, "a").await != (101, 1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), arrives).await.expect("the follower replays it");

    let load = Load::start(&bed, Asks::ForCounts, |answer| answer.tenant == "a" || answer.count == 100);
    let row = load.row("a standby takes the primary's place", &["SERVER_BUSY"], async {
        primary.stop().await;
        successor.start(&[]).await;
        successor.administer("SELECT pg_promote()").await;
        successor.kill().await;
        successor.start(&[&primary.sockets()]).await;
    });
    row.await;
    until(&bed, "a replica of the old primary, unused", |replica| !replica.used).await;
    load.stop().await;
    // The follower has it still, and its log is longer than the new primary's.
    let mut behind = PgConnection::connect(&follower.url("postgres", &bed.name)).await.unwrap();
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM app.notes").fetch_one(&mut behind).await.unwrap();
    assert_eq!(there, 201);
    let replayed = "SELECT (pg_last_wal_replay_lsn() - '0/0')::int8";
    let replayed: i64 = sqlx::query_scalar(replayed).fetch_one(&mut behind).await.unwrap();
    let written = "SELECT (pg_current_wal_lsn() - '0/0')::int8";
    let written: i64 = sqlx::query_scalar(written).fetch_one(&bed.admin).await.unwrap();
    assert!(replayed > written, "{replayed} {written}");
    for _ in 0..20 {
        assert_eq!(count(&bed, "a").await, (100, 1));
    }
    assert!(!bed.database.stats().replicas[0].used);

    // Made anew from the new primary, it serves again, without a restart of the host.
    follower.copy().await;
    until(&bed, "the replica made anew", |replica| replica.used).await;
    let before = bed.database.stats().replicas[0].acquires;
    assert_eq!((count(&bed, "a").await, count(&bed, "b").await), ((100, 1), (100, 101)));
    assert_eq!(bed.database.stats().replicas[0].acquires, before + 2);
}
