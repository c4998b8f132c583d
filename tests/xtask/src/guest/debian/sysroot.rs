//! From unpacked packages to a compiler: the linkers, the guest library.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::debian;
use crate::guest::{TARGET, field};

/// The linkers of the toolchain in use; Debian's compiler comes without them.
pub(super) struct Linkers {
    /// The toolchain's version and commit, for the name of what is built with it.
    pub(super) version: String,
    host: String,
    folder: PathBuf,
}

impl Linkers {
    pub(super) fn find() -> Result<Self> {
        let (version, host) = (field("release:")?, field("host:")?);
        ensure!(host.ends_with("-linux-gnu"), "Debian's packages are for Linux; this is {host}");
        let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let folder = Path::new(sysroot.trim_end()).join("lib/rustlib").join(&host).join("bin");
        ensure!(
            folder.join("wasm-component-ld").is_file(),
            "the toolchain in use has no wasm-component-ld in {}: plugins need a toolchain from rustup",
            folder.display()
        );
        Ok(Self { version, host, folder })
    }
}

/// Makes `out/bin/rustc` from the packages in `out/root`, with the guest library built in `work`.
pub(super) fn build(out: &Path, linkers: &Linkers, work: &Path) -> Result<()> {
    let usr = out.join("root/usr");
    let rustlib = usr.join("lib/rustlib");
    fs::create_dir_all(rustlib.join(&linkers.host))?;
    link(out, linkers)?;
    let rustc = debian::wrap(out, "usr/bin/rustc", &linkers.host)?;
    let library = rustlib.join(TARGET).join("lib");
    compile_library(&rustc, work, &library)?;
    // What only the build needed: the sources, and programs for other purposes.
    for unused in ["src", "share", "lib/rustlib/src"] {
        remove(&usr.join(unused))?;
    }
    Ok(())
}

/// Points `out` at the linkers of the toolchain in use: after an update they may lie elsewhere.
pub(super) fn link(out: &Path, linkers: &Linkers) -> Result<()> {
    let bin = out.join("root/usr/lib/rustlib").join(&linkers.host).join("bin");
    if fs::read_link(&bin).is_ok_and(|target| target == linkers.folder) {
        return Ok(());
    }
    remove(&bin)?;
    symlink(&linkers.folder, &bin).with_context(|| format!("linking {}", bin.display()))
}

/// Has cargo build `std` for the target, as a dependency of an empty crate, and keeps the libraries.
fn compile_library(rustc: &Path, work: &Path, library: &Path) -> Result<()> {
    let seed = work.join("seed");
    fs::create_dir_all(seed.join("src"))?;
    fs::write(seed.join("src/lib.rs"), "")?;
    let manifest = "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
                    [profile.release]\ncodegen-units = 1\n";
    fs::write(seed.join("Cargo.toml"), manifest)?;
    let mut cargo = command::cargo();
    cargo.args(["build", "--quiet", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort"]);
    cargo.current_dir(&seed).env("RUSTC", rustc).env("CARGO_TARGET_DIR", work.join("target"));
    // Building std is an unstable feature; bitcode, so that plugins may be linked with link-time optimisation.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes");
    for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(variable);
    }
    command::run(&mut cargo).context("building the standard library for plugins")?;
    fs::create_dir_all(library)?;
    let built = work.join("target").join(TARGET).join("release/deps");
    for entry in fs::read_dir(&built)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libseed") {
            fs::copy(&path, library.join(name))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(());
    };
    let removed = if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("removing {}", path.display()))
}
