//! Stockade's development commands: `cargo demo` and `cargo xtask …`. README.md beside this crate says what each does.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on may panic"))]

mod bench;
mod command;
mod debian;
mod demo;
mod digest;
mod environment;
mod fuzz;
mod guest;
mod install;
mod model;
mod places;
mod plugins;
mod postgres;
mod soak;
mod tests;
mod tidy;
mod wheel;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::places::Places;
use crate::plugins::Workspace;

/// Stockade's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Get what is missing, build, load the data, start the server, make a call, say what to do next.
    Demo(demo::Options),
    /// Build every plugin and pack it with its manifest.
    Plugins {
        /// Where the packed plugins go; the target directory's `plugins` unless given.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run every test that this machine can run, a real PostgreSQL included; ends with one line of numbers.
    Test,
    /// Measure what a call through the sandbox costs, as ratios with their bars.
    Bench {
        /// Print JSON, for scripts.
        #[arg(long)]
        json: bool,
        /// The groups to measure; all unless given.
        #[arg(value_parser = ["http", "instance", "statement", "rows", "memory"])]
        groups: Vec<String>,
    },
    /// Send random input to what reads strangers' first: each target of tests/fuzz, or one, for a while.
    Fuzz {
        /// One target alone.
        target: Option<String>,
        /// How long each runs.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Let 32 clients call one host for a while, with swaps and faults every few seconds: memory and descriptors
    /// stay level, and every reply is checked.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// Print the PostgreSQL to use: DATABASE_URL, else a folder with its programs, fetched if need be.
    Postgres {
        /// PostgreSQL 16 instead, an older one to run the tests against.
        #[arg(long)]
        sixteen: bool,
    },
    /// Print the folder with the embedding model, fetched if need be.
    Model,
    /// Print the programs of the servers that tests talk to beside PostgreSQL, fetched if need be.
    Servers,
    /// Check the house rules: who knows whom, names, lengths, words.
    Tidy,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(task: Task) -> Result<ExitCode> {
    let places = Places::find()?;
    match task {
        Task::Demo(options) => demo::run(&places, &options).await?,
        Task::Plugins { out } => {
            let out = out.map_or_else(|| Workspace::Reference.packed(), Ok)?;
            for plugin in plugins::build(&places, Workspace::Reference, &out).await? {
                println!("{}", plugin.file.display());
            }
        }
        Task::Test => {
            let tally = tests::run(&places).await?;
            if !tally.report.is_empty() {
                println!("\n==> what failed\n{}", tally.report.join("\n"));
            }
            println!("{tally}");
            return Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Task::Bench { json, groups } => return bench::run(&places, json, &groups).await,
        Task::Fuzz { target, seconds } => fuzz::run(&places, target.as_deref(), seconds)?,
        Task::Soak { minutes } => return soak::run(&places, minutes).await,
        Task::Postgres { sixteen: true } => println!("{}", postgres::sixteen(&places)?.display()),
        Task::Postgres { sixteen: false } => match postgres::find(&places)? {
            postgres::Postgres::Server(url) => println!("{url}"),
            postgres::Postgres::Programs(bin) => println!("{}", bin.display()),
        },
        Task::Model => println!("{}", model::directory(&places)?.display()),
        Task::Servers => {
            for server in [debian::PGBOUNCER, debian::REDIS] {
                println!("{}={}", server.variable(), server.find(&places)?.display());
            }
            println!("{}={}", environment::FAKETIME_LIB, debian::faketime(&places)?.display());
        }
        Task::Tidy => {
            let (_, failed) = tidy::report(&tidy::check(places::repository())?);
            return Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}
