//! The binary `stockade`.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test says what went wrong by panicking"
    )
)]

mod cli;
mod commands;
mod signals;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use stockade_server::environment::Environment;

use crate::cli::{Cli, Command, PluginCommand, TokenCommand};

/// It gives back what a burst of calls took. Under the system's allocator each thread that ever allocated beside
/// others leaves a heap of its own behind, and a host that runs for long holds ever more.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let done = runtime.block_on(run(cli));
        // A read of standard input cannot be cancelled; it must not keep the process.
        runtime.shutdown_timeout(Duration::from_millis(200));
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stockade: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let environment = Environment::read();
    match cli.command {
        Command::Serve(config) => commands::serve(config, &environment).await,
        Command::Stdio(config) => commands::stdio(config, &environment).await,
        Command::Migrate { config, admin_url } => commands::migrate(config, admin_url, &environment).await,
        Command::Health(host) => commands::health(host, &environment).await,
        Command::Reload(host) => commands::reload(host, &environment).await,
        Command::Stats { host, json, watch, rows } => commands::stats(host, &environment, json, watch, rows).await,
        Command::Embed(args) => commands::embed(args, &environment).await,
        Command::Plugin(PluginCommand::Pack { component, manifest, output }) => {
            commands::pack(component, manifest, output).await
        }
        Command::Plugin(PluginCommand::Inspect { plugin }) => commands::inspect(&plugin),
        Command::Token(TokenCommand::New) => {
            commands::new_token();
            Ok(())
        }
    }
}
