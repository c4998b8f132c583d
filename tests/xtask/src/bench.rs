//! `cargo xtask bench`: builds the benchmark optimised, gets what it needs, and runs it.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command;
use crate::environment;
use crate::model;
use crate::places::{Places, repository};
use crate::plugins::{self, Workspace};
use crate::postgres;

/// Runs the benchmark; it fails where a figure misses its bar.
///
/// # Errors
/// Where something that it needs cannot be had.
pub(crate) async fn run(places: &Places, json: bool) -> Result<ExitCode> {
    let postgres = postgres::programs(places)?;
    let model = model::directory(places)?;
    for workspace in [Workspace::Reference, Workspace::Guests] {
        plugins::build(places, workspace, &workspace.packed()?).await?;
    }
    let mut cargo = command::cargo();
    cargo.args(["run", "--release", "--bin", "stockade-bench", "--"]).current_dir(repository());
    cargo.args(json.then_some("--json"));
    cargo.env(environment::POSTGRES_BIN, postgres);
    cargo.env(environment::PLUGINS_DIR, Workspace::Reference.packed()?);
    cargo.env(environment::GUESTS_DIR, Workspace::Guests.packed()?);
    cargo.env(environment::MODEL_DIR, model);
    let ended = cargo.status().context("running cargo")?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
