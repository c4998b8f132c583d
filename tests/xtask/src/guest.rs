//! The compiler that builds plugins: one with a standard library for `wasm32-unknown-unknown`.

mod debian;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::places::Places;

/// The target of every Rust plugin.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A way to compile for [`TARGET`].
#[derive(Debug)]
pub(crate) enum Toolchain {
    /// The toolchain in use has the target.
    Installed,
    /// A private one; cargo is told to use this compiler, in a target directory of its own.
    Private {
        /// The compiler to name in `RUSTC`.
        rustc: PathBuf,
    },
}

impl Toolchain {
    /// The installed target, else one made of Debian packages in the cache folder.
    ///
    /// # Errors
    /// Where there is neither; the text says what to type.
    pub(crate) fn find(places: &Places) -> Result<Self> {
        if installed()? {
            return Ok(Self::Installed);
        }
        let rustc = debian::rustc(places).with_context(|| {
            format!("plugins need Rust's standard library for {TARGET}. Type `rustup target add {TARGET}`, then run this again")
        })?;
        Ok(Self::Private { rustc })
    }

    /// Sets on a cargo command what this toolchain needs.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        if let Self::Private { rustc } = self {
            cargo.env("RUSTC", rustc).env_remove("RUSTC_WRAPPER").env_remove("RUSTC_WORKSPACE_WRAPPER");
        }
    }
}

/// The triple of this machine, as the compiler in use names it.
///
/// # Errors
/// Where there is no `rustc`, or it prints something new.
pub(crate) fn host() -> Result<String> {
    field("host:")
}

/// A line of `rustc -vV`, such as `host: x86_64-unknown-linux-gnu`.
fn field(name: &str) -> Result<String> {
    let verbose = command::output(Command::new("rustc").arg("-vV"))?;
    let value = verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    value.map(str::to_owned).with_context(|| format!("`rustc -vV` prints no {name}"))
}

/// Whether the toolchain in use can compile for the target: the folder is named whether it exists or not.
fn installed() -> Result<bool> {
    let libdir = command::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    Ok(PathBuf::from(libdir.trim_end()).is_dir())
}
