//! Looks for a PostgreSQL that the host can use.
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that the host works with.
const VERSION_MIN: u32 = 15;

/// The folder with `postgres` and `initdb` of a PostgreSQL of version 15 or later that has pgvector:
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
        && share_dirs(bin_dir).iter().any(|share| share.join("extension/vector.control").exists())
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

fn version(bin_dir: &Path) -> Option<u32> {
    let text = answer(&bin_dir.join("postgres"), "--version")?;
    let number = text.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn answer(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
