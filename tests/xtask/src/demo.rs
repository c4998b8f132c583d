//! `cargo demo`: from a fresh clone to a server with data, tools and a call that was really made.

mod call;
mod configuration;
mod database;
mod embedder;
mod folder;
mod host;
mod page;
mod progress;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command;
use crate::environment;
use crate::model;
use crate::places::{Places, repository};
use crate::plugins::{self, Plugin, Workspace};
use crate::postgres;

use call::ToolCall;
use folder::Folder;
use host::Host;

/// Where the server listens, on loopback, unless the port is taken.
const PORT: u16 = 8808;
/// Plugins that exist to be measured; the demo leaves them out.
const FOR_MEASURING: &[&str] = &["noop", "bench-sum"];

/// What `cargo demo` can be told.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The port to listen on, on loopback. Without it 8808, or a free one where that is taken.
    #[arg(long)]
    port: Option<u16>,
    /// Forget what earlier demos kept, and make the data anew.
    #[arg(long)]
    fresh: bool,
    /// Do everything from nothing in a folder that is removed after, make the call, stop.
    #[arg(long, conflicts_with = "fresh")]
    check: bool,
}

/// Runs the demo until Ctrl-C, or with `--check` until the call is made.
///
/// # Errors
/// Where a step fails; the text says what is missing and what to type.
pub(crate) async fn run(places: &Places, options: &Options) -> Result<()> {
    let began = Instant::now();
    environment::build_tools()?;
    let folder = if options.check { Folder::passing(places)? } else { Folder::kept(places)? };
    let postgres = postgres::find(places)?;
    let model = model::directory(places)?;
    let plugins = reference_plugins(places).await?;
    let binary = build_host()?;

    if options.fresh {
        folder.clear()?;
    }
    let secrets = folder.secrets()?;
    let prepared = database::prepare(&folder, postgres, &model, &secrets, options.fresh).await?;
    let address = address(options)?;
    let url = format!("http://{address}");
    let config = configuration::write(&folder, &prepared, &model, &secrets, &plugins, address)?;

    let mut stop = Stop::listen()?;
    let mut host = Host::start(&binary, &config, &folder)?;
    let served = tokio::select! {
        served = serve(&mut host, &url, &secrets, options.check) => served,
        () = stop.asked() => Ok(None),
    };
    if let Ok(Some(answer)) = &served {
        page::print(&page::Facts {
            url: &url,
            binary: &binary,
            config: &config,
            folder: &folder,
            secrets: &secrets,
            loaded: &prepared.loaded,
            answer,
            ready_after: began.elapsed(),
        });
        if !options.check {
            tokio::select! {
                ended = host.ended() => bail!("the server ended by itself: {}", ended?),
                () = stop.asked() => {}
            }
        }
    }
    eprintln!("\n==> stopping");
    // A second signal means: now.
    let stopped = tokio::select! {
        stopped = host.stop() => stopped,
        () = stop.asked() => host.kill().await,
    };
    // Why it did not get so far is worth more than how it stopped.
    served.and(stopped)?;
    folder.leave()
}

/// A call that was made, and what came back.
#[derive(Debug)]
struct Answer {
    call: ToolCall,
    caller: String,
    result: serde_json::Value,
    took: std::time::Duration,
}

/// Waits until the host is ready and makes the call; None where the call cannot be made any more.
async fn serve(host: &mut Host, url: &str, secrets: &folder::Secrets, with_curl: bool) -> Result<Option<Answer>> {
    host.ready(url).await?;
    let caller = zava_retail::demo_callers().into_iter().next().context("the demo has no callers")?;
    let token = secrets.token(caller.key)?;
    let call = ToolCall::store_performance();
    let began = Instant::now();
    let result = call.send(url, token).await?;
    let took = began.elapsed();
    if with_curl {
        call.send_by_curl(url, token)?;
    }
    Ok(Some(Answer { call, caller: caller.display_name, result, took }))
}

/// Builds the server in the profile of this program, and returns its binary.
fn build_host() -> Result<PathBuf> {
    eprintln!("==> building the server");
    let mut cargo = command::cargo();
    // With this package: alone, the server would get other features of shared libraries, and build all again.
    cargo.args(["build", "--package", "stockade-server", "--package", "xtask"]).current_dir(repository());
    command::run(&mut cargo).context("the server does not build: see cargo's messages above")?;
    Ok(std::env::current_exe().context("finding this program")?.with_file_name("stockade"))
}

/// Builds all plugins, and gives those of the reference application.
async fn reference_plugins(places: &Places) -> Result<Vec<Plugin>> {
    let mut all = plugins::build(places, Workspace::Reference, &Workspace::Reference.packed()?).await?;
    all.retain(|plugin| !FOR_MEASURING.contains(&plugin.name.as_str()));
    Ok(all)
}

/// The address to listen on.
fn address(options: &Options) -> Result<SocketAddr> {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    match options.port {
        Some(port) => {
            free(port).with_context(|| format!("cannot listen on port {port} of 127.0.0.1: choose another --port"))
        }
        None if options.check => free(0).context("no free port"),
        None => free(PORT).or_else(|_| free(0)).context("no free port"),
    }
}

/// The signals that end a demo.
struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        let signals =
            [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
        Ok(Self { signals })
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
