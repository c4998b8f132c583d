//! Who may depend on whom, read from `cargo metadata`.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command;

/// A package of a workspace.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    /// Its folder, from the repository's root.
    pub(super) folder: String,
    /// Whether it is built as a component, and so nobody can use it as a library.
    is_plugin: bool,
    dependencies: Vec<Dependency>,
}

impl Package {
    /// The libraries of others that it builds on, those of its tests left out.
    pub(super) fn libraries(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter(|dependency| !dependency.ours && !dependency.for_tests).map(|d| d.name.as_str())
    }
}

/// One line of a package's manifest.
#[derive(Debug)]
struct Dependency {
    name: String,
    /// Only for its tests.
    for_tests: bool,
    /// By path, that is, one of ours.
    ours: bool,
}

/// Every edge between packages of the host workspace. Whoever adds one argues for it here.
const INNER: &[(&str, &[&str])] = &[
    ("stockade-db", &[]),
    ("stockade-runtime", &["stockade-db"]),
    ("stockade-server", &["stockade-db", "stockade-runtime"]),
    ("zava-retail", &[]),
    ("stockade-tests", &["stockade-db", "stockade-runtime", "stockade-server", "zava-retail"]),
    ("xtask", &["stockade-db", "stockade-runtime", "stockade-server", "zava-retail"]),
];

/// Edges that only a package's tests have: the reference application is tested on a database that the host prepares.
const FOR_TESTS: &[(&str, &[&str])] = &[("zava-retail", &["stockade-db"])];

/// Libraries that a crate must not know, itself or for its tests; a star stands for any ending.
const FOREIGN: &[(&str, &[&str])] = &[
    ("stockade-db", &["wasmtime*", "rmcp*", "axum*"]),
    ("stockade-runtime", &["sqlx*", "pgvector", "rmcp*", "axum*"]),
    ("stockade-server", &["sqlx*", "pgvector", "wasmtime*"]),
    ("zava-retail", &["wasmtime*", "rmcp*", "axum*"]),
];

/// The crates in `host/`. A fourth would be a place for what belongs nowhere.
const HOST: &[&str] = &["host/db", "host/runtime", "host/server"];

/// Every package of the workspace at `workspace`, with its own dependencies.
pub(super) fn packages(repository: &Path, workspace: &Path) -> Result<Vec<Package>> {
    let mut cargo = command::cargo();
    cargo.args(["metadata", "--format-version=1", "--no-deps"]).current_dir(workspace);
    parse(repository, &command::output(&mut cargo)?)
}

fn parse(repository: &Path, metadata: &str) -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Found>,
    }
    #[derive(Deserialize)]
    struct Found {
        name: String,
        manifest_path: std::path::PathBuf,
        targets: Vec<Target>,
        dependencies: Vec<FoundDependency>,
    }
    #[derive(Deserialize)]
    struct Target {
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct FoundDependency {
        name: String,
        kind: Option<String>,
        path: Option<String>,
    }
    let metadata: Metadata = serde_json::from_str(metadata).context("reading the output of cargo metadata")?;
    let package = |found: Found| {
        let folder = found.manifest_path.parent().unwrap_or(&found.manifest_path);
        let dependency = |dependency: FoundDependency| Dependency {
            name: dependency.name,
            for_tests: dependency.kind.as_deref() == Some("dev"),
            ours: dependency.path.is_some(),
        };
        Package {
            name: found.name,
            folder: folder.strip_prefix(repository).unwrap_or(folder).display().to_string(),
            is_plugin: found.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "cdylib")),
            dependencies: found.dependencies.into_iter().map(dependency).collect(),
        }
    };
    Ok(metadata.packages.into_iter().map(package).collect())
}

/// Edges between our own packages that neither [`INNER`] lists nor, for tests, [`FOR_TESTS`].
pub(super) fn inner(packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in packages {
        let Some(allowed) = listed(INNER, &package.name) else {
            breaches.push(format!(
                "{} is a new package: say in tests/xtask/src/tidy/edges.rs whom it may know",
                package.name
            ));
            continue;
        };
        let in_tests = listed(FOR_TESTS, &package.name).unwrap_or_default();
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            let name = dependency.name.as_str();
            let may = allowed.contains(&name) || dependency.for_tests && in_tests.contains(&name);
            if !may {
                breaches.push(format!("{} may not depend on {name}", package.name));
            }
        }
    }
    breaches
}

fn listed(edges: &'static [(&str, &[&str])], package: &str) -> Option<&'static [&'static str]> {
    edges.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed)
}

/// Libraries in a crate that [`FOREIGN`] keeps out of it.
pub(super) fn foreign(packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in packages {
        let rules = FOREIGN.iter().filter(|(name, _)| *name == package.name).flat_map(|(_, patterns)| *patterns);
        for pattern in rules {
            for dependency in package.dependencies.iter().filter(|dependency| matches(pattern, &dependency.name)) {
                breaches.push(format!("{} may not know {}", package.name, dependency.name));
            }
        }
    }
    breaches
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// Plugins that know another plugin or anything outside their workspace, and an SDK that knows more than itself.
pub(super) fn plugins(packages: &[Package]) -> Vec<String> {
    let library = |name: &str| packages.iter().any(|package| package.name == name && !package.is_plugin);
    let sdk = |name: &str| name.starts_with("stockade-sdk");
    let mut breaches = Vec::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            if !library(&dependency.name) {
                breaches.push(format!(
                    "{} may not depend on {}: only on libraries of this workspace",
                    package.name, dependency.name
                ));
            } else if sdk(&package.name) && !sdk(&dependency.name) {
                breaches.push(format!(
                    "{} may not depend on {}: the SDK serves every plugin",
                    package.name, dependency.name
                ));
            }
        }
    }
    breaches
}

