//! `cargo xtask soak`: builds the host and the soak optimised, gets what it needs, and lets it run.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command;
use crate::environment::Prepared;
use crate::places::{Places, repository};

/// Runs it; it fails where memory or descriptors rise, or a reply is wrong.
///
/// # Errors
/// Where something that it needs cannot be had.
pub(crate) async fn run(places: &Places, minutes: u32) -> Result<ExitCode> {
    let prepared = Prepared::get(places).await?;
    let mut host = command::cargo();
    host.args(["build", "--release", "--bin", "stockade", "--bin", "stockade-soak"]).current_dir(repository());
    prepared.tell(&mut host)?;
    if !host.status().context("running cargo")?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let mut soak = command::cargo();
    soak.args(["run", "--release", "--bin", "stockade-soak", "--", &minutes.to_string()]).current_dir(repository());
    prepared.tell(&mut soak)?;
    let ended = soak.status().context("running cargo")?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
