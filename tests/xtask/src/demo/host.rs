//! The server as a child process: started, awaited, told to stop once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::folder::Folder;
use crate::command;

/// How long the server may take until it is ready: it may compile every plugin, and load the model.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks at `/readyz`.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// Lines of the log that an error shows.
const LOG_LINES: usize = 20;

/// A running server.
#[derive(Debug)]
pub(super) struct Host {
    child: Child,
    log: PathBuf,
}

impl Host {
    /// Starts `stockade serve`, with its log in the folder.
    ///
    /// It gets a process group of its own, so that Ctrl-C reaches it once, through [`Host::stop`], and
    /// not a second time from the terminal.
    pub(super) fn start(binary: &Path, config: &Path, folder: &Folder) -> Result<Self> {
        eprintln!("==> starting the server");
        let log = folder.join("server.log");
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        Ok(Self { child, log })
    }

    /// Waits until the server says that it is ready.
    ///
    /// # Errors
    /// Where it ends, or is not ready in time; with the end of its log.
    pub(super) async fn ready(&mut self, url: &str) -> Result<()> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
        let began = Instant::now();
        loop {
            if client.get(format!("{url}/readyz")).send().await.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status} while starting.\n{}", self.end_of_log());
            }
            if began.elapsed() > READY_TIMEOUT {
                bail!("the server was not ready within {} s.\n{}", READY_TIMEOUT.as_secs(), self.end_of_log());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until it ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> Result<String> {
        let status = self.child.wait().await?;
        Ok(format!("{status}.\n{}", self.end_of_log()))
    }

    /// Asks it to stop and waits until it has, and with it its database.
    ///
    /// # Errors
    /// Where it ended with a failure.
    pub(super) async fn stop(&mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            // A shell has `kill` where the machine has no such program.
            command::run(std::process::Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]))?;
        }
        let status = self.child.wait().await?;
        self.judge(status)
    }

    /// Ends it at once; its database notices and stops too.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing the server")
    }

    fn judge(&self, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!("the server ended with {status}.\n{}", self.end_of_log());
        }
        Ok(())
    }

    fn end_of_log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        format!("The end of {}:\n{}", self.log.display(), end.join("\n"))
    }
}
