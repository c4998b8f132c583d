//! Commands that ask a running host, on its operators' side.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Context, bail};
use reqwest::{Client, Method, StatusCode};
use stockade_db::{Secret, StatementStatistics};
use stockade_server::{ListenAddress, config::Config, environment::Environment};

use super::{path_of, table};
use crate::cli::HostArg;

/// Time that a host has to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running host, as an operator.
pub(super) struct Host {
    client: Client,
    base: String,
    address: ListenAddress,
    token: Secret,
}

impl Host {
    pub(super) fn find(arg: HostArg, environment: &Environment) -> anyhow::Result<Self> {
        let token = match (&arg.token_file, &environment.admin_token) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path);
                Secret::new(text.with_context(|| format!("cannot read {}", path.display()))?.trim())
            }
            (None, Some(token)) => token.clone(),
            (None, None) => bail!("no operators' token: give `--token-file FILE`, or set STOCKADE_ADMIN_TOKEN"),
        };
        let config = Config::load(&path_of(arg.config, environment)?)?;
        let Some(address) = config.admin.listen else {
            bail!("the configuration has no `listen` in [admin]: the host has no side for operators")
        };
        let client = Client::builder().timeout(TIMEOUT).no_proxy();
        let (client, base) = match &address {
            ListenAddress::Tcp(address) => (client, format!("http://{address}")),
            ListenAddress::Unix(path) => (client.unix_socket(path.as_path()), "http://localhost".to_owned()),
        };
        Ok(Self { client: client.build()?, base, address, token })
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<(StatusCode, String)> {
        let request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(self.token.expose());
        let response = request.body(body).send().await.map_err(reqwest::Error::without_url);
        let response = response.with_context(|| format!("no host answers at {}", self.address))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => bail!("the host at {} does not know this operators' token", self.address),
            status => Ok((status, response.text().await?)),
        }
    }
}

pub(crate) async fn health(arg: HostArg, environment: &Environment) -> anyhow::Result<()> {
    let (status, body) = Host::find(arg, environment)?.ask(Method::GET, "/health", String::new()).await?;
    let health: serde_json::Value = serde_json::from_str(&body).context("the host's answer is no JSON")?;
    writeln!(io::stdout(), "{health:#}")?;
    if status.is_success() {
        return Ok(());
    }
    bail!("the host cannot serve: {}", health.get("reasons").unwrap_or(&serde_json::Value::Null))
}

pub(crate) async fn stats(
    arg: HostArg,
    environment: &Environment,
    json: bool,
    watch: Option<u64>,
    rows: usize,
) -> anyhow::Result<()> {
    let host = Host::find(arg, environment)?;
    loop {
        let (status, body) = host.ask(Method::GET, "/stats", String::new()).await?;
        if !status.is_success() {
            bail!("the host answered {status}: {body}");
        }
        let mut text = if json {
            body
        } else {
            let statistics: StatementStatistics =
                serde_json::from_str(&body).context("the host's answer has not the form of this version's")?;
            table::of(&statistics, rows)
        };
        if watch.is_some() && io::stdout().is_terminal() {
            // From the top of an empty screen.
            text.insert_str(0, "\x1b[2J\x1b[H");
        }
        match (writeln!(io::stdout(), "{text}"), watch) {
            (Ok(()), Some(seconds)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            // Whoever read this has gone.
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            (written, _) => return Ok(written?),
        }
    }
}

pub(crate) async fn reload(arg: HostArg, environment: &Environment) -> anyhow::Result<()> {
    let (status, body) = Host::find(arg, environment)?.ask(Method::POST, "/reload", String::new()).await?;
    let answer: serde_json::Value = serde_json::from_str(&body).context("the host's answer is no JSON")?;
    if !status.is_success() {
        bail!("{}", answer.get("error").and_then(serde_json::Value::as_str).unwrap_or(&body));
    }
    let changed = answer.get("changed").and_then(serde_json::Value::as_array);
    let changed = changed.into_iter().flatten().filter_map(serde_json::Value::as_str);
    let changed = changed.collect::<Vec<_>>().join(", ");
    let said = if changed.is_empty() {
        "reloaded; nothing has changed".to_owned()
    } else {
        format!("reloaded; changed: {changed}")
    };
    Ok(writeln!(io::stdout(), "{said}")?)
}
