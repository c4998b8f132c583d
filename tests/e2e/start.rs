//! What a host needs before it listens.

use std::{collections::BTreeSet, path::Path, time::Duration};

use stockade_tests::{HostFiles, TestApp, stockade};
use tokio::{net::TcpListener, net::unix::pipe, process::Child};

const WITHIN: Duration = Duration::from_secs(60);

/// A host of which nobody says that it serves.
fn started(files: &HostFiles) -> Child {
    let log = std::fs::File::create(files.folder().join("host.stderr")).expect("a log");
    let mut host = stockade();
    host.arg("serve").arg("--config").arg(files.configuration_file()).stderr(log);
    host.spawn().expect("the host starts")
}

/// How many sockets of this process wait for somebody to connect, those of the file system included.
fn listening(host: &Child) -> usize {
    let pid = host.id().expect("a process that runs");
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let of_socket = |link: &Path| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    let own: BTreeSet<String> = links.filter_map(|link| of_socket(&link)).collect();
    // Where the state stands, what it is while the socket listens, and where its number is: proc(5).
    let tables = [("tcp", 3, "0A", 9), ("tcp6", 3, "0A", 9), ("unix", 3, "00010000", 6)];
    let listens = |(table, state, listens, inode): (&str, usize, &str, usize)| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter(|of| of.len() > inode && of[state] == listens && own.contains(of[inode])).count()
    };
    tables.map(listens).iter().sum()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap_or_else(|_| panic!("not within {WITHIN:?}: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn nothing_listens_before_the_plugins_are_judged_and_the_start_is_on_record_by_then() {
    let files = TestApp::builder().admin_socket().plugins(&["noop"]).files().await;
    let grants = files.folder().join("grants.toml");
    let text = std::fs::read_to_string(&grants).expect("grants");
    std::fs::remove_file(&grants).expect("away");
    // Whoever reads this waits until somebody has written it.
    let made = std::process::Command::new("mkfifo").arg(&grants).status();
    assert!(made.expect("mkfifo").success());
    let mut host = started(&files);
    let sender = async {
        loop {
            match pipe::OpenOptions::new().open_sender(&grants) {
                Ok(sender) => return sender,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let sender = tokio::time::timeout(WITHIN, sender).await.expect("the host reads its grants");
    let mut admin = files.database().expect("a database").admin().await;
    let begun = "SELECT count(*) FROM stockade.audit_log WHERE outcome = 'HOST_STARTED'";
    let recorded = async {
        while sqlx::query_scalar::<_, i64>(begun).fetch_one(&mut admin).await.expect("the log") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, recorded).await.expect("the audit log is open");
    assert_eq!(listening(&host), 0, "neither for callers nor for operators");

    std::fs::write(grants.with_extension("new"), &text).expect("written");
    std::fs::rename(grants.with_extension("new"), &grants).expect("in their place");
    sender.try_write(text.as_bytes()).expect("written");
    drop(sender);
    until("both sides listen", async || listening(&host) == 2).await;
    host.kill().await.expect("killed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_host_whose_database_does_not_answer_does_not_listen_and_can_be_stopped() {
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let files = with_database_at(silent.local_addr().expect("an address").port()).await;
    let mut host = started(&files);
    let _connection = tokio::time::timeout(WITHIN, silent.accept()).await.expect("it connects").expect("a connection");
    assert_eq!(listening(&host), 0);
    let pid = host.id().expect("a process that runs").to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &pid]).status();
    assert!(told.expect("kill").success());
    let ended = tokio::time::timeout(WITHIN, host.wait()).await.expect("it ends").expect("a process");
    assert_eq!(ended.code(), Some(0), "as it was told, and not killed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_host_whose_database_is_not_there_says_so_and_ends() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let files = with_database_at(closed).await;
    let mut host = started(&files);
    let ended = tokio::time::timeout(WITHIN, host.wait()).await.expect("it ends").expect("a process");
    assert!(!ended.success());
    let said = std::fs::read_to_string(files.folder().join("host.stderr")).expect("the log");
    assert!(said.contains("stockade: cannot use the database") && said.contains("check [database]"), "{said}");
    assert!(!said.contains("serving"), "{said}");
}

/// What a host needs, whose database is said to be at this port.
async fn with_database_at(port: u16) -> HostFiles {
    let files = TestApp::builder().admin_socket().plugins(&["noop"]).files().await;
    let text = std::fs::read_to_string(files.configuration_file()).expect("the configuration");
    let url = files.database().expect("a database").login_url.clone();
    let text = text.replace(&url, &format!("postgres://stockade_login@127.0.0.1:{port}/stockade"));
    std::fs::write(files.configuration_file(), text).expect("written");
    files
}
