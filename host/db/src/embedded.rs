//! A private PostgreSQL cluster that lives and dies with the host.
//!
//! Everything is under the data directory: the cluster, its log, the lock that keeps a second host
//! out, and the Unix socket, which only the cluster's user can reach. The server runs under a small
//! supervisor that holds a pipe from the host: when the pipe closes, however the host ended, the
//! supervisor stops the server.
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::process::{Child, Command};

use crate::error::DbError;

mod find;
mod layout;

pub use find::find_bin_dir;
use layout::Layout;

/// The superuser of the cluster.
const SUPERUSER: &str = "postgres";
/// How long the server may take from its start to its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server that an earlier host left behind may take to stop.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the server may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at something that cannot be waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs the server, and stops it (SIGINT: fast shutdown) at the end of standard input. `wait` returns
/// when the server has ended, by whatever cause. A socket directory outside the data directory goes
/// with the server.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ cat >/dev/null; kill -INT "$server"; } <&3 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -KILL "$watcher" 2>/dev/null
[ -z "$STOCKADE_SOCKET_DIR" ] || rm -rf "$STOCKADE_SOCKET_DIR"
exit "$status"
"#;

/// `embedded = { data_dir = "…", bin_dir = "…" }`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// The folder with `postgres` and `initdb`; without it [`find_bin_dir`] looks for one.
    pub bin_dir: Option<PathBuf>,
    /// The cluster; created when absent, reused when there.
    pub data_dir: PathBuf,
}

/// A running cluster. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    supervisor: Child,
    layout: Layout,
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts the cluster, creating it first when it is not there, and waits until it answers.
    ///
    /// As root the server runs as the user `postgres`, or `nobody` where there is none.
    pub async fn start(config: &EmbeddedConfig) -> Result<Self, DbError> {
        let bin_dir = config.bin_dir.clone().or_else(find_bin_dir).ok_or_else(|| {
            DbError::unavailable(
                "no PostgreSQL 15 or later with pgvector 0.8 or later was found on this machine: \
                 set bin_dir to the folder with postgres and initdb",
            )
        })?;
        let layout = Layout::prepare(&config.data_dir)?;
        let lock = layout.lock()?;
        await_predecessor(&layout).await;
        initialise(&bin_dir, &layout).await?;
        let supervisor = spawn(&bin_dir, &layout)?;
        let mut cluster = Self { supervisor, layout, _lock: lock };
        cluster.await_ready().await?;
        Ok(cluster)
    }

    /// A URL over the private socket. There is no password: who reaches the socket is trusted.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgres://{}@localhost/{}?host={}",
            encode(user),
            encode(database),
            encode(&self.layout.socket_text())
        )
    }

    /// Stops the cluster and waits until it has stopped.
    pub async fn stop(mut self) -> Result<(), DbError> {
        drop(self.supervisor.stdin.take());
        match tokio::time::timeout(STOP_TIMEOUT, self.supervisor.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(DbError::unavailable(format!("embedded PostgreSQL: {error}"))),
            Err(_) => Err(DbError::unavailable(format!(
                "embedded PostgreSQL did not stop within {} s; see {}",
                STOP_TIMEOUT.as_secs(),
                self.layout.log.display()
            ))),
        }
    }

    async fn await_ready(&mut self) -> Result<(), DbError> {
        let options = PgConnectOptions::from_str(&self.url(SUPERUSER, "postgres"))?.disable_statement_logging();
        let started = tokio::time::Instant::now();
        loop {
            if let Ok(connection) = PgConnection::connect_with(&options).await {
                // It has answered; how the connection ends does not matter.
                let _ = connection.close().await;
                return Ok(());
            }
            let ended = self.supervisor.try_wait().map_err(|error| DbError::unavailable(error.to_string()))?;
            if ended.is_some() || started.elapsed() > START_TIMEOUT {
                let what = if ended.is_some() { "ended while starting" } else { "did not answer in time" };
                return Err(DbError::unavailable(format!(
                    "embedded PostgreSQL {what}; the end of {}:\n{}",
                    self.layout.log.display(),
                    self.layout.log_tail()
                )));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// A host that was killed leaves its server stopping. Its postmaster.pid goes when it has stopped; a
/// file that stays is stale, and the server itself knows what to do with it.
async fn await_predecessor(layout: &Layout) {
    let started = tokio::time::Instant::now();
    while started.elapsed() < PREDECESSOR_TIMEOUT {
        let Some(pid) = layout.postmaster_pid() else { return };
        let alive =
            Command::new("/bin/sh").args(["-c", "kill -0 \"$1\" 2>/dev/null", "sh", &pid.to_string()]).status().await;
        if !alive.is_ok_and(|status| status.success()) {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn initialise(bin_dir: &std::path::Path, layout: &Layout) -> Result<(), DbError> {
    if let Ok(made_by) = std::fs::read_to_string(layout.cluster.join("PG_VERSION")) {
        return same_version(made_by.trim(), bin_dir, layout);
    }
    // Made beside its place and renamed: a start that was interrupted leaves no half cluster behind.
    let fresh = layout.fresh_cluster()?;
    let mut command = Command::new(bin_dir.join("initdb"));
    command
        .args(["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "-U", SUPERUSER, "-D"])
        .arg(&fresh)
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    layout.run_as(&mut command);
    let output = command
        .output()
        .await
        .map_err(|error| DbError::unavailable(format!("{}: {error}", bin_dir.join("initdb").display())))?;
    if !output.status.success() {
        return Err(DbError::unavailable(format!(
            "initdb failed ({}): {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    std::fs::rename(&fresh, &layout.cluster)
        .map_err(|error| DbError::unavailable(format!("{}: {error}", layout.cluster.display())))
}

/// The server itself would say so only in its log.
fn same_version(made_by: &str, bin_dir: &std::path::Path, layout: &Layout) -> Result<(), DbError> {
    let Some(found) = find::version(bin_dir).filter(|found| found.to_string() != made_by) else { return Ok(()) };
    let data_dir = layout.data_dir.display();
    Err(DbError::unavailable(format!(
        "the data in {data_dir} is PostgreSQL {made_by}'s, and {} holds PostgreSQL {found}. To go on with the data, set \
         bin_dir to the folder of a PostgreSQL {made_by}; to begin anew without it: mv '{data_dir}' '{data_dir}.{made_by}'",
        bin_dir.display()
    )))
}

fn spawn(bin_dir: &std::path::Path, layout: &Layout) -> Result<Child, DbError> {
    let log = layout.open_log()?;
    let stderr = log.try_clone().map_err(|error| DbError::unavailable(error.to_string()))?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SUPERVISOR, "stockade-postgres"]).arg(bin_dir.join("postgres"));
    command.arg("-D").arg(&layout.cluster);
    for setting in [
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={}", layout.socket_text()),
        "unix_socket_permissions=0700".to_owned(),
        "logging_collector=off".to_owned(),
        // Short statements on a warm cache: compiling them takes longer than running them.
        "jit=off".to_owned(),
        // Statements of callers do not belong into a log beside the data.
        "log_min_error_statement=panic".to_owned(),
    ] {
        command.arg("-c").arg(setting);
    }
    command
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(stderr)
        // Ctrl-C in a terminal goes to the whole foreground group; the host decides when to stop.
        .process_group(0);
    if let Some(directory) = layout.socket_outside() {
        command.env("STOCKADE_SOCKET_DIR", directory);
    }
    layout.run_as(&mut command);
    command.spawn().map_err(|error| DbError::unavailable(format!("{}: {error}", bin_dir.join("postgres").display())))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
