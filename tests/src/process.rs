use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::Mutex,
};

use crate::{app, client::Client, cluster::TestDatabase};

/// How long a host may take to start, and to end.
const WITHIN: Duration = Duration::from_secs(60);

/// The binary, which `cargo test --workspace` builds beside the tests.
pub fn stockade() -> Command {
    command(binary())
}

fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("STOCKADE_CONFIG").env_remove("STOCKADE_LOG").kill_on_drop(true);
    command
}

fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("this program");
    // The benchmark stands beside it, tests a folder deeper.
    let beside = tests.with_file_name("stockade");
    if beside.is_file() {
        return beside;
    }
    tests.parent().and_then(Path::parent).expect("the target directory").join("stockade")
}

/// What a host needs, in a folder, to be started as a process: once, or again.
#[derive(Debug)]
pub struct HostFiles {
    pub(crate) folder: TempDir,
    /// None where the host has a database of its own.
    pub(crate) database: Option<TestDatabase>,
}

impl HostFiles {
    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its database in the tests' cluster, if it is there.
    pub fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    /// Its configuration.
    pub fn configuration_file(&self) -> PathBuf {
        self.folder().join("stockade.toml")
    }

    /// Start a host, and wait until it serves.
    pub async fn start(&self) -> HostProcess {
        self.start_among(&[]).await
    }

    /// The same, with these variables in its environment.
    pub async fn start_among(&self, variables: &[(&str, &str)]) -> HostProcess {
        let mut host = command(binary());
        host.envs(variables.iter().copied());
        self.start_by(host, &self.log()).await
    }

    fn log(&self) -> PathBuf {
        // Not beside the grants: that folder is watched, and every line would be a change in it.
        let logs = self.folder().join("log");
        fs::create_dir_all(&logs).expect("a folder");
        logs.join("host.log")
    }

    /// The same, whose log goes to this file.
    pub async fn start_logging_to(&self, log: &Path) -> HostProcess {
        self.start_by(command(binary()), log).await
    }

    /// The same, of a process that may have so many file descriptors open, and cannot change that.
    pub async fn start_with_descriptors(&self, max: u32) -> HostProcess {
        let mut limited = command("prlimit");
        limited.arg(format!("--nofile={max}:{max}")).arg(binary());
        self.start_by(limited, &self.log()).await
    }

    /// The same, of a process to which a file that may not grow is an error, and not its end.
    pub async fn start_bearing_file_limits(&self) -> HostProcess {
        let mut bearing = command("sh");
        bearing.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary());
        self.start_by(bearing, &self.log()).await
    }

    async fn start_by(&self, mut host: Command, log: &Path) -> HostProcess {
        let file = fs::File::create(log).expect("a log");
        host.args(["serve", "--config"]).arg(self.configuration_file());
        let mut child = host.stdin(Stdio::null()).stderr(file).spawn().expect("the host starts");
        let serving = async {
            loop {
                let said = fs::read_to_string(log).expect("the log");
                if let Some(address) = said.lines().find_map(address_in) {
                    return address;
                }
                let ended = child.try_wait().expect("a process");
                assert!(ended.is_none(), "the host does not start: {said}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let address = tokio::time::timeout(WITHIN, serving).await.expect("the host serves");
        let pid = child.id().expect("a process that runs");
        let client = Client::new(format!("http://{address}/mcp"), Some(app::token("head-office")));
        let socket = self.folder().join("admin.sock");
        HostProcess { child: Mutex::new(child), pid, address, client, socket }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["local_addr"].as_str()?.parse().ok()
}

/// The real binary, serving. It is killed when this is dropped.
#[derive(Debug)]
pub struct HostProcess {
    child: Mutex<Child>,
    pid: u32,
    address: SocketAddr,
    client: Client,
    socket: PathBuf,
}

impl HostProcess {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// An address of the server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A demo caller's client; it keeps its connections.
    pub fn client(&self, caller: &str) -> Client {
        self.client.with_token(app::token(caller))
    }

    /// Send it a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &self.pid.to_string()]).status();
        assert!(sent.expect("kill").success(), "SIG{name}");
    }

    /// From now on it can open a descriptor below this number alone. What is open stays open.
    pub fn limit_descriptors(&self, max: u32) {
        let limit = [format!("--pid={}", self.pid), format!("--nofile={max}:")];
        let set = std::process::Command::new("prlimit").args(limit).status();
        assert!(set.expect("prlimit").success(), "{max} descriptors");
    }

    /// From now on it can make no file longer than this; without a number, any file as long as it likes.
    pub fn limit_file_bytes(&self, max: Option<u64>) {
        let max = max.map_or("unlimited".to_owned(), |max| max.to_string());
        let limit = [format!("--pid={}", self.pid), format!("--fsize={max}:")];
        let set = std::process::Command::new("prlimit").args(limit).status();
        assert!(set.expect("prlimit").success(), "files of {max} bytes");
    }

    /// Wait for its end: its exit code, or none where a signal ended it.
    pub async fn ended(&self) -> Option<i32> {
        let mut child = self.child.lock().await;
        tokio::time::timeout(WITHIN, child.wait()).await.expect("the host ends").expect("a process").code()
    }

    /// What an operator sees of it, on its socket.
    pub async fn health(&self) -> Value {
        self.operator("/health").await.json().await.expect("JSON")
    }

    /// Lines that its log file has lost, as an operator reads it.
    pub async fn log_lines_lost(&self) -> u64 {
        let text = self.operator("/metrics").await.text().await.expect("a body");
        let lost = text.lines().find_map(|line| line.strip_prefix("stockade_log_lines_lost_total "));
        lost.expect("the metric").parse().expect("a number")
    }

    async fn operator(&self, path: &str) -> reqwest::Response {
        let client = reqwest::Client::builder().unix_socket(self.socket.as_path()).build().expect("a client");
        let request = client.get(format!("http://localhost{path}")).bearer_auth(app::OPERATOR_TOKEN);
        request.send().await.expect("a reply")
    }
}
