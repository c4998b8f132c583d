//! The demo's `stockade.toml` and `grants.toml`: the host's configuration, for the reference application.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use stockade_server::config::TokenDigest;

use super::database::{DATABASE, Prepared, Source};
use super::embedder;
use super::folder::{Folder, Secrets, write_private};
use crate::plugins::{self, Plugin};

/// Writes both files, and the plugins; returns the configuration's path.
pub(super) fn write(
    folder: &Folder,
    prepared: &Prepared,
    model: &Path,
    secrets: &Secrets,
    plugins: &[Plugin],
    address: SocketAddr,
) -> Result<PathBuf> {
    let directory = place_plugins(folder, plugins)?;
    let grants_file = folder.join("grants.toml");
    fs::write(&grants_file, format!("{GRANTS_HEAD}\n{}", grants(plugins)?))?;
    let mut database = Map::new();
    let mut set = |key: &str, value: Value| database.insert(key.to_owned(), value);
    set("reader_roles", json!(zava_retail::READER_ROLES));
    set("search_path", json!(["retail", "public"]));
    set("context_key_file", json!(secrets.context_key_file));
    match &prepared.source {
        Source::Embedded { bin_dir, data_dir } => {
            set("embedded", json!({ "bin_dir": bin_dir, "data_dir": data_dir }));
            set("database", json!(DATABASE));
        }
        Source::Url(url) => {
            set("url", json!(url));
        }
    }
    let configuration = json!({
        "server": { "listen": address },
        "database": database,
        "embedders": { "minilm": embedder::configuration(model) },
        "collections": { embedder::COLLECTION: embedder::collection() },
        "plugins": {
            "directory": directory,
            "grants_file": grants_file,
            "cache_dir": folder.join("components"),
        },
        "callers": callers(secrets)?,
        // A client that starts the server itself is on this machine: it may see what its user may.
        "stdio": { "caller": zava_retail::demo_callers().first().map(|caller| caller.key) },
    });
    let file = folder.join("stockade.toml");
    let text = toml::to_string(&configuration).context("writing the configuration")?;
    // With DATABASE_URL it holds the login's password.
    write_private(&file, format!("{CONFIG_HEAD}\n{text}").as_bytes())?;
    Ok(file)
}

const CONFIG_HEAD: &str = "# Written anew by every `cargo demo`: copy it before you change it.\n";
const GRANTS_HEAD: &str =
    "# What the operator grants each plugin; the demo grants what each one's plugin.toml asks for.\n";

/// Copies the plugins to where the server looks, and takes away those that are no more.
fn place_plugins(folder: &Folder, plugins: &[Plugin]) -> Result<PathBuf> {
    let directory = folder.join("plugins");
    fs::create_dir_all(&directory)?;
    let mut placed = Vec::new();
    for plugin in plugins {
        let file = directory.join(format!("{}.wasm", plugin.name));
        plugins::place(&file, &fs::read(&plugin.file)?)?;
        placed.push(file);
    }
    plugins::remove_others(&directory, &placed)?;
    Ok(directory)
}

/// The `[grants]` of each manifest, under the plugin's name.
fn grants(plugins: &[Plugin]) -> Result<String> {
    let mut grants = toml::Table::new();
    for plugin in plugins {
        let manifest: toml::Table =
            plugin.manifest.parse().with_context(|| format!("reading the manifest of {}", plugin.name))?;
        let asked = manifest.get("grants").cloned().unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        grants.insert(plugin.name.clone(), asked);
    }
    toml::to_string(&grants).context("writing the grants")
}

fn callers(secrets: &Secrets) -> Result<BTreeMap<&'static str, Value>> {
    let caller = |caller: zava_retail::DemoCaller| {
        let token = secrets.token(caller.key)?;
        let table = json!({
            "token_sha256": TokenDigest::of(token).to_hex(),
            "tenant": zava_retail::TENANT,
            "principal": caller.principal.to_string(),
            "roles": caller.roles,
            "reader_role": caller.reader_role,
            "display_name": caller.display_name,
            "time_zone": caller.time_zone,
        });
        Ok((caller.key, table))
    };
    zava_retail::demo_callers().into_iter().map(caller).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_granted_what_it_asks_for() {
        let plugin = |name: &str, manifest: &str| Plugin {
            name: name.to_owned(),
            file: PathBuf::new(),
            manifest: manifest.to_owned(),
        };
        let text = grants(&[
            plugin("top", "contract = \"0.1.0\"\n[grants]\nsql = { schemas = [\"retail\"] }\n"),
            plugin("date", "contract = \"0.1.0\"\n"),
        ])
        .unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table.get("top").unwrap().get("sql").unwrap().get("schemas").unwrap().as_array().unwrap().len(), 1);
        assert!(table.get("date").unwrap().as_table().unwrap().is_empty());
    }
}
