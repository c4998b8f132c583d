//! Half an hour of mixed calls, swaps and faults against one host: memory and descriptors stay level, every reply
//! is right or fails in a way that was expected. `cargo xtask soak` runs it; it is no part of the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a run that cannot go on ends"
)]

mod calls;
mod faults;
mod level;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use stockade_tests::{HostProcess, TestApp};

/// Callers at once.
const CLIENTS: usize = 32;
/// Between two faults.
const FAULTS_EVERY: Duration = Duration::from_secs(3);
/// Between two looks at the process.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

fn main() {
    let minutes = std::env::args().nth(1).map_or(30, |minutes| minutes.parse().expect("a number of minutes"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let well = runtime.block_on(soak(Duration::from_secs(60 * minutes)));
    // The cluster stops with the process.
    std::process::exit(i32::from(!well));
}

async fn soak(time: Duration) -> bool {
    eprintln!("loading the data and starting a host");
    let files = TestApp::builder()
        .admin_socket()
        .plugins(&calls::PLUGINS)
        .server("connections_per_ip_max = 1024")
        .files()
        .await;
    let host = Arc::new(files.start().await);
    let expected = Arc::new(calls::Expected::learn(&host).await);
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(calls::Seen::default()));
    let callers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (host, expected) = (Arc::clone(&host), Arc::clone(&expected));
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut turn = number;
                while !stop.load(Ordering::Relaxed) {
                    seen.note(expected.call(&host, turn).await);
                    turn += 1;
                }
            })
        })
        .collect();
    let faults = tokio::spawn(faults::every(FAULTS_EVERY, Arc::clone(&host), files, Arc::clone(&stop)));
    let looks = watch(&host, time).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("a caller");
    }
    let happened = faults.await.expect("the faults");
    host.signal("TERM");
    let ended = host.ended().await;
    report(&seen, &happened, &looks) && ended == Some(0)
}

/// What the process holds, second by second.
async fn watch(host: &HostProcess, time: Duration) -> Vec<level::Look> {
    let began = Instant::now();
    let mut looks = Vec::new();
    while began.elapsed() < time {
        tokio::time::sleep(LOOKS_EVERY).await;
        looks.push(level::Look::at(host.pid(), began.elapsed()));
        if looks.len() % 60 == 0 {
            let level::Look { memory_mib, descriptors, .. } = looks[looks.len() - 1];
            eprintln!("{} min: {memory_mib:.0} MiB, {descriptors:.0} descriptors", looks.len() / 60);
        }
    }
    looks
}

fn report(seen: &calls::Seen, happened: &faults::Happened, looks: &[level::Look]) -> bool {
    println!("| what | seen |\n|---|---|");
    for (what, times) in happened {
        println!("| {what} | {times} times |");
    }
    let replies = seen.print();
    let memory = level::is_level("memory, MiB", looks.iter().map(|look| (look.at, look.memory_mib)));
    let descriptors = level::is_level("descriptors", looks.iter().map(|look| (look.at, look.descriptors)));
    replies && memory && descriptors
}
