//! Building plugins: compile a workspace of them, pack each component with its manifest.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use stockade_runtime::pack;

use crate::command;
use crate::guest::{TARGET, Toolchain};
use crate::places::{Places, repository, target_directory};

/// A packed plugin.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// Its name in the manifest.
    pub(crate) name: String,
    /// The packed component.
    pub(crate) file: PathBuf,
    /// The text of its `plugin.toml`.
    pub(crate) manifest: String,
}

/// A workspace of plugins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Workspace {
    /// `plugins/`: the reference application's, and those for measuring.
    Reference,
    /// `tests/guests`: plugins that misbehave.
    Guests,
}

impl Workspace {
    fn folder(self) -> PathBuf {
        repository().join(match self {
            Self::Reference => "plugins",
            Self::Guests => "tests/guests",
        })
    }

    /// Where its plugins go unless somebody says otherwise; what is in it is ours to remove.
    pub(crate) fn packed(self) -> Result<PathBuf> {
        Ok(target_directory()?.join(match self {
            Self::Reference => "plugins",
            Self::Guests => "guests",
        }))
    }
}

/// Builds every plugin of `workspace` into `out`, each as `<name>.wasm`.
///
/// A file appears whole, and only where it differs from what is there: a host that watches the folder
/// loads it once. In the default folder, plugins that are no more are removed.
///
/// # Errors
/// Where there is no way to compile for the guest target, or a plugin does not compile or pack.
pub(crate) async fn build(places: &Places, workspace: Workspace, out: &Path) -> Result<Vec<Plugin>> {
    let components = compile(&workspace.folder(), &Toolchain::find(places)?)?;
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let mut plugins = Vec::new();
    for component in components {
        plugins.push(pack_one(&component, out).await?);
    }
    if out == workspace.packed()? {
        let files: Vec<PathBuf> = plugins.iter().map(|plugin| plugin.file.clone()).collect();
        remove_others(out, &files)?;
    }
    Ok(plugins)
}

/// A component as cargo left it, and the folder of its package.
struct Component {
    file: PathBuf,
    folder: PathBuf,
}

fn compile(workspace: &Path, toolchain: &Toolchain) -> Result<Vec<Component>> {
    eprintln!("==> building the plugins in {}", workspace.display());
    let mut cargo = command::cargo();
    cargo.args(["build", "--release", "--workspace", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics").current_dir(workspace).stdin(Stdio::null());
    if let Toolchain::Private { .. } = toolchain {
        // Two compilers in one target directory would rebuild each other's work.
        cargo.env("CARGO_TARGET_DIR", target_directory()?.join("private-toolchain"));
    }
    toolchain.apply(&mut cargo);
    let output = cargo.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !output.status.success() {
        bail!("the plugins in {} do not build: see cargo's messages above", workspace.display());
    }
    components(&String::from_utf8_lossy(&output.stdout))
}

/// The components among the artifacts that cargo reports, one JSON object a line.
fn components(messages: &str) -> Result<Vec<Component>> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        #[serde(default)]
        manifest_path: PathBuf,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    let mut components = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line).context("reading cargo's messages")?;
        let folder = message.manifest_path.parent().map(Path::to_owned).unwrap_or_default();
        if message.reason != "compiler-artifact" || !folder.join("plugin.toml").is_file() {
            continue;
        }
        let wasm = message.filenames.into_iter().find(|file| file.extension().is_some_and(|end| end == "wasm"));
        components.extend(wasm.map(|file| Component { file, folder }));
    }
    components.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(components)
}

/// Packs one, unless what is there was packed from the same bytes by this very program: packing compiles
/// the component to ask it for its tools.
async fn pack_one(component: &Component, out: &Path) -> Result<Plugin> {
    let path = component.folder.join("plugin.toml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let bytes = fs::read(&component.file).with_context(|| format!("reading {}", component.file.display()))?;
    let name = name(&manifest).with_context(|| format!("{} has no plugin.name", path.display()))?;
    let file = out.join(format!("{name}.wasm"));
    let stamp = out.join(format!(".{name}.packed"));
    let inputs = digest([program()?.as_bytes(), manifest.as_bytes(), &bytes]);
    let stamped = |packed: &[u8]| format!("{inputs} {}\n", digest([packed]));
    let fresh =
        fs::read(&file).is_ok_and(|packed| fs::read_to_string(&stamp).is_ok_and(|text| text == stamped(&packed)));
    if !fresh {
        let packed = pack::pack(&bytes, &manifest).await.with_context(|| format!("packing with {}", path.display()))?;
        place(&file, &packed).with_context(|| format!("writing {}", file.display()))?;
        place(&stamp, stamped(&packed).as_bytes())?;
    }
    Ok(Plugin { name, file, manifest })
}

/// This program, which holds the code that packs: its size and when it was built.
fn program() -> Result<String> {
    let metadata = std::env::current_exe().and_then(fs::metadata).context("looking at this program")?;
    Ok(format!("{} {:?}", metadata.len(), metadata.modified()?))
}

/// SHA-256 of some byte strings, each with its length before it.
fn digest<const N: usize>(parts: [&[u8]; N]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(manifest: &str) -> Option<String> {
    let table: toml::Table = manifest.parse().ok()?;
    table.get("plugin")?.get("name")?.as_str().map(str::to_owned)
}

/// Writes beside and renames, unless the same bytes are there.
pub(crate) fn place(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = file.parent().context("a file without a folder")?;
    let mut beside = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
    beside.write_all(bytes)?;
    beside.persist(file)?;
    Ok(())
}

/// Removes the plugins in `folder` that are not among `kept`.
pub(crate) fn remove_others(folder: &Path, kept: &[PathBuf]) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "wasm") && !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_those_with_a_manifest() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["top", "sdk"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("top/plugin.toml"), "").unwrap();
        let artifact = |folder: &str, file: &str| {
            let path = root.path().join(folder).join("Cargo.toml");
            format!(r#"{{"reason":"compiler-artifact","manifest_path":"{}","filenames":["{file}"]}}"#, path.display())
        };
        let messages = [
            artifact("top", "/t/top.wasm"),
            artifact("top", "/t/build-script-build"),
            artifact("sdk", "/t/sdk.wasm"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let found = components(&messages.join("\n")).unwrap();
        let files: Vec<_> = found.iter().map(|component| component.file.as_path()).collect();
        assert_eq!(files, [Path::new("/t/top.wasm")]);
    }

    #[test]
    fn an_unchanged_file_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.wasm");
        place(&file, b"one").unwrap();
        let first = fs::metadata(&file).unwrap().modified().unwrap();
        place(&file, b"one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), first);
        place(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
    }
}