/// Packages in `host/` beside the three.
pub(super) fn host_crates(packages: &[Package]) -> Vec<String> {
    let in_host = packages.iter().filter(|package| package.folder.starts_with("host/"));
    in_host
        .filter(|package| !HOST.contains(&package.folder.as_str()))
        .map(|package| {
            format!("{} is a fourth crate in host/: it belongs into one of {}", package.name, HOST.join(", "))
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Packages from `name folder: dependency …`; a dependency by path begins with `./`, one for tests ends with `?`,
    /// a plugin's name ends with `*`.
    pub(in super::super) fn given(lines: &[&str]) -> Vec<Package> {
        let package = |line: &&str| {
            let (head, dependencies) = line.split_once(':').unwrap();
            let (name, folder) = head.split_once(' ').unwrap();
            let dependency = |word: &str| Dependency {
                name: word.trim_start_matches("./").trim_end_matches('?').to_owned(),
                for_tests: word.ends_with('?'),
                ours: word.starts_with("./"),
            };
            Package {
                name: name.trim_end_matches('*').to_owned(),
                folder: folder.to_owned(),
                is_plugin: name.ends_with('*'),
                dependencies: dependencies.split_whitespace().map(dependency).collect(),
            }
        };
        lines.iter().map(package).collect()
    }

    #[test]
    fn imports_run_one_way() {
        let right = given(&["stockade-server host/server: ./stockade-db ./stockade-runtime axum"]);
        assert!(inner(&right).is_empty());
        let wrong = given(&["stockade-db host/db: ./stockade-runtime sqlx"]);
        assert_eq!(inner(&wrong), ["stockade-db may not depend on stockade-runtime"]);
        assert!(inner(&given(&["zava-retail migrations/retail: ./stockade-db?"])).is_empty());
        let wrong = given(&["zava-retail migrations/retail: ./stockade-db ./stockade-runtime?"]);
        assert_eq!(inner(&wrong).len(), 2);
        let new = given(&["stockade-cache host/cache: tokio"]);
        assert!(inner(&new).first().unwrap().starts_with("stockade-cache is a new package"));
    }

    #[test]
    fn foreign_libraries_stay_in_their_crate() {
        assert!(foreign(&given(&["stockade-runtime host/runtime: wasmtime wasmtime-wasi"])).is_empty());
        let wrong =
            given(&["stockade-runtime host/runtime: sqlx axum-core", "stockade-server host/server: wasmtime-wasi"]);
        assert_eq!(
            foreign(&wrong),
            [
                "stockade-runtime may not know sqlx",
                "stockade-runtime may not know axum-core",
                "stockade-server may not know wasmtime-wasi",
            ]
        );
    }

    #[test]
    fn plugins_know_libraries_of_their_workspace_only() {
        let sdk = "stockade-sdk plugins/sdk: ./stockade-sdk-macros";
        let macros = "stockade-sdk-macros plugins/sdk/macros: syn";
        let library = "zava plugins/zava: ./stockade-sdk";
        let right = given(&["top* plugins/top: ./stockade-sdk ./zava serde", library, sdk, macros]);
        assert!(plugins(&right).is_empty());
        let wrong =
            given(&["top* plugins/top: ./stockade-db ./noop", "noop* plugins/noop: ./stockade-sdk", sdk, macros]);
        assert_eq!(plugins(&wrong).len(), 2);
        let wrong = given(&["stockade-sdk plugins/sdk: ./zava", library]);
        assert_eq!(plugins(&wrong), ["stockade-sdk may not depend on zava: the SDK serves every plugin"]);
    }

    #[test]
    fn a_fourth_host_crate_is_seen() {
        assert!(host_crates(&given(&["stockade-db host/db: a", "xtask tests/xtask: b"])).is_empty());
        assert_eq!(host_crates(&given(&["stockade-core host/core: a"])).len(), 1);
    }

    #[test]
    fn metadata_is_read() {
        let metadata = r#"{"packages": [{"name": "top", "manifest_path": "/r/plugins/top/Cargo.toml",
            "targets": [{"kind": ["cdylib"]}],
            "dependencies": [{"name": "serde", "kind": null}, {"name": "sdk", "kind": "dev", "path": "/r/plugins/sdk"}]}]}"#;
        let packages = parse(Path::new("/r"), metadata).unwrap();
        let package = packages.first().unwrap();
        assert_eq!((package.folder.as_str(), package.is_plugin), ("plugins/top", true));
        let dependencies: Vec<_> =
            package.dependencies.iter().map(|d| (d.name.as_str(), d.for_tests, d.ours)).collect();
        assert_eq!(dependencies, [("serde", false, false), ("sdk", true, true)]);
    }
}
