//! Debian's packages, unpacked into the cache folder: no root, nothing installed.
//!
//! apt gets state and cache folders of its own, so it needs no rights; it reads the machine's sources and
//! keys, and verifies signatures and digests as it always does. What was tried is pinned by SHA-256 besides.

mod server;
mod tried;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command;

pub(crate) use server::{PGBOUNCER, REDIS, faketime};

/// apt with folders of its own.
pub(crate) struct Apt {
    state: PathBuf,
    cache: PathBuf,
    archives: PathBuf,
}

impl Apt {
    /// Reads the lists of packages into `work`.
    ///
    /// # Errors
    /// Where this is no Debian, or a list cannot be had.
    pub(crate) fn update(work: &Path) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
            ensure!(found, "this machine has no {program}, so Debian's packages are no way here");
        }
        let apt = Self { state: work.join("state"), cache: work.join("cache"), archives: work.join("archives") };
        fs::create_dir_all(apt.state.join("lists/partial"))?;
        fs::create_dir_all(apt.cache.join("archives/partial"))?;
        fs::create_dir_all(&apt.archives)?;
        command::run(apt.command("apt-get").args(["-qq", "--error-on=any", "update"]))?;
        Ok(apt)
    }

    /// One of apt's programs, with these folders.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-o").arg(format!("Dir::State={}", self.state.display()));
        command.arg("-o").arg(format!("Dir::Cache={}", self.cache.display()));
        // Run as root, apt would fetch as a user of its own, who may not write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command.env("LC_ALL", "C").current_dir(&self.archives);
        command
    }

    /// The rows of `apt-cache madison`: `name | version | source`.
    pub(crate) fn versions(&self, name: &str) -> Result<String> {
        command::output(self.command("apt-cache").args(["madison", name]))
    }

    /// The names that `package` depends on, the first of each choice.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = command::output(self.command("apt-cache").args(["show", package]))?;
        let names = text.lines().filter_map(|line| line.strip_prefix("Depends: ")).flat_map(|line| line.split(", "));
        Ok(names.filter_map(|entry| entry.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// The version that apt would install.
    pub(crate) fn candidate(&self, name: &str) -> Result<String> {
        let text = command::output(self.command("apt-cache").args(["policy", name]))?;
        text.lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "))
            .filter(|version| *version != "(none)")
            .map(str::to_owned)
            .with_context(|| format!("this machine's package sources have no {name}"))
    }

    /// Fetches packages, each `name=version`, and unpacks them into `root`; none where one of a version that was
    /// tried is not that file.
    pub(crate) fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        command::run(self.command("apt-get").args(["-q", "download"]).args(packages))?;
        let mut debs = fs::read_dir(&self.archives)?.collect::<std::io::Result<Vec<_>>>()?;
        debs.retain(|entry| entry.path().extension().is_some_and(|extension| extension == "deb"));
        ensure!(debs.len() == packages.len(), "apt fetched {} of {} packages", debs.len(), packages.len());
        debs.iter().try_for_each(|deb| tried::verify(&deb.path()))?;
        for deb in debs {
            command::run(Command::new("dpkg-deb").arg("-x").arg(deb.path()).arg(root))?;
        }
        Ok(())
    }
}

/// Whether a machine with apt has this library, or must keep its own: it goes with the loader.
pub(crate) fn on_every_machine(name: &str) -> bool {
    matches!(name, "libc6" | "libgcc-s1" | "libstdc++6" | "zlib1g") || name.starts_with("gcc-")
}

/// Makes `out/bin/<name>`, a script that runs `out/root/<program>`, because the program's libraries lie
/// where no loader looks. It finds them from its own place, so that the folder can be renamed. `host` is
/// this machine's triple.
pub(crate) fn wrap(out: &Path, program: &str, host: &str) -> Result<PathBuf> {
    let bin = out.join("bin");
    fs::create_dir_all(&bin)?;
    let multiarch = host.replace("-unknown-", "-");
    let script = format!(
        "#!/bin/sh\n\
         root=${{0%/*}}/../root\n\
         LD_LIBRARY_PATH=\"$root/usr/lib/{multiarch}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\" exec \"$root/{program}\" \"$@\"\n"
    );
    let wrapper = bin.join(Path::new(program).file_name().context("a program has a name")?);
    fs::write(&wrapper, script)?;
    fs::set_permissions(&wrapper, Permissions::from_mode(0o755))?;
    Ok(wrapper)
}
