//! The plugin directory: what is in it, what of it serves, and what has changed.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    config::RuntimeConfig,
    error::{LoadError, RuntimeError},
    grants::OperatorGrants,
    manifest::Manifest,
    plugin::{self, Loader, Plugin},
    registry::{Refusal, Snapshot},
};

/// What tells a changed file from an unchanged one without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    modified: Option<SystemTime>,
    /// Of its permissions and owner too, in seconds and nanoseconds.
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

/// A file, as it was last read.
struct Seen {
    fingerprint: Fingerprint,
    /// The newest version of this file that loaded: it serves on while a newer one does not load.
    plugin: Option<Arc<Plugin>>,
    refused: Option<LoadError>,
}

/// The directory as of the last scan.
pub(crate) struct Directory {
    config: RuntimeConfig,
    loader: Loader,
    grants: OperatorGrants,
    /// What is wrong with the grants file since they were read.
    grants_problem: Option<String>,
    seen: BTreeMap<PathBuf, Seen>,
    /// What plugins are judged by has changed since the last scan.
    judge_again: bool,
}

impl Directory {
    /// Read the operator's grants. Nothing is loaded before the first scan.
    pub(crate) fn open(config: RuntimeConfig, loader: Loader) -> Result<Self, RuntimeError> {
        let grants = OperatorGrants::read_file(&config.grants_file).map_err(RuntimeError::Grants)?;
        Ok(Self { config, loader, grants, grants_problem: None, seen: BTreeMap::new(), judge_again: false })
    }

    /// Take what of another configuration may change while the host runs. The next scan judges every plugin by it.
    pub(crate) fn adjust(&mut self, config: &RuntimeConfig) {
        let start = Duration::from_millis(config.start_ms.into());
        let Loader { caps, start: start_before, log_lines_per_s_max, .. } = &mut self.loader;
        let after = (config.limits, start, config.log_lines_per_s_max);
        self.judge_again |= (*caps, *start_before, *log_lines_per_s_max) != after;
        (*caps, *start_before, *log_lines_per_s_max) = after;
    }

    /// Bring what serves in line with the directory. It reads and compiles: call it where blocking
    /// is allowed.
    pub(crate) fn scan(&mut self) -> Result<Snapshot, RuntimeError> {
        let judge_again = self.read_grants() | std::mem::take(&mut self.judge_again);
        let files = self.files()?;
        self.seen.retain(|path, seen| {
            let there = files.contains_key(path);
            if !there && seen.plugin.is_some() {
                tracing::info!(file = %path.display(), "plugin removed");
            }
            there
        });
        for (path, fingerprint) in &files {
            let seen = self.seen.get(path).filter(|seen| seen.fingerprint == *fingerprint);
            // What could not be read may be another time.
            if judge_again || seen.is_none_or(|seen| matches!(seen.refused, Some(LoadError::File(_)))) {
                self.load(path, *fingerprint);
            }
        }
        // Another file may have given the name up, perhaps just now.
        for (path, fingerprint) in &files {
            if self.seen.get(path).is_some_and(|seen| matches!(seen.refused, Some(LoadError::NameTaken(_)))) {
                self.load(path, *fingerprint);
            }
        }
        Ok(self.snapshot())
    }

    /// The operator's grants, if they have changed. A wrong file leaves the grants as they were.
    fn read_grants(&mut self) -> bool {
        match OperatorGrants::read_file(&self.config.grants_file) {
            Ok(grants) => {
                self.grants_problem = None;
                let changed = grants != self.grants;
                self.grants = grants;
                changed
            }
            Err(reason) => {
                // The file is read at every scan; what is wrong with it is said once.
                if self.grants_problem.as_ref() != Some(&reason) {
                    tracing::error!(reason, "the grants stay as they were");
                    self.grants_problem = Some(reason);
                }
                false
            }
        }
    }

