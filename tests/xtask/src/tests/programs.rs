//! What some tests need beside PostgreSQL. A machine may lack it; those tests are then left out, and counted.

use std::process::Command;

use anyhow::Result;

use crate::debian;
use crate::environment;
use crate::places::{Places, repository};
use crate::tidy::files::{self, File};

/// Finds each, and tells a `cargo test` where it is, or which tests to leave out.
///
/// # Errors
/// Where the repository cannot be read; a program that is missing is no error.
pub(super) fn tell(cargo: &mut Command, places: &Places) -> Result<()> {
    let files = files::read(repository())?;
    for (name, variable, found) in [
        ("PgBouncer", environment::PGBOUNCER_BIN, debian::PGBOUNCER.find(places)),
        ("Redis", environment::REDIS_BIN, debian::REDIS.find(places)),
        ("libfaketime", environment::FAKETIME_LIB, debian::faketime(places)),
    ] {
        match found {
            Ok(program) => drop(cargo.env(variable, program)),
            Err(error) => {
                let tests = that_need(name, &files);
                eprintln!("==> left out, for want of {name}: {}\n    {error:#}", tests.join(", "));
                cargo.args(tests.iter().flat_map(|test| ["--skip", test]));
            }
        }
    }
    Ok(())
}

/// The tests whose `#[ignore = "needs …"]` names a program.
fn that_need<'a>(name: &str, files: &'a [File]) -> Vec<&'a str> {
    let mut tests = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let mut lines = file.text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line.strip_prefix("#[ignore = \"needs ").is_some_and(|needs| needs.contains(name)) {
                tests.extend(lines.find_map(|line| line.split_once("fn ")?.1.split('(').next()));
            }
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_what_they_say_they_need() {
        let text = "#[tokio::test]\n#[ignore = \"needs PostgreSQL and Redis: cargo xtask test\"]\n\
            #[expect(clippy::panic, reason = \"x\")]\nasync fn shared() {\n    #[ignore = \"needs Redis\"]\n    fn inner(n: u8) {}\n}\n\
            #[ignore = \"needs PostgreSQL: cargo xtask test\"]\nfn alone() { let redis = \"Redis\"; }\n";
        let file = |path: &str| File { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(that_need("Redis", &[file("a.rs"), file("README.md")]), ["shared", "inner"]);
        assert!(that_need("PgBouncer", &[file("a.rs")]).is_empty());
    }

    #[test]
    fn each_program_is_needed_by_some_test() {
        let files = files::read(repository()).unwrap();
        for name in ["PgBouncer", "Redis", "libfaketime"] {
            assert!(!that_need(name, &files).is_empty(), "{name}");
        }
    }
}
