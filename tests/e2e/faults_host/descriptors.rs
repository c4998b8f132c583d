//! A host that may not open another file, socket or connection.

use std::{sync::Arc, time::Instant};

use stockade_tests::HostProcess;
use tokio::net::TcpStream;

use super::{CALLERS, Line, Load, WELL, ask, builder, until, well};

/// Descriptors of a host whom clients try to take them all.
const FEW: u32 = 128;
/// What a host may have after it could have none.
const ENOUGH: u32 = 1024;

async fn load(host: &Arc<HostProcess>) -> Load {
    let mut lines = Vec::new();
    for _ in 0..CALLERS {
        lines.push(Some(Line::open(host).await));
    }
    Load::by(lines.into_iter(), host).await
}

/// Ends the host's connections to its database.
async fn terminate(files: &stockade_tests::HostFiles) {
    let mut admin = files.database().expect("of the tests' cluster").admin().await;
    sqlx::raw_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE usename = 'stockade_login' AND datname = current_database()",
    )
    .execute(&mut admin)
    .await
    .expect("an administrator's statement");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn without_descriptors_what_is_open_serves_and_all_is_well_when_there_are_some() {
    let files = builder().database("breaker_open_ms = 200").files().await;
    let host = Arc::new(files.start().await);
    let load = load(&host).await;
    // All below this number are taken, and stay so.
    host.limit_descriptors(3);
    let stranger = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { Line::open(&host).await.ask(&host).await })
    };
    let before = load.answered();
    until("those who are connected are served", async || load.answered() > before + 4 * WELL).await;
    assert_eq!(load.failed("SERVER_BUSY") + load.failed("QUERY_TIMEOUT"), 0, "by the connections that are open");
    assert!(!stranger.is_finished(), "nobody else is");
    // Now there is no connection to the database either, and none can be opened.
    terminate(&files).await;
    until("they are told", async || load.failed("SERVER_BUSY") > WELL).await;
    host.limit_descriptors(ENOUGH);
    let over = Instant::now();
    let well = well(&host, over).await;
    // Perhaps while nobody was let through to the database yet.
    if let Err(answer) = stranger.await.expect("no panic") {
        assert_eq!(answer, "SERVER_BUSY", "whoever waited is answered");
    }
    let seen = load.end().await;
    seen.row("no file descriptors left, then no connection to the database", &["SERVER_BUSY"], well);
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn clients_leave_the_host_descriptors_of_its_own() {
    let files = builder().server("connections_per_ip_max = 1024").admin_socket().files().await;
    let host = Arc::new(files.start_with_descriptors(FEW).await);
    let load = load(&host).await;
    // Connections that say nothing take all that they can, and those that are one too many are closed.
    let mut idle = Vec::new();
    for _ in 0..2 * FEW {
        idle.push(TcpStream::connect(host.address()).await.expect("a connection"));
    }
    let is_closed = |stream: &TcpStream| {
        let read = stream.try_read(&mut [0]);
        !matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    until("clients have what they may have", async || {
        idle.iter().filter(|stream| is_closed(stream)).count() > (FEW + FEW / 4) as usize
    })
    .await;
    let open = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("its descriptors").count();
    assert!((FEW as usize / 2..FEW as usize).contains(&open), "{open} of {FEW} are open");
    // The database's connections are lost, and can be opened anew; so can an operator's.
    terminate(&files).await;
    let health = host.health().await;
    assert_eq!(health["database"]["ok"], true, "{health}");
    let before = load.answered();
    until("those who are connected are served", async || load.answered() > before + 4 * WELL).await;
    drop(idle);
    let over = Instant::now();
    until("a new connection is served", async || ask(&host).await.is_ok()).await;
    let well = well(&host, over).await;
    let seen = load.end().await;
    seen.row("clients open more connections than it may have descriptors", &[], well);
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
}
