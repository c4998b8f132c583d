//! A private compiler with the guest standard library, out of Debian's packages: no root, nothing installed.
//!
//! Debian ships `rustc-web`, a recent compiler, and its sources, `rust-web-src`, always of one version. The
//! standard library is built from them once. Linkers come from the toolchain in use.

mod sysroot;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::debian::{Apt, on_every_machine};
use crate::install;
use crate::places::Places;

/// The version that was tried, used while Debian carries it.
const PINNED: &str = "1.96.0+dfsg1-1~deb12u2";
/// The oldest compiler that builds the plugins (edition 2024 and the language of their dependencies).
const MINOR_MIN: u32 = 90;

/// The private compiler; made on first use.
///
/// # Errors
/// Where this is no Debian, its packages cannot be had, or the library does not build.
pub(super) fn rustc(places: &Places) -> Result<PathBuf> {
    let linkers = sysroot::Linkers::find()?;
    // One per toolchain in use: it borrows that toolchain's linkers.
    let dir = places.cache.join("guest").join(format!("debian-{}", linkers.version));
    install::once(&dir, "the compiler for plugins", |staging| make(staging, &linkers))?;
    sysroot::link(&dir, &linkers)?;
    Ok(dir.join("bin/rustc"))
}

fn make(staging: &Path, linkers: &sysroot::Linkers) -> Result<String> {
    let work = tempfile::tempdir_in(staging)?;
    let apt = Apt::update(work.path())?;
    // The pinned version while there is one, else the newest, if it is new enough.
    let version = choose(&apt.versions("rustc-web")?)?;
    eprintln!("==> fetching a compiler for plugins: Debian's rustc-web {version} (about 155 MB, once)");
    let packages = packages(&apt, &version)?;
    let root = staging.join("root");
    apt.unpack(&packages, &root)?;
    eprintln!("==> building the standard library for plugins (about a minute, once)");
    sysroot::build(staging, linkers, work.path())?;
    Ok(packages.join("\n") + "\n")
}

/// `name=version` of each package to fetch: compiler, library, sources, and what the compiler's
/// code generator links that a machine with apt need not have.
fn packages(apt: &Apt, version: &str) -> Result<Vec<String>> {
    let library = depends(apt, &format!("libstd-rust-web-dev={version}"), "libstd-rust-web-")?;
    let llvm = depends(apt, &format!("{library}={version}"), "libllvm")?;
    let mut packages: Vec<String> = ["rustc-web", "libstd-rust-web-dev", library.as_str(), "rust-web-src"]
        .iter()
        .map(|name| format!("{name}={version}"))
        .collect();
    let closure = command::output(apt.command("apt-cache").args([
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
        &llvm,
    ]))?;
    for name in closure.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())) {
        if !on_every_machine(name) && !name.contains(':') {
            packages.push(format!("{name}={}", apt.candidate(name)?));
        }
    }
    Ok(packages)
}

/// The first dependency of `package` whose name starts with `prefix`.
fn depends(apt: &Apt, package: &str, prefix: &str) -> Result<String> {
    apt.depends(package)?
        .into_iter()
        .find(|name| name.starts_with(prefix))
        .with_context(|| format!("Debian's {package} depends on no {prefix}*: the packages have changed"))
}

/// Picks from the rows of `apt-cache madison`: `name | version | source`.
fn choose(rows: &str) -> Result<String> {
    let versions = || rows.lines().filter_map(|row| row.split('|').nth(1)).map(str::trim);
    if versions().any(|version| version == PINNED) {
        return Ok(PINNED.to_owned());
    }
    let minor = |version: &str| version.strip_prefix("1.")?.split('.').next()?.parse::<u32>().ok();
    match versions().max_by_key(|version| minor(version)) {
        Some(newest) if minor(newest).is_some_and(|minor| minor >= MINOR_MIN) => Ok(newest.to_owned()),
        Some(newest) => {
            bail!("Debian's newest rustc-web here is {newest}; 1.{MINOR_MIN} or newer is needed")
        }
        None => {
            bail!("this machine's package sources have no rustc-web (Debian's main archive has it)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_version_is_taken_while_there_is_one() {
        let rows = format!(" rustc-web | 1.99.0+dfsg1-1 | a main\n rustc-web | {PINNED} | b main\n");
        assert_eq!(choose(&rows).unwrap(), PINNED);
    }

    #[test]
    fn else_the_newest_that_is_new_enough() {
        let rows = " rustc-web | 1.85.0+dfsg3-1 | a main\n rustc-web | 1.101.0+dfsg1-1 | b main\n";
        assert_eq!(choose(rows).unwrap(), "1.101.0+dfsg1-1");
        let old = choose(" rustc-web | 1.85.0+dfsg3-1 | a main\n").unwrap_err().to_string();
        assert!(old.contains("1.85.0+dfsg3-1") && old.contains("1.90"), "{old}");
        assert!(choose("").unwrap_err().to_string().contains("no rustc-web"));
    }
}
