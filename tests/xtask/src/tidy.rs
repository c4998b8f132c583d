//! The house rules that a compiler does not check: who may know whom, names, sizes, words.
//!
//! Each rule is one function over facts that it is given, so that its test can give it a bad example.

mod dependencies;
mod edges;
mod features;
pub(crate) mod files;
mod interfaces;
mod words;

use std::path::Path;

use anyhow::{Context, Result};

/// What one rule found.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The rule in a few words.
    pub(crate) rule: &'static str,
    /// One sentence for each breach, with its place; empty where the rule holds.
    pub(crate) breaches: Vec<String>,
}

/// Checks the whole repository.
///
/// # Errors
/// Where a workspace or a file cannot be read; a breach is no error.
pub(crate) fn check(repository: &Path) -> Result<Vec<Verdict>> {
    let host = edges::packages(repository, repository)?;
    let plugins = edges::packages(repository, &repository.join("plugins"))?;
    let files = files::read(repository)?;
    let note = std::fs::read_to_string(repository.join("host/README.md")).context("reading host/README.md")?;
    let verdict = |rule, breaches| Verdict { rule, breaches };
    Ok(vec![
        verdict("workspace packages know only whom they may", edges::inner(&host)),
        verdict("foreign libraries stay in their crate", edges::foreign(&host)),
        verdict("plugins know the SDK and nothing of the host", edges::plugins(&plugins)),
        verdict("every library under the host is accounted for", dependencies::unnamed(&host, &note)),
        verdict("there are three host crates", edges::host_crates(&host)),
        verdict(
            "everything is built with one feature set",
            features::differences(&features::of_xtask(repository)?, &features::of_workspace(repository)?),
        ),
        verdict("interfaces do not import each other", interfaces::strangers(&files)),
        verdict("names name something", files::names(&files)),
        verdict("no file is too long", files::lengths(&files)),
        verdict("nothing is left open", words::left_open(&files)),
        verdict("the host holds no retail word", words::retail(&files)),
    ])
}

/// Prints what [`check`] found; returns how many rules hold and how many do not.
pub(crate) fn report(verdicts: &[Verdict]) -> (usize, usize) {
    for verdict in verdicts {
        let mark = if verdict.breaches.is_empty() { "ok" } else { "FAILED" };
        eprintln!("tidy: {} ... {mark}", verdict.rule);
        for breach in &verdict.breaches {
            eprintln!("    {breach}");
        }
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.breaches.is_empty()).count();
    (verdicts.len() - failed, failed)
}
