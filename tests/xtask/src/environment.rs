//! The variables that the commands read, and those that `cargo xtask test` sets for the tests.
//!
//! `tests/README.md` is the reference that users read; keep the two in step.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::model;
use crate::places::Places;
use crate::plugins::{self, Workspace};
use crate::postgres;

/// URL of an administrator's connection to a PostgreSQL ≥ 15 with pgvector, to use instead of a private cluster.
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
/// Folder with `postgres` and `initdb` for the tests' private clusters.
pub(crate) const POSTGRES_BIN: &str = "STOCKADE_POSTGRES_BIN";
/// Folder with the packed reference plugins.
pub(crate) const PLUGINS_DIR: &str = "STOCKADE_PLUGINS_DIR";
/// Folder with the packed plugins of `tests/guests`.
pub(crate) const GUESTS_DIR: &str = "STOCKADE_GUESTS_DIR";
/// Folder with `model.safetensors`, `tokenizer.json` and `config.json` of the embedding model.
pub(crate) const MODEL_DIR: &str = "STOCKADE_MODEL_DIR";

/// The program `pgbouncer`.
pub(crate) const PGBOUNCER_BIN: &str = "STOCKADE_PGBOUNCER_BIN";
/// The program `redis-server`.
pub(crate) const REDIS_BIN: &str = "STOCKADE_REDIS_BIN";

/// `libfaketime.so.1`, where there is one.
pub(crate) const FAKETIME_LIB: &str = "STOCKADE_FAKETIME_LIB";

/// The variable's value, None where it is unset or empty.
pub(crate) fn value(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Looks for what the host's build needs and Rust does not bring.
///
/// # Errors
/// Where it is missing; the text says what to type.
pub(crate) fn build_tools() -> Result<()> {
    let make = command::output(Command::new("make").arg("--version"));
    make.map(drop).context("the host's allocator is built with `make`: on Debian, apt install build-essential")
}

/// What the tests and the benchmark need beside the code.
#[derive(Debug)]
pub(crate) struct Prepared {
    postgres: PathBuf,
    model: PathBuf,
}

impl Prepared {
    /// Gets it all: programs, model, packed plugins and guests.
    ///
    /// # Errors
    /// Where something cannot be had; the text says what to type.
    pub(crate) async fn get(places: &Places) -> Result<Self> {
        build_tools()?;
        let prepared = Self { postgres: postgres::programs(places)?, model: model::directory(places)? };
        for workspace in [Workspace::Reference, Workspace::Guests] {
            plugins::build(places, workspace, &workspace.packed()?).await?;
        }
        Ok(prepared)
    }

    /// Tells a command where it is.
    ///
    /// # Errors
    /// Where this program lies in no target directory.
    pub(crate) fn tell(&self, command: &mut Command) -> Result<()> {
        command.env(POSTGRES_BIN, &self.postgres).env(MODEL_DIR, &self.model);
        command.env(PLUGINS_DIR, Workspace::Reference.packed()?).env(GUESTS_DIR, Workspace::Guests.packed()?);
        Ok(())
    }
}
