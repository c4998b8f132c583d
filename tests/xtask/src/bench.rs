//! `cargo xtask bench`: builds the benchmark optimised, gets what it needs, and runs it.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command;
use crate::environment::Prepared;
use crate::places::{Places, repository};

/// Runs the benchmark; it fails where a figure misses its bar.
///
/// # Errors
/// Where something that it needs cannot be had.
pub(crate) async fn run(places: &Places, json: bool, groups: &[String]) -> Result<ExitCode> {
    let prepared = Prepared::get(places).await?;
    let mut cargo = command::cargo();
    cargo.args(["run", "--release", "--bin", "stockade-bench", "--"]).current_dir(repository());
    cargo.args(json.then_some("--json")).args(groups);
    prepared.tell(&mut cargo)?;
    let ended = cargo.status().context("running cargo")?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
