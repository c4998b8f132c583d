//! What goes wrong meanwhile, and what an operator does.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use sqlx::AssertSqlSafe;
use stockade_tests::{HostFiles, HostProcess, packed};

/// What happened, and how often.
pub(crate) type Happened = BTreeMap<&'static str, u64>;

/// One after the other, in turns, until `stop`.
pub(crate) async fn every(
    period: Duration,
    host: Arc<HostProcess>,
    files: HostFiles,
    stop: Arc<AtomicBool>,
) -> Happened {
    let mut happened = Happened::new();
    let configuration = fs::read_to_string(files.configuration_file()).expect("the configuration");
    let plugin = |name: &str| files.folder().join(format!("plugins/{name}.wasm"));
    for turn in 0_u64.. {
        tokio::time::sleep(period).await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let what = match turn % 7 {
            0 => {
                fs::write(plugin("noop"), "no component").expect("written");
                "a broken plugin file, the old version serves"
            }
            1 => {
                // Another inode and another time: it is read and compiled anew.
                fs::copy(packed("noop"), plugin("new")).expect("copied");
                fs::rename(plugin("new"), plugin("noop")).expect("renamed");
                "a plugin replaced"
            }
            2 => {
                fs::remove_file(plugin("top-products")).expect("removed");
                tokio::time::sleep(period).await;
                fs::copy(packed("top-products"), plugin("top-products")).expect("copied");
                "a plugin taken out and put back"
            }
            3 => {
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE usename = 'stockade_login' AND datname = current_database()";
                run(&files, kill).await;
                "all database connections killed"
            }
            4 => {
                let limits = format!("[tenant_defaults]\ncalls_max = {}\n{configuration}", 8 + turn % 5);
                fs::write(files.configuration_file(), limits).expect("written");
                host.signal("HUP");
                "the configuration reloaded"
            }
            5 => {
                leave_in_the_middle(&host).await;
                "16 clients gone in the middle of a call"
            }
            _ => {
                let lock = "BEGIN; LOCK TABLE retail.stores IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.5); COMMIT";
                run(&files, lock).await;
                "a table locked by somebody for half a second"
            }
        };
        *happened.entry(what).or_default() += 1;
    }
    happened
}

async fn run(files: &HostFiles, sql: &'static str) {
    let mut admin = files.database().expect("a database of the cluster").admin().await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.expect("an administrator's statement");
}

async fn leave_in_the_middle(host: &Arc<HostProcess>) {
    let query = json!({ "query": "SELECT count(*) AS n FROM generate_series(1, 100000000) AS g(i)" });
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let (client, query) = (host.client("online-store"), query.clone());
            tokio::spawn(async move { client.call("execute_sales_query", query).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}
