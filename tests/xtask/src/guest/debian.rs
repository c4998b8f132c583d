//! A private compiler with the guest standard library, out of Debian's packages: no root, nothing installed.
//!
//! Debian ships `rustc-web`, a recent compiler, and its sources, `rust-web-src`, always of one version. The
//! standard library is built from them once. Linkers come from the toolchain in use.
//!
//! apt gets state and cache folders of its own, so it needs no rights; it reads the machine's sources and
//! keys, and verifies signatures and digests as it always does.

mod sysroot;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
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
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
        ensure!(found, "this machine has no {program}, so Debian's packages are no way here");
    }
    let work = tempfile::tempdir_in(staging)?;
    let apt = Apt::update(work.path())?;
    let version = apt.version()?;
    eprintln!("==> fetching a compiler for plugins: Debian's rustc-web {version} (about 155 MB, once)");
    let packages = apt.packages(&version)?;
    let root = staging.join("root");
    apt.unpack(&packages, &root)?;
    eprintln!("==> building the standard library for plugins (about a minute, once)");
    sysroot::build(staging, linkers, work.path())?;
    Ok(packages.join("\n") + "\n")
}

/// apt with folders of its own.
struct Apt {
    state: PathBuf,
    cache: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn update(work: &Path) -> Result<Self> {
        let apt = Self { state: work.join("state"), cache: work.join("cache"), archives: work.join("archives") };
        fs::create_dir_all(apt.state.join("lists/partial"))?;
        fs::create_dir_all(apt.cache.join("archives/partial"))?;
        fs::create_dir_all(&apt.archives)?;
        command::run(apt.command("apt-get").args(["-qq", "--error-on=any", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-o").arg(format!("Dir::State={}", self.state.display()));
        command.arg("-o").arg(format!("Dir::Cache={}", self.cache.display()));
        // Run as root, apt would fetch as a user of its own, who may not write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command.env("LC_ALL", "C").current_dir(&self.archives);
        command
    }

    /// The pinned version while there is one, else the candidate, if it is new enough.
    fn version(&self) -> Result<String> {
        let rows = command::output(self.command("apt-cache").args(["madison", "rustc-web"]))?;
        choose(&rows)
    }

    /// `name=version` of each package to fetch: compiler, library, sources, and what the compiler's
    /// code generator links that a machine with apt need not have.
    fn packages(&self, version: &str) -> Result<Vec<String>> {
        let library = self.depends(&format!("libstd-rust-web-dev={version}"), "libstd-rust-web-")?;
        let llvm = self.depends(&format!("{library}={version}"), "libllvm")?;
        let mut packages: Vec<String> = ["rustc-web", "libstd-rust-web-dev", library.as_str(), "rust-web-src"]
            .iter()
            .map(|name| format!("{name}={version}"))
            .collect();
        let closure = command::output(self.command("apt-cache").args([
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
        let on_every_machine =
            |name: &str| matches!(name, "libc6" | "libgcc-s1" | "libstdc++6" | "zlib1g") || name.starts_with("gcc-");
        for name in closure.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())) {
            if !on_every_machine(name) && !name.contains(':') {
                packages.push(format!("{name}={}", self.candidate(name)?));
            }
        }
        Ok(packages)
    }

    /// The first dependency of `package` whose name starts with `prefix`.
    fn depends(&self, package: &str, prefix: &str) -> Result<String> {
        let text = command::output(self.command("apt-cache").args(["show", package]))?;
        let names = text.lines().filter_map(|line| line.strip_prefix("Depends: ")).flat_map(|line| line.split(", "));
        names
            .filter_map(|entry| entry.split_whitespace().next())
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("Debian's {package} depends on no {prefix}*: the packages have changed"))
    }

    fn candidate(&self, name: &str) -> Result<String> {
        let text = command::output(self.command("apt-cache").args(["policy", name]))?;
        text.lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "))
            .map(str::to_owned)
            .with_context(|| format!("Debian's package {name} has no candidate"))
    }

    fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        command::run(self.command("apt-get").args(["-q", "download"]).args(packages))?;
        let mut debs = fs::read_dir(&self.archives)?.collect::<std::io::Result<Vec<_>>>()?;
        debs.retain(|entry| entry.path().extension().is_some_and(|extension| extension == "deb"));
        ensure!(debs.len() == packages.len(), "apt fetched {} of {} packages", debs.len(), packages.len());
        for deb in debs {
            command::run(Command::new("dpkg-deb").arg("-x").arg(deb.path()).arg(root))?;
        }
        Ok(())
    }
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
