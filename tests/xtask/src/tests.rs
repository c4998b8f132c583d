//! `cargo xtask test`: every test that this machine can run, counted.

mod programs;
mod tally;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::command;
use crate::environment::Prepared;
use crate::guest;
use crate::places::{Places, repository};
use crate::tidy;

pub(crate) use tally::Tally;

/// Gets what the tests need, runs them all, and says how many passed; a failure does not stop the rest.
///
/// # Errors
/// Where something that the tests need cannot be had. A failed test is no error: it is counted.
pub(crate) async fn run(places: &Places) -> Result<Tally> {
    let prepared = Prepared::get(places).await?;

    let mut tally = Tally::default();
    let (held, broken) = tidy::report(&tidy::check(repository())?);
    tally.passed += held;
    tally.failed += broken;

    eprintln!("==> testing the plugins' own logic, natively");
    let mut native = command::cargo();
    native.args(["test", "--workspace", "--no-fail-fast", "--target", &guest::host()?]);
    count(native.current_dir(repository().join("plugins")), &mut tally)?;

    eprintln!("==> testing the host and the whole");
    let mut host = command::cargo();
    host.args(["test", "--workspace", "--no-fail-fast", "--", "--include-ignored"]);
    prepared.tell(&mut host)?;
    programs::tell(&mut host, places)?;
    count(host.current_dir(repository()), &mut tally)?;
    Ok(tally)
}

/// Runs a `cargo test`, showing its output while it counts.
fn count(cargo: &mut Command, tally: &mut Tally) -> Result<()> {
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("running cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let failed_before = tally.failed;
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what cargo printed")?;
        println!("{line}");
        tally.read(&line);
    }
    // It did not compile, or a test binary died before its summary.
    if !child.wait()?.success() && tally.failed == failed_before {
        tally.failed += 1;
    }
    Ok(())
}
