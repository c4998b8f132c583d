//! Stockade's development commands: `cargo demo` and `cargo xtask …`. README.md beside this crate says what each does.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")
)]

mod command;
mod environment;
mod guest;
mod install;
mod model;
mod places;
mod postgres;
mod tidy;
mod wheel;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::places::Places;

/// Stockade's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Print the PostgreSQL to use: DATABASE_URL, else a folder with its programs, fetched if need be.
    Postgres,
    /// Print the folder with the embedding model, fetched if need be.
    Model,
    /// Check the house rules: who knows whom, names, lengths, words.
    Tidy,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let places = Places::find()?;
    match task {
        Task::Postgres => match postgres::find(&places)? {
            postgres::Postgres::Server(url) => println!("{url}"),
            postgres::Postgres::Programs(bin) => println!("{}", bin.display()),
        },
        Task::Model => println!("{}", model::directory(&places)?.display()),
        Task::Tidy => {
            let (_, failed) = tidy::report(&tidy::check(places::repository())?);
            return Ok(if failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
