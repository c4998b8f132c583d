//! Servers that a test stops, starts and freezes.
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sqlx::{Connection as _, PgConnection};
use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres};
use tokio::process::Command;

/// A cluster of the test's own.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    /// Where `postgres` and `initdb` are.
    programs: PathBuf,
    running: Option<EmbeddedPostgres>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("stockade-fault-").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut server = Self { folder, programs: bin_dir(), running: None };
        server.start_again().await;
        server
    }

    /// One whose clock is ahead, by what libfaketime calls it.
    pub(crate) async fn start_ahead(library: &std::ffi::OsStr, by: &str) -> Self {
        Self::start_as(&format!("LD_PRELOAD={} FAKETIME={by}", library.to_string_lossy()), "").await
    }

    /// One that listens at an address of its own, on the loopback network and the customary port.
    pub(crate) async fn start_at(address: &str) -> Self {
        Self::start_as("", &format!("-c listen_addresses={address}")).await
    }

    /// One whose programs run with further variables, and `postgres` with further arguments.
    async fn start_as(variables: &str, arguments: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("stockade-fault-").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        for (program, arguments) in [("postgres", arguments), ("initdb", "")] {
            let (program, script) = (bin_dir().join(program), programs.join(program));
            let text = format!("#!/bin/sh\n{variables} exec {} \"$@\" {arguments}\n", program.display());
            std::fs::write(&script, text).unwrap();
            std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let mut server = Self { folder, programs, running: None };
        server.start_again().await;
        server
    }

    pub(crate) async fn start_again(&mut self) {
        let bin_dir = Some(self.programs.clone());
        let config = EmbeddedConfig { bin_dir, data_dir: self.folder.path().join("pg") };
        let started = EmbeddedPostgres::start(&config).await;
        self.running = Some(started.unwrap_or_else(|error| panic!("{}", error.for_log())));
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }

    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        self.running.as_ref().unwrap().url(user, database)
    }

    /// The folder of its socket.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.folder.path().join("pg/socket")
    }

    /// Sends the postmaster a signal.
    pub(crate) async fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.postmaster()]).status().await.unwrap();
        assert!(sent.success());
    }

    pub(crate) fn postmaster(&self) -> String {
        let pid = std::fs::read_to_string(self.folder.path().join("pg/cluster/postmaster.pid")).unwrap();
        pid.lines().next().unwrap().to_owned()
    }
}

/// A server that accepts connections and says nothing, until this is dropped.
pub(crate) struct Frozen(Vec<String>);

impl Frozen {
    /// Stops the postmaster, and the backends of the host's connections.
    pub(crate) async fn new(postmaster: String, url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let mut frozen = Self(vec![postmaster]);
        // From now on there are no more backends than these.
        frozen.send("-STOP");
        let backends = "SELECT pid::text FROM pg_stat_activity WHERE usename = 'test_login'";
        frozen.0.append(&mut sqlx::query_scalar(backends).fetch_all(&mut connection).await.unwrap());
        frozen.send("-STOP");
        frozen
    }

    fn send(&self, signal: &str) {
        // A backend may have ended meanwhile.
        let _ = std::process::Command::new("kill").arg(signal).args(&self.0).status().unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send("-CONT");
    }
}

pub(crate) fn bin_dir() -> PathBuf {
    let named = std::env::var_os("STOCKADE_POSTGRES_BIN").map(PathBuf::from);
    named.or_else(stockade_db::embedded::find_bin_dir).expect("a PostgreSQL")
}
