//! The embedded cluster's life.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres};

/// Set for the process that a test starts in order to kill it: the data directory.
const HOST_VARIABLE: &str = "STOCKADE_TEST_HOST_DATA_DIR";

fn config(data_dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        bin_dir: std::env::var_os("STOCKADE_POSTGRES_BIN").map(PathBuf::from),
        data_dir: data_dir.to_owned(),
    }
}

pub(crate) fn data_dir() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("stockade-embedded-").tempdir_in("/var/tmp").unwrap();
    // The server's user has to get through.
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    directory
}

pub(crate) async fn started(data_dir: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(&config(data_dir)).await.unwrap_or_else(|error| panic!("{}", error.for_log()))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn it_keeps_its_data_and_keeps_a_second_host_out() {
    let directory = data_dir();
    let data = directory.path().join("data");
    let cluster = started(&data).await;
    let mut connection = PgConnection::connect(&cluster.url("postgres", "postgres")).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept (a int)").execute(&mut connection).await.unwrap();
    let Err(error) = EmbeddedPostgres::start(&config(&data)).await else { panic!("a second host was let in") };
    assert!(error.for_log().contains("in use by another host"), "{}", error.for_log());
    cluster.stop().await.unwrap();
    assert!(PgConnection::connect(&connection_url(&data)).await.is_err(), "it has stopped");

    let again = started(&data).await;
    let mut connection = PgConnection::connect(&again.url("postgres", "postgres")).await.unwrap();
    sqlx::raw_sql("SELECT * FROM kept").execute(&mut connection).await.unwrap();
    again.stop().await.unwrap();
}

fn connection_url(data: &Path) -> String {
    format!("postgres://postgres@localhost/postgres?host={}", data.join("socket").display())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_long_path_gets_a_socket_elsewhere_and_an_interrupted_initdb_is_forgotten() {
    let directory = data_dir();
    let data = directory.path().join("d".repeat(90));
    std::fs::create_dir_all(data.join("cluster.new/base")).unwrap();
    let cluster = started(&data).await;
    let url = cluster.url("postgres", "postgres");
    PgConnection::connect(&url).await.unwrap();
    cluster.stop().await.unwrap();
    let socket = url.rsplit("host=").next().unwrap().replace("%2F", "/");
    assert!(socket.starts_with("/tmp/stockade-"), "{socket}");
    assert!(!Path::new(&socket).exists(), "the socket's folder goes with the server");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_cannot_start_says_why() {
    let directory = data_dir();
    let data = directory.path().join("data");
    started(&data).await.stop().await.unwrap();
    std::fs::write(data.join("cluster/postgresql.conf"), "no_such_setting = on\n").unwrap();
    let Err(error) = EmbeddedPostgres::start(&config(&data)).await else { panic!("it started") };
    assert!(error.for_log().contains("no_such_setting"), "{}", error.for_log());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_cluster_of_another_version_is_named_with_what_to_do() {
    let directory = data_dir();
    let data = directory.path().join("data");
    started(&data).await.stop().await.unwrap();
    let version = data.join("cluster/PG_VERSION");
    std::fs::write(&version, "9\n").unwrap();
    let Err(error) = EmbeddedPostgres::start(&config(&data)).await else { panic!("it started") };
    let (data, said) = (data.display(), error.for_log());
    for expected in ["is PostgreSQL 9's", "holds PostgreSQL 1", "set bin_dir", &format!("mv '{data}' '{data}.9'")] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// The host that the next test kills; by itself it does nothing.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn host_to_be_killed() {
    let Some(data) = std::env::var_os(HOST_VARIABLE) else { return };
    let _cluster = started(Path::new(&data)).await;
    std::future::pending::<()>().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_server_stops_when_its_host_is_killed() {
    let directory = data_dir();
    let data = directory.path().join("data");
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "embedded::host_to_be_killed"])
        .env(HOST_VARIABLE, &data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = connection_url(&data);
    until("the server answers", async || PgConnection::connect(&url).await.is_ok()).await;
    host.kill().unwrap(); // SIGKILL
    host.wait().unwrap();
    let pid_file = data.join("cluster/postmaster.pid");
    until("the server has stopped by itself", async || !pid_file.exists()).await;
    // And the next host finds it fit to use.
    started(&data).await.stop().await.unwrap();
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
