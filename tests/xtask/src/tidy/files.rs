//! The repository's text files, their names and lengths.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A text file, with its path from the repository's root.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Folders that hold nothing written by hand.
const SKIPPED: &[&str] = &[".git", "target", "node_modules"];
/// Endings of the files that are read.
const ENDINGS: &[&str] = &["rs", "sql", "wit", "toml", "md", "sh", "py", "js", "ts", "c", "h", "run"];
/// Endings of those that must not grow long.
const SOURCES: &[&str] = &["rs", "sql", "wit", "sh", "py", "js", "ts", "c", "h", "run"];
/// Lines of a source file at most.
const LINES_MAX: usize = 600;
/// Names that say nothing about what is inside, and so collect everything.
const EMPTY_NAMES: &[&str] = &["core", "common", "util", "utils", "utilities", "helper", "helpers", "manager", "misc"];

/// Every text file below the root.
pub(crate) fn read(repository: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    collect(repository, repository, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(repository: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(repository, &entry.path(), files)?;
        } else if kind.is_file() && ENDINGS.contains(&ending(&name)) {
            let path = entry.path();
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let relative = path.strip_prefix(repository).unwrap_or(&path);
            files.push(File { path: relative.display().to_string(), text });
        }
    }
    Ok(())
}

/// What follows the last dot; the whole name where there is none (`.ci/run`).
fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit('.').next().unwrap_or(name)
}

/// Files over [`LINES_MAX`].
pub(super) fn lengths(files: &[File]) -> Vec<String> {
    let sources = files.iter().filter(|file| SOURCES.contains(&ending(&file.path)));
    sources
        .map(|file| (&file.path, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path} has {lines} lines: split it by what it is about ({LINES_MAX} at most)"))
        .collect()
}

/// Files and folders with empty names, and `mod.rs`.
pub(super) fn names(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        if file.path.ends_with("/mod.rs") {
            breaches.push(format!("{}: the house writes `foo.rs` beside `foo/`", file.path));
        }
        for part in file.path.split('/') {
            let stem = part.strip_suffix(".rs").unwrap_or(part);
            if EMPTY_NAMES.contains(&stem) {
                breaches.push(format!("{}: `{stem}` names nothing; name what is inside", file.path));
            }
        }
    }
    breaches
}

#[cfg(test)]
pub(super) fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_source_is_seen_and_a_long_page_is_not() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert!(lengths(&[file("a.rs", &"x\n".repeat(LINES_MAX))]).is_empty());
        assert_eq!(
            lengths(&[file("host/db/src/a.rs", &long), file("README.md", &long), file(".ci/run", &long)]).len(),
            2
        );
    }

    #[test]
    fn empty_names_are_seen() {
        assert!(names(&[file("host/db/src/session.rs", ""), file("host/db/src/commonly.rs", "")]).is_empty());
        let wrong =
            [file("host/utils/src/a.rs", ""), file("host/db/src/common.rs", ""), file("host/db/src/pool/mod.rs", "")];
        assert_eq!(names(&wrong).len(), 3);
    }

    #[test]
    fn the_walk_skips_what_nobody_wrote() {
        let root = tempfile::tempdir().unwrap();
        for path in ["src/a.rs", "target/b.rs", ".ci/run", "data.bin"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let paths: Vec<_> = read(root.path()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [".ci/run", "src/a.rs"]);
    }
}
