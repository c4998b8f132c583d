//! Which packages were tried, by SHA-256.

use std::path::Path;

use anyhow::{Context, Result};

use crate::digest;

/// The packages that were tried, as `sha256sum` writes them; names as Debian's archive has them.
const TRIED: &str = include_str!("tried.sha256");

/// Refuses a file that has the name of one that was tried, and is another. One of a version or a machine that was
/// not tried has apt's signatures alone, and is said.
///
/// # Errors
/// Where it is not the file that was tried, or cannot be read.
pub(super) fn verify(deb: &Path) -> Result<()> {
    let name = deb.file_name().and_then(|name| name.to_str()).context("a package has a name")?;
    let name = archive_name(name);
    match TRIED.lines().filter_map(|line| line.split_once("  ")).find(|(_, tried)| *tried == name) {
        Some((sha256, _)) => digest::verify(deb, sha256),
        None => {
            eprintln!("    {name} is not among the packages that were tried; apt has verified its signature");
            Ok(())
        }
    }
}

/// The name of a downloaded package as the archive has it: `apt-get download` adds the version's epoch,
/// `redis-server_5%3a7.0.15-1_amd64.deb`.
fn archive_name(downloaded: &str) -> String {
    let without_epoch = || {
        let (package, rest) = downloaded.split_once('_')?;
        let (_, version) = rest.split_once("%3a")?;
        Some(format!("{package}_{version}"))
    };
    without_epoch().unwrap_or_else(|| downloaded.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_was_tried_is_refused_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["redis-server_5%3a7.0.15-1~deb12u10_amd64.deb", "libedit2_3.1-20221030-2_amd64.deb"] {
            let file = dir.path().join(name);
            std::fs::write(&file, "another").unwrap();
            let error = verify(&file).unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains("it was not used"), "{error}");
        }
        let file = dir.path().join("libedit2_3.1-20270101-1_amd64.deb");
        std::fs::write(&file, "another").unwrap();
        verify(&file).unwrap();
    }
}
