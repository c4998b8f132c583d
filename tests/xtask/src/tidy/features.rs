//! One feature set: `cargo demo` compiles this package, then `cargo xtask test` the whole workspace.
//!
//! Where a shared library gets other features in the second, it and all above it are built twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use crate::command;

/// The feature sets of each package: several where it is built for programs and for build scripts.
pub(super) type Features = BTreeMap<String, BTreeSet<String>>;

/// The features with which cargo builds this package alone.
pub(super) fn of_xtask(repository: &Path) -> Result<Features> {
    tree(repository, &["--package", "xtask", "--edges", "normal,build"])
}

/// The features with which cargo builds and tests everything.
pub(super) fn of_workspace(repository: &Path) -> Result<Features> {
    tree(repository, &["--workspace", "--edges", "normal,build,dev"])
}

fn tree(repository: &Path, selection: &[&str]) -> Result<Features> {
    let mut cargo = command::cargo();
    cargo.args(["tree", "--prefix", "none", "--format", "{p}|{f}"]).args(selection).current_dir(repository);
    Ok(parse(&command::output(&mut cargo)?))
}

/// Reads lines `name version …|feature,feature`, the last with a star where cargo has printed it before.
fn parse(tree: &str) -> Features {
    let mut features = Features::new();
    for (package, list) in tree.lines().filter_map(|line| line.split_once('|')) {
        let name = package.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let list = list.trim_end_matches("(*)").trim().to_owned();
        features.entry(name).or_default().insert(list);
    }
    features
}

/// Packages that the workspace builds with other features than this package does.
pub(super) fn differences(xtask: &Features, workspace: &Features) -> Vec<String> {
    let differs = |(name, features): &(&String, &BTreeSet<String>)| {
        workspace.get(*name).is_some_and(|others| others != *features)
    };
    xtask
        .iter()
        .filter(differs)
        .map(|(name, _)| {
            format!("{name} has other features in the workspace: declare them in the root Cargo.toml, or depend on what adds them")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_feature_set_is_seen() {
        let xtask =
            parse("xtask v0.1.0 (/r/tests/xtask)|\nlog v0.4.35|std\nzip v9.8.1|deflate\nzip v9.8.1|deflate (*)\n");
        let same = parse("stockade-db v0.1.0|\nlog v0.4.35|std\nzip v9.8.1|deflate (*)\nrand v0.10.0|\n");
        assert!(differences(&xtask, &same).is_empty());
        let other = parse("log v0.4.35|\nzip v9.8.1|deflate\n");
        let found = differences(&xtask, &other);
        assert!(matches!(found.as_slice(), [only] if only.starts_with("log v0.4.35 has other features")), "{found:?}");
    }
}
