//! Disks that are full: file systems in memory, with a file that takes the room that is left.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use stockade_tests::{Cluster, TestApp, TestDatabase};

use crate::load::{self, Load};
use crate::{BUSY, LASTS, run, terminate};

/// What is enough for everything here.
const ROOM: &str = "1g";

/// A file system, until it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("stockade-full-").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(folder))
    }

    /// A folder in it that is the server's.
    fn folder_of_the_server(&self, database: &TestDatabase) -> PathBuf {
        let folder = self.0.path().join("of-the-server");
        std::fs::create_dir(&folder).unwrap();
        give_to_the_server(&folder, database);
        folder
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes all the room that is left, whatever the server writes meanwhile.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        let full = tokio::task::block_in_place(|| io::copy(&mut io::repeat(0), &mut filler));
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Whether this machine lets the tests mount one.
pub(crate) fn can_be_mounted() -> bool {
    Disk::mount("64k").is_some()
}

fn give_to_the_server(path: &Path, database: &TestDatabase) {
    let owner = std::fs::metadata(load::sockets(database)).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// Temporary files go to a file system of a mebibyte, and a statement sorts more than that.
pub(crate) async fn of_temporary_files(app: &TestApp, load: &Load, admin: &mut PgConnection) {
    let disk = Disk::mount("1m").unwrap();
    let place = disk.folder_of_the_server(&app.database);
    run(admin, format!("CREATE TABLESPACE small LOCATION '{}'", place.display())).await;
    run(admin, "GRANT CREATE ON TABLESPACE small TO PUBLIC").await;
    run(admin, "ALTER ROLE stockade_login SET temp_tablespaces = 'small'").await;
    terminate(admin).await;
    let sort =
        "SELECT count(*) AS n FROM (SELECT i FROM generate_series(1, 1000000) AS s(i) ORDER BY i % 7, i OFFSET 0) AS t";
    let row = load.row("the disk for temporary files is full", BUSY, async {
        for _ in 0..3 {
            let error = load::query(&app.client("head-office"), sort).await;
            assert_eq!(error.unwrap_err().code, "SERVER_BUSY", "a sort of more than the disk holds");
        }
    });
    row.await;
    run(admin, "ALTER ROLE stockade_login RESET temp_tablespaces").await;
    terminate(admin).await;
    run(admin, "DROP TABLESPACE small").await;
}

/// Orders and the record of calls are on a disk that is full: two hosts, of which one must keep that record.
pub(crate) async fn of_the_data(load: &Load, admin: &mut PgConnection) {
    let disk = Disk::mount(ROOM).unwrap();
    let strict =
        TestApp::builder().plugins(&["execute-sales-query"]).sections("[audit]\nrequired = true").start().await;
    let place = disk.folder_of_the_server(&strict.database);
    run(admin, format!("CREATE TABLESPACE data LOCATION '{}'", place.display())).await;
    let mut admin_of_strict = strict.database.admin().await;
    let move_to = async |admin: &mut PgConnection, tablespace: &str| {
        for table in ["retail.orders", "stockade.audit_log"] {
            run(admin, format!("ALTER TABLE {table} SET TABLESPACE {tablespace}")).await;
        }
    };
    move_to(admin, "data").await;
    move_to(&mut admin_of_strict, "data").await;
    let strict_load = Load::start(&strict).await;
    let within = strict_load.row("the disk of the data is full, and a call must be recorded", &["MCP_ERROR"], async {
        disk.fill();
        let written = sqlx::raw_sql("UPDATE retail.orders SET order_id = order_id").execute(&mut *admin).await;
        let error = written.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap().into_owned();
        assert_eq!(code, "53100", "nothing can be written: {error}");
        strict_load.until_failed("MCP_ERROR", 0).await;
        tokio::time::sleep(LASTS).await;
        disk.make_room();
    });
    load.row("the disk of the data is full", &[], within).await;
    strict_load.stop().await;
    strict.stop().await;
    move_to(admin, "pg_default").await;
    move_to(&mut admin_of_strict, "pg_default").await;
    run(admin, "DROP TABLESPACE data").await;
}

/// The server's write-ahead log is on a disk that is full. The server crashes, and recovers once an administrator
/// has made room.
pub(crate) async fn of_the_log(app: &TestApp, load: &Load, cluster: &Cluster) {
    let disk = Disk::mount(ROOM).unwrap();
    let place = disk.folder_of_the_server(&app.database).join("pg_wal");
    let log = load::sockets(&app.database).with_file_name("cluster").join("pg_wal");
    cluster.stop_postgres().await;
    let copied = Command::new("cp").arg("-a").args([&log, &place]).status().unwrap();
    assert!(copied.success());
    let kept = log.with_file_name("pg_wal.kept");
    std::fs::rename(&log, &kept).unwrap();
    std::os::unix::fs::symlink(&place, &log).unwrap();
    cluster.start_postgres().await;
    let row = load.row("the disk of the write-ahead log is full", BUSY, async {
        disk.fill();
        let mut admin = PgConnection::connect(&app.database.admin_url).await.unwrap();
        // Each turn needs the next file of the log; those that were made before are soon used up.
        let next = "SELECT pg_logical_emit_message(false, 'a', 'b'); SELECT pg_switch_wal()";
        while sqlx::raw_sql(AssertSqlSafe(next)).execute(&mut admin).await.is_ok() {}
        load.until_failed("SERVER_BUSY", 0).await;
        tokio::time::sleep(LASTS).await;
        disk.make_room();
        while PgConnection::connect(&app.database.admin_url).await.is_err() {
            if !log.with_file_name("postmaster.pid").exists() {
                // It gave up before there was room.
                cluster.stop_postgres().await;
                cluster.start_postgres().await;
            }
            tokio::time::sleep(LASTS / 100).await;
        }
    });
    row.await;
    cluster.stop_postgres().await;
    std::fs::remove_file(&log).unwrap();
    let copied = Command::new("cp").arg("-a").args([&place, &log]).status().unwrap();
    assert!(copied.success());
    std::fs::remove_dir_all(&kept).unwrap();
    cluster.start_postgres().await;
}
