//! Servers that tests talk to: what this machine has is used, else Debian's package.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Apt, on_every_machine, wrap};
use crate::command;
use crate::environment;
use crate::guest;
use crate::install;
use crate::places::Places;

/// The pooler between the host and PostgreSQL.
pub(crate) const PGBOUNCER: Server = Server {
    variable: environment::PGBOUNCER_BIN,
    program: "usr/sbin/pgbouncer",
    packages: &["pgbouncer"],
    pinned: "1.18.0-1+deb12u1",
    instead: "Install PgBouncer (Debian and Ubuntu: `apt install pgbouncer`; macOS: `brew install pgbouncer`)",
};

/// The second tier of the cache.
pub(crate) const REDIS: Server = Server {
    variable: environment::REDIS_BIN,
    program: "usr/bin/redis-server",
    // The program is in redis-tools, its name in redis-server.
    packages: &["redis-server", "redis-tools"],
    pinned: "5:7.0.15-1~deb12u10",
    instead: "Install Redis (Debian and Ubuntu: `apt install redis-server`; macOS: `brew install redis`)",
};

/// A server in Debian.
pub(crate) struct Server {
    /// Names the program, where the user has one elsewhere.
    variable: &'static str,
    /// Where the package has it.
    program: &'static str,
    packages: &'static [&'static str],
    /// The version that was tried, used while Debian carries it; then the candidate.
    pinned: &'static str,
    /// What the user can do.
    instead: &'static str,
}

impl Server {
    /// The variable that names the program, for tests and for users who have one elsewhere.
    pub(crate) fn variable(&self) -> &'static str {
        self.variable
    }

    /// The program: the one that the variable names, else this machine's, else one out of Debian's packages in
    /// the cache folder.
    ///
    /// # Errors
    /// Where there is none and none can be had; the text says what to type.
    pub(crate) fn find(&self, places: &Places) -> Result<PathBuf> {
        if let Some(named) = environment::value(self.variable) {
            return Ok(PathBuf::from(named));
        }
        let name = self.program.rsplit('/').next().unwrap_or(self.program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps servers where a user's PATH does not lead.
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        if let Some(found) = folders.map(|folder| folder.join(name)).find(|file| file.is_file()) {
            return Ok(found);
        }
        let dir = places.cache.join("debian").join(format!("{name}-{}", self.pinned.replace(':', "_")));
        let program = dir.join("bin").join(name);
        install::once(&dir, name, |staging| self.make(staging, name))
            .and_then(|()| command::output(Command::new(&program).arg("--version")))
            .with_context(|| format!("the tests need {name}. {}", self.instead))?;
        Ok(program)
    }

    fn make(&self, staging: &Path, name: &str) -> Result<String> {
        eprintln!("==> fetching {name} for the tests: Debian's packages (about 2 MB, once)");
        let work = tempfile::tempdir_in(staging)?;
        let apt = Apt::update(work.path())?;
        let packages = self.with_libraries(&apt)?;
        apt.unpack(&packages, &staging.join("root"))?;
        wrap(staging, self.program, &guest::host()?)?;
        Ok(packages.join("\n") + "\n")
    }

    /// `name=version` of the packages, and of the libraries that they name.
    fn with_libraries(&self, apt: &Apt) -> Result<Vec<String>> {
        let mut packages = Vec::new();
        let mut libraries = Vec::new();
        for name in self.packages {
            let package = format!("{name}={}", pinned(apt, name, self.pinned)?);
            libraries.extend(apt.depends(&package)?.into_iter().filter(|name| name.starts_with("lib")));
            packages.push(package);
        }
        libraries.sort();
        libraries.dedup();
        for name in libraries.iter().filter(|name| !on_every_machine(name)) {
            packages.push(format!("{name}={}", apt.candidate(name)?));
        }
        Ok(packages)
    }
}

/// The version that was tried while Debian carries it, else the candidate.
fn pinned(apt: &Apt, name: &str, tried: &str) -> Result<String> {
    let carried = apt.versions(name)?;
    match carried.lines().any(|row| row.split('|').nth(1).map(str::trim) == Some(tried)) {
        true => Ok(tried.to_owned()),
        false => apt.candidate(name),
    }
}

/// The library that gives a program another clock, for the test of clocks that differ: the one that the variable
/// names, else out of Debian's package.
///
/// # Errors
/// Where it cannot be had.
pub(crate) fn faketime(places: &Places) -> Result<PathBuf> {
    const TRIED: &str = "0.9.10-2.1";
    if let Some(named) = environment::value(environment::FAKETIME_LIB) {
        return Ok(PathBuf::from(named));
    }
    let dir = places.cache.join("debian").join(format!("libfaketime-{TRIED}"));
    install::once(&dir, "libfaketime", |staging| {
        let work = tempfile::tempdir_in(staging)?;
        let apt = Apt::update(work.path())?;
        let package = format!("libfaketime={}", pinned(&apt, "libfaketime", TRIED)?);
        apt.unpack(std::slice::from_ref(&package), &staging.join("root"))?;
        Ok(package + "\n")
    })
    .with_context(|| format!("set {} to the file libfaketime.so.1", environment::FAKETIME_LIB))?;
    let folder = guest::host()?.replace("-unknown-", "-");
    Ok(dir.join("root/usr/lib").join(folder).join("faketime/libfaketime.so.1"))
}
