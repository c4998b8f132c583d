//! `cargo xtask fuzz`: each target of `tests/fuzz` for a while, with cargo-fuzz.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::install;
use crate::places::{Places, repository, target_directory};

const CARGO_FUZZ: &str = "0.13.1";
/// Longest input, in bytes: what a statement may have at most.
const INPUT_BYTES_MAX: u32 = 65_536;
/// An input that takes longer is a finding, in seconds. The code is built for measuring, not for speed.
const INPUT_S_MAX: u32 = 10;
/// Memory that is a finding, in MiB.
const MEMORY_MIB_MAX: u32 = 2_048;

/// Runs one target, or all.
///
/// # Errors
/// Where cargo-fuzz cannot be had, a target does not build, or one has a finding.
pub(crate) fn run(places: &Places, target: Option<&str>, seconds: u32) -> Result<()> {
    let targets = targets()?;
    if let Some(target) = target
        && !targets.iter().any(|known| known == target)
    {
        bail!("there is no target {target:?} in tests/fuzz: expected one of {}", targets.join(", "));
    }
    let cargo_fuzz = cargo_fuzz(places)?;
    // All at once, so that what does not build is not taken for a finding.
    let mut build = fuzz(&cargo_fuzz, "build");
    command::run(build.args(target)).context("the targets of tests/fuzz do not build")?;
    for name in targets.iter().filter(|name| target.is_none_or(|target| target == *name)) {
        eprintln!("==> fuzzing {name} for {seconds} seconds");
        // What a run finds worth keeping goes first, so libFuzzer writes it there and only reads the corpus.
        let found = target_directory()?.join("fuzz-corpus").join(name);
        fs::create_dir_all(&found).with_context(|| format!("creating {}", found.display()))?;
        let mut fuzz = fuzz(&cargo_fuzz, "run");
        fuzz.arg(name).arg(found).arg(repository().join("tests/fuzz/corpus").join(name)).arg("--");
        fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
        fuzz.arg(format!("-timeout={INPUT_S_MAX}")).arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command::run(&mut fuzz).with_context(|| {
            format!("a finding of {name}: mend it, and keep the input that is named above in tests/fuzz/corpus/{name}")
        })?;
    }
    Ok(())
}

/// cargo-fuzz with one of its commands.
fn fuzz(cargo_fuzz: &Path, task: &str) -> Command {
    let mut fuzz = Command::new(cargo_fuzz);
    // No sanitizer: there is no unsafe code in the host, and what is looked for are panics.
    fuzz.args(["fuzz", task, "--fuzz-dir", "tests/fuzz", "--sanitizer", "none"]);
    // cargo-fuzz asks the compiler for a flag that stable has behind this door alone.
    fuzz.env("RUSTC_BOOTSTRAP", "1").current_dir(repository());
    fuzz
}

/// The names of the targets, sorted.
fn targets() -> Result<Vec<String>> {
    let folder = repository().join("tests/fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn cargo_fuzz(places: &Places) -> Result<PathBuf> {
    let version = format!("cargo-fuzz {CARGO_FUZZ}");
    let installed = command::output(Command::new("cargo-fuzz").args(["fuzz", "--version"]));
    if installed.is_ok_and(|found| found.trim() == version) {
        return Ok(PathBuf::from("cargo-fuzz"));
    }
    let folder = places.cache.join(format!("tools/cargo-fuzz-{CARGO_FUZZ}"));
    install::once(&folder, "cargo-fuzz", |staging| {
        eprintln!("    installing cargo-fuzz {CARGO_FUZZ}");
        let mut cargo = command::cargo();
        cargo.args(["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ, "--root"]).arg(staging);
        // Flags that are meant for the host would apply to the tool.
        command::run(cargo.env_remove("RUSTFLAGS"))?;
        Ok(version)
    })?;
    Ok(folder.join("bin/cargo-fuzz"))
}
