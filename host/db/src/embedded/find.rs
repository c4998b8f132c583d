//! Looks for a PostgreSQL that the host can use.
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that the host works with.
const VERSION_MIN: u32 = 15;
/// The oldest pgvector: the first that goes on with an index until enough rows have passed (`hnsw.iterative_scan`).
const PGVECTOR_MIN: (u32, u32) = (0, 8);

/// The folder with `postgres` and `initdb` of a PostgreSQL of version 15 or later that has pgvector 0.8 or later:
/// the one that `pg_config` on the PATH names, else the newest in the places where packages put them.
pub fn find_bin_dir() -> Option<PathBuf> {
    let named = answer(Path::new("pg_config"), "--bindir").map(PathBuf::from);
    let mut packaged: Vec<(u32, PathBuf)> = package_dirs()
        .into_iter()
        .filter_map(|directory| version(&directory).map(|version| (version, directory)))
        .collect();
    packaged.sort();
    named
        .into_iter()
        .chain(packaged.into_iter().rev().map(|(_, directory)| directory))
        .find(|directory| usable(directory))
}

fn usable(bin_dir: &Path) -> bool {
    bin_dir.join("initdb").exists()
        && version(bin_dir).is_some_and(|version| version >= VERSION_MIN)
        && share_dirs(bin_dir).iter().any(|share| {
            let control = std::fs::read_to_string(share.join("extension/vector.control"));
            control.is_ok_and(|text| pgvector(&text).is_some_and(|version| version >= PGVECTOR_MIN))
        })
}

/// Major and minor version of what the extension's control file describes.
fn pgvector(control: &str) -> Option<(u32, u32)> {
    let line = control.lines().find_map(|line| line.trim().strip_prefix("default_version"))?;
    let version = line.trim_start_matches([' ', '\t', '=', '\'']);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Where `bin_dir`'s PostgreSQL keeps its extensions: what its own `pg_config` says, and without one
/// the two customary places.
fn share_dirs(bin_dir: &Path) -> Vec<PathBuf> {
    if let Some(share) = answer(&bin_dir.join("pg_config"), "--sharedir") {
        return vec![PathBuf::from(share)];
    }
    let Some(prefix) = bin_dir.parent() else { return Vec::new() };
    let mut shares = vec![prefix.join("share/postgresql"), prefix.join("share")];
    if let Some(version) = prefix.file_name() {
        shares.push(Path::new("/usr/share/postgresql").join(version));
    }
    shares
}

/// Debian, Fedora and Homebrew, one folder a version.
fn package_dirs() -> Vec<PathBuf> {
    ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt", "/usr/local/opt"]
        .iter()
        .filter_map(|parent| std::fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten())
        .map(|entry| entry.path().join("bin"))
        .filter(|bin_dir| bin_dir.join("postgres").exists())
        .collect()
}

/// The major version of the PostgreSQL in the folder.
pub(super) fn version(bin_dir: &Path) -> Option<u32> {
    let text = answer(&bin_dir.join("postgres"), "--version")?;
    let number = text.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn answer(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A PostgreSQL as far as it is looked at.
    fn installed(postgres: &str, control: &str) -> tempfile::TempDir {
        let prefix = tempfile::tempdir().unwrap();
        for folder in ["bin", "share/extension"] {
            std::fs::create_dir_all(prefix.path().join(folder)).unwrap();
        }
        for program in ["postgres", "initdb"] {
            let program = prefix.path().join("bin").join(program);
            std::fs::write(&program, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {postgres}'\n")).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::write(prefix.path().join("share/extension/vector.control"), control).unwrap();
        prefix
    }

    #[test]
    fn what_is_too_old_is_passed_over() {
        let control =
            |version: &str| format!("comment = 'vectors'\ndefault_version = '{version}'\nrelocatable = true\n");
        for (postgres, control, expected) in [
            ("18.0", control("0.8.0"), true),
            ("15.13 (Debian 15.13-0+deb12u1)", control("0.8.1"), true),
            ("16.2", control("0.10.0"), true),
            ("16.2", control("1.0"), true),
            ("14.9", control("0.8.0"), false),
            ("16.2", control("0.7.4"), false),
            ("16.2", "comment = 'no version'\n".to_owned(), false),
        ] {
            let prefix = installed(postgres, &control);
            assert_eq!(usable(&prefix.path().join("bin")), expected, "{postgres} {control}");
        }
    }
}
