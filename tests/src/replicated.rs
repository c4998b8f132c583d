//! A PostgreSQL of a test's own, and a standby that follows it.

use std::{
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres, find_bin_dir};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    cluster::{TestDatabase, empty_database, open_to_traverse},
    environment::Environment,
};

const NAME: &str = "stockade";

/// Both servers, with the schema and no data. They stop when this is dropped.
pub struct Replicated {
    primary: EmbeddedPostgres,
    standby: Child,
    folder: TempDir,
}

impl Replicated {
    /// Starts both, and waits until both answer.
    pub async fn start() -> Self {
        let bin_dir = Environment::read().postgres_bin.or_else(find_bin_dir).expect("a PostgreSQL");
        // As root, PostgreSQL runs as another user, who must get there.
        let folder = tempfile::Builder::new().prefix("stockade-pair-").tempdir_in("/var/tmp").expect("a folder");
        open_to_traverse(folder.path());
        let data_dir = folder.path().join("primary");
        let config = EmbeddedConfig { bin_dir: Some(bin_dir.clone()), data_dir: data_dir.clone() };
        let primary = EmbeddedPostgres::start(&config).await.expect("PostgreSQL starts");
        empty_database(&primary, NAME, &folder.path().join("context.key")).await;
        let standby = follow(&bin_dir, &primary.url("postgres", "postgres"), &data_dir, folder.path()).await;
        let this = Self { primary, standby, folder };
        let answers = async {
            while PgConnection::connect(&this.url_of_standby("postgres", "postgres")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), answers).await.expect("the standby does not answer");
        this
    }

    /// The database on the primary.
    pub fn database(&self) -> TestDatabase {
        TestDatabase {
            admin_url: self.primary.url("postgres", NAME),
            login_url: self.primary.url("stockade_login", NAME),
            context_key_file: self.folder.path().join("context.key"),
        }
    }

    /// The same database on the standby, as the host's login.
    pub fn standby_url(&self) -> String {
        self.url_of_standby("stockade_login", NAME)
    }

    /// Runs an administrator's statement on the standby.
    pub async fn administer_standby(&self, sql: &'static str) {
        let url = self.url_of_standby("postgres", "postgres");
        let mut connection = PgConnection::connect(&url).await.expect("an administrator's connection");
        connection.execute(sql).await.expect("an administrator's statement");
    }

    /// Takes the standby away.
    pub async fn kill_standby(&mut self) {
        self.standby.kill().await.expect("a process that ends");
    }

    fn url_of_standby(&self, user: &str, database: &str) -> String {
        let sockets = self.folder.path().join("standby").display().to_string().replace('/', "%2F");
        format!("postgres://{user}@localhost/{database}?host={sockets}")
    }
}

/// A copy of the server that follows it, as the same user.
async fn follow(bin_dir: &Path, url: &str, primary: &Path, folder: &Path) -> Child {
    let owner = std::fs::metadata(primary.join("cluster")).expect("a cluster");
    let home: PathBuf = folder.join("standby");
    std::fs::create_dir(&home).expect("a folder");
    chown(&home, Some(owner.uid()), Some(owner.gid())).expect("an owner");
    let program = |name: &str| {
        let mut command = Command::new(bin_dir.join(name));
        command.current_dir("/").uid(owner.uid()).gid(owner.gid()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let data = home.join("data");
    let mut copy = program("pg_basebackup");
    copy.args(["-c", "fast", "-R", "-d", url, "-D"]).arg(&data);
    assert!(copy.status().await.expect("pg_basebackup runs").success(), "pg_basebackup failed");
    let mut postgres = program("postgres");
    postgres.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c"]);
    postgres.arg(format!("unix_socket_directories={}", home.display()));
    postgres.kill_on_drop(true).spawn().expect("postgres starts")
}
