//! Where things are kept on this machine: what was fetched, and what the demo made.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Overrides the cache folder; for a machine whose home is small or read-only.
pub(crate) const CACHE_DIR: &str = "STOCKADE_CACHE_DIR";

/// The two folders outside the clone that the commands write to.
///
/// A user has them in the home folder. Root cannot: PostgreSQL refuses to run as root, so it runs as
/// another user, and that user must be able to walk every folder of the path to its files.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// What was fetched or built from what was fetched; may be deleted at any time.
    pub(crate) cache: PathBuf,
    /// What the demo keeps: the database, its keys and tokens.
    pub(crate) data: PathBuf,
}

impl Places {
    /// Reads the environment; creates nothing.
    ///
    /// # Errors
    /// Where neither the environment nor the user's home says where to put things.
    pub(crate) fn find() -> Result<Self> {
        let (mut cache, data) = if is_root()? {
            (PathBuf::from("/var/cache/stockade"), PathBuf::from("/var/lib/stockade"))
        } else {
            (
                base("XDG_CACHE_HOME", ".cache")?.join("stockade"),
                base("XDG_DATA_HOME", ".local/share")?.join("stockade"),
            )
        };
        if let Some(dir) = env::var_os(CACHE_DIR) {
            cache = PathBuf::from(dir);
        }
        Ok(Self { cache, data })
    }
}

/// The XDG base directory specification: the variable if it is an absolute path, else a folder in the home.
fn base(variable: &str, under_home: &str) -> Result<PathBuf> {
    if let Some(dir) = env::var_os(variable).map(PathBuf::from).filter(|dir| dir.is_absolute()) {
        return Ok(dir);
    }
    let home = env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .with_context(|| format!("neither {variable} nor HOME is set: set {CACHE_DIR}, or HOME"))?;
    Ok(Path::new(&home).join(under_home))
}

/// Whether this process is root. `id` is asked because std has no call for it.
fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("running `id -u`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// The root of the clone that this binary was built from.
pub(crate) fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Where this build's artifacts are: the folder above the profile that holds this binary.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let binary = env::current_exe().context("finding this program")?;
    let directory = binary.ancestors().nth(2);
    Ok(directory.with_context(|| format!("{} lies in no target directory", binary.display()))?.to_owned())
}
