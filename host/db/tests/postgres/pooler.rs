//! PgBouncer in transaction mode between host and server: each transaction on another backend.
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use stockade_db::{
    AuditDecision, AuditKind, AuditLine, AuditRecord, ColumnValues, Database, DbError, Identity, Secret, SessionLimits,
};
use tokio::process::{Child, Command};

use crate::bed::{Bed, identity, sql};
use crate::cancel::{ENDLESS, until_active_is};

/// Backends that all clients together have.
const BACKENDS: i64 = 4;
const COUNT: &str = "SELECT count(*), min(id) FROM app.notes";

/// A pooler, and a database whose host goes through it.
pub(crate) struct Pooled {
    bed: Bed,
    pub(crate) url: String,
    _pooler: Child,
    _folder: tempfile::TempDir,
}

impl Pooled {
    /// With this many backends, which all clients share.
    pub(crate) async fn new(backends: i64) -> Self {
        let bed = Bed::new().await;
        // All that is connected comes through the pooler.
        bed.database.close().await;
        let sockets: String = sqlx::query_scalar("SHOW unix_socket_directories").fetch_one(&bed.admin).await.unwrap();
        let folder = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir_in("/tmp").unwrap();
        let path = folder.path();
        let file = path.join("pgbouncer.ini");
        std::fs::write(path.join("users"), "\"test_login\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host={sockets}\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = {backends}\n\
             max_client_conn = 200\nunix_socket_dir = {dir}\nlisten_port = 6543\nauth_type = trust\n\
             auth_file = {dir}/users\nlogfile = {dir}/log\n",
            dir = path.display(),
        );
        std::fs::write(&file, settings).unwrap();
        // It runs as the cluster's user: as root it refuses, and nobody else reaches the cluster's socket.
        let owner = std::fs::metadata(&sockets).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        let program = std::env::var_os("STOCKADE_PGBOUNCER_BIN")
            .expect("STOCKADE_PGBOUNCER_BIN is not set: run `cargo xtask test`, or take it from `cargo xtask servers`");
        let mut command = Command::new(program);
        command.arg(&file).current_dir("/").uid(owner.uid()).gid(owner.gid()).kill_on_drop(true);
        let pooler = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let socket = path.display().to_string().replace('/', "%2F");
        let url = format!("postgres://test_login@localhost:6543/{}?host={socket}", bed.name);
        let answers = async {
            while stranger(&url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answers).await.expect("PgBouncer does not answer");
        Self { bed, url, _pooler: pooler, _folder: folder }
    }

    /// A host that goes through the pooler.
    pub(crate) async fn host(&self) -> Database {
        let mut config = self.bed.config.clone();
        config.url = Some(Secret::new(self.url.clone()));
        config.statement_cache_capacity = 0;
        config.connections_max = 16;
        Database::connect(&config).await.unwrap_or_else(|error| panic!("{}", error.for_log()))
    }

    pub(crate) fn limits(&self) -> SessionLimits {
        let mut limits = None;
        self.bed.session_with("a", |of| limits = Some(of.clone()));
        limits.unwrap()
    }

    async fn backends(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'test_login' AND datname = current_database() AND application_name LIKE 'stockade%'")
            .fetch_one(&self.bed.admin).await.unwrap()
    }
}

/// A connection of nobody's. PgBouncer refuses a setting that the driver sends unless it is told not to.
pub(crate) async fn stranger(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(url)?.extra_float_digits(None).connect().await
}

/// What the tenant sees, by every way to read.
async fn reads(host: &Database, who: Identity, limits: SessionLimits, with_cursor: bool) {
    let first = if who.tenant.as_str() == "a" { 1 } else { 101 };
    let own = |values: &ColumnValues| assert_eq!(*values, ColumnValues::Integers(vec![100]));
    let session = host.session(who, limits);
    own(&session.query(sql(COUNT), 1).await.unwrap().columns[0].values);
    let all = session.query_all(vec![sql(COUNT), sql("SELECT min(id) FROM app.notes")], 1).await.unwrap();
    own(&all[0].columns[0].values);
    assert_eq!(all[1].columns[0].values, ColumnValues::Integers(vec![first]));
    assert_eq!(session.query(sql("SELECT id, body FROM app.notes WHERE false"), 1).await.unwrap().columns.len(), 2);
    if with_cursor {
        let mut cursor = session.open(sql("SELECT id FROM app.notes ORDER BY id")).await.unwrap();
        let mut rows = Vec::new();
        loop {
            let batch = cursor.fetch(30).await.unwrap();
            let ColumnValues::Integers(ids) = &batch.columns[0].values else { panic!("ids") };
            rows.extend_from_slice(ids);
            if !batch.truncated {
                break;
            }
        }
        assert_eq!(rows, (first..first + 100).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and PgBouncer: cargo xtask test"]
async fn many_callers_share_few_backends_and_each_sees_their_own() {
    let pooled = Pooled::new(BACKENDS).await;
    let hosts = [pooled.host().await, pooled.host().await];
    let calls = (0..120).map(|number| {
        let who = identity(if number % 2 == 0 { "a" } else { "b" });
        // A cursor holds its backend, so a few calls alone have one.
        reads(&hosts[number % 3 % 2], who, pooled.limits(), number % 40 == 0)
    });
    futures::future::join_all(calls).await;
    let backends = pooled.backends().await;
    assert!((1..=BACKENDS).contains(&backends), "{backends} backends");
    // What a stranger finds on each of them: no caller's context, no caller's role.
    let mut strangers = Vec::new();
    for _ in 0..BACKENDS {
        let mut stranger = stranger(&pooled.url).await.unwrap();
        sqlx::raw_sql("BEGIN").execute(&mut stranger).await.unwrap();
        let left: (String, String) =
            sqlx::query_as("SELECT current_user::text, COALESCE(current_setting('stockade.context', true), '')")
                .persistent(false)
                .fetch_one(&mut stranger)
                .await
                .unwrap();
        assert_eq!((left.0.as_str(), left.1.as_str()), ("test_login", ""));
        strangers.push(stranger);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and PgBouncer: cargo xtask test"]
async fn a_call_that_goes_away_takes_its_statement_along_and_no_others() {
    let pooled = Pooled::new(BACKENDS).await;
    let host = pooled.host().await;
    let session = host.session(identity("a"), pooled.limits());
    let others = host.session(identity("b"), pooled.limits());
    {
        let query = session.query(sql(ENDLESS), 1);
        tokio::pin!(query);
        tokio::select! {
            result = &mut query => panic!("ended by itself: {result:?}"),
            () = until_active_is(&pooled.bed, 1) => {}
        }
    }
    let slow = others.query(sql("SELECT count(*) FROM generate_series(1, 3000000)"), 1);
    let (slow, ()) = tokio::join!(slow, until_active_is(&pooled.bed, 0));
    assert_eq!(slow.unwrap().row_count, 1);
    assert_eq!(host.stats().discarded, 1);
    let mut limits = pooled.limits();
    limits.deadline = tokio::time::Instant::now() + Duration::from_millis(300);
    let error = host.session(identity("a"), limits).query(sql(ENDLESS), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Timeout { .. }), "{error:?}");
    until_active_is(&pooled.bed, 0).await;
    assert_eq!(others.query(sql("SELECT 1"), 1).await.unwrap().row_count, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and PgBouncer: cargo xtask test"]
async fn the_hosts_own_statements_go_through_it_too() {
    let pooled = Pooled::new(BACKENDS).await;
    let host = pooled.host().await;
    host.ping().await.unwrap();
    let line = |_| {
        let (id, at) = (uuid::Uuid::new_v4(), "2026-01-01T00:00:00Z".to_owned());
        AuditRecord::new(id, at, AuditKind::Act, AuditDecision::Allowed, "TESTED").line().unwrap()
    };
    let lines: Vec<AuditLine> = (0..20).map(line).collect();
    futures::future::join_all(lines.chunks(2).map(|lines| host.append_audit(lines)))
        .await
        .into_iter()
        .for_each(|appended| appended.unwrap_or_else(|error| panic!("{}", error.for_log())));
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM stockade.audit_log WHERE outcome = 'TESTED'")
        .fetch_one(&pooled.bed.admin)
        .await
        .unwrap();
    assert_eq!(kept, 20);
    // A type and a table that the host asks for.
    let session = host.session(identity("a"), pooled.limits());
    let mood = session.query(sql("SELECT 'calm'::app.mood AS mood"), 1).await.unwrap();
    assert_eq!(mood.columns[0].type_name, "mood");
    sqlx::raw_sql("CREATE TABLE app.later (id int); ALTER TABLE app.later ENABLE ROW LEVEL SECURITY; GRANT SELECT ON app.later TO test_reader")
        .execute(&pooled.bed.admin)
        .await
        .unwrap();
    let seen = async {
        while session.query(sql("SELECT id FROM later"), 1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), seen).await.expect("a new table is seen");
}