    fn files(&self) -> Result<BTreeMap<PathBuf, Fingerprint>, RuntimeError> {
        let failed =
            |e: std::io::Error| RuntimeError::Directory { path: self.config.directory.clone(), reason: e.to_string() };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.config.directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "wasm")
                && let Ok(metadata) = std::fs::metadata(&path)
                && metadata.is_file()
            {
                use std::os::unix::fs::MetadataExt as _;
                let fingerprint = Fingerprint {
                    modified: metadata.modified().ok(),
                    changed: (metadata.ctime(), metadata.ctime_nsec()),
                    bytes: metadata.len(),
                    inode: metadata.ino(),
                };
                files.insert(path, fingerprint);
            }
        }
        Ok(files)
    }

    fn load(&mut self, path: &Path, fingerprint: Fingerprint) {
        let (before, refused_before) = self.seen.remove(path).map_or((None, None), |seen| (seen.plugin, seen.refused));
        let loaded = self.read(path, fingerprint).and_then(|bytes| self.load_bytes(&bytes));
        let file = path.display();
        let seen = match loaded {
            Ok(plugin) => {
                let identity = &plugin.identity;
                tracing::info!(%file, plugin = %identity.name, version = %identity.version, digest = %hex::encode(identity.digest), "plugin loaded");
                Seen { fingerprint, plugin: Some(Arc::new(plugin)), refused: None }
            }
            Err(error) => {
                // What the operator has taken back stops at once; a wrong new file does not stop the old version.
                let plugin = before.filter(|plugin| self.allows(plugin));
                // What may load later is tried at every scan; why it does not is said once.
                if refused_before.as_ref() != Some(&error) {
                    tracing::warn!(%file, reason = %error, serving_older_version = plugin.is_some(), "plugin refused");
                }
                Seen { fingerprint, plugin, refused: Some(error) }
            }
        };
        self.seen.insert(path.to_owned(), seen);
    }

    /// A fault of the compiler's keeps one plugin out, and the directory goes on being watched.
    fn load_bytes(&self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        // Before it is compiled: a file whose name is taken is tried again and again.
        let manifest = plugin::read_manifest(bytes)?;
        self.names_are_free(&manifest)?;
        let load = AssertUnwindSafe(|| self.loader.load(bytes, manifest, &self.grants));
        catch_unwind(load).unwrap_or_else(|_| Err(LoadError::Contract("the host failed while it loaded it".into())))
    }

    /// Whoever serves under a name keeps it, whatever other files come to hold.
    fn names_are_free(&self, manifest: &Manifest) -> Result<(), LoadError> {
        let (name, tools) = (&manifest.plugin.name, &manifest.tools);
        for other in self.seen.values().filter_map(|seen| seen.plugin.as_ref()) {
            let holder = &other.identity.name;
            if name == holder {
                return Err(LoadError::NameTaken(format!("a plugin named {name:?} is loaded from another file")));
            }
            let taken = tools.iter().find(|tool| other.tools.iter().any(|theirs| theirs.info.name == tool.name));
            if let Some(tool) = taken {
                return Err(LoadError::NameTaken(format!(
                    "the tool {:?} belongs to the plugin {holder:?} already: rename one of them",
                    tool.name
                )));
            }
        }
        Ok(())
    }

    /// Whether a plugin that was loaded before has no more than the operator grants and allows now.
    fn allows(&self, plugin: &Plugin) -> bool {
        self.grants.check(&plugin.identity.name, &plugin.identity.grants).is_ok()
            && plugin.tools.iter().all(|tool| tool.limits.are_within(&self.loader.caps))
    }

    fn read(&self, path: &Path, fingerprint: Fingerprint) -> Result<Vec<u8>, LoadError> {
        use std::io::Read as _;
        let max = self.config.component_bytes_max;
        if fingerprint.bytes > max {
            return Err(LoadError::File(format!(
                "it has {} bytes; `component_bytes_max` in [plugins] is {max}",
                fingerprint.bytes
            )));
        }
        let mut bytes = Vec::new();
        // It may grow while it is read.
        std::fs::File::open(path)
            .and_then(|file| file.take(max.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|e| LoadError::File(e.to_string()))?;
        Ok(bytes)
    }

    fn snapshot(&self) -> Snapshot {
        let refusals = self.seen.iter().filter_map(|(path, seen)| {
            Some(Refusal { file: path.clone(), reason: seen.refused.as_ref()?.to_string() })
        });
        let mut snapshot = Snapshot::new(self.seen.values().filter_map(|seen| seen.plugin.clone()), refusals.collect());
        snapshot.grants.clone_from(&self.grants);
        snapshot.grants_problem.clone_from(&self.grants_problem);
        snapshot
    }
}
