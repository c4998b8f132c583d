//! The plugin directory: what is in it, what of it serves, and what has changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    config::RuntimeConfig,
    error::{LoadError, RuntimeError},
    grants::OperatorGrants,
    plugin::{Loader, Plugin},
    registry::{Refusal, Snapshot},
};

/// What tells a changed file from an unchanged one without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// A file, as it was last read.
struct Seen {
    fingerprint: Fingerprint,
    /// The newest version of this file that loaded: it serves on while a newer one does not load.
    plugin: Option<Arc<Plugin>>,
    refused: Option<String>,
    /// When it first served: who came first keeps a name.
    since: u64,
}

/// The directory as of the last scan.
pub(crate) struct Directory {
    config: RuntimeConfig,
    loader: Loader,
    grants: OperatorGrants,
    /// What is wrong with the grants file since they were read.
    grants_problem: Option<String>,
    seen: BTreeMap<PathBuf, Seen>,
    scans: u64,
    /// What plugins are judged by has changed since the last scan.
    judge_again: bool,
}

impl Directory {
    /// Read the operator's grants. Nothing is loaded before the first scan.
    pub(crate) fn open(config: RuntimeConfig, loader: Loader) -> Result<Self, RuntimeError> {
        let grants = OperatorGrants::read_file(&config.grants_file)
            .map_err(|reason| RuntimeError::Directory { path: config.directory.clone(), reason })?;
        Ok(Self { config, loader, grants, grants_problem: None, seen: BTreeMap::new(), scans: 0, judge_again: false })
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
        self.scans += 1;
        let judge_again = self.read_grants() | std::mem::take(&mut self.judge_again);
        let files = self.files()?;
        self.seen.retain(|path, seen| {
            let there = files.contains_key(path);
            if !there && seen.plugin.is_some() {
                tracing::info!(file = %path.display(), "plugin removed");
            }
            there
        });
        for (path, fingerprint) in files {
            let unchanged = self.seen.get(&path).is_some_and(|seen| seen.fingerprint == fingerprint);
            if !unchanged || judge_again {
                let before = self.seen.remove(&path);
                let seen = self.load(&path, fingerprint, before);
                self.seen.insert(path, seen);
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
                let fingerprint =
                    Fingerprint { modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() };
                files.insert(path, fingerprint);
            }
        }
        Ok(files)
    }

    fn load(&self, path: &Path, fingerprint: Fingerprint, before: Option<Seen>) -> Seen {
        let since = before.as_ref().map_or(self.scans, |seen| seen.since);
        let before = before.and_then(|seen| seen.plugin);
        let loaded = self.read(path, fingerprint).and_then(|bytes| self.loader.load(&bytes, &self.grants));
        let file = path.display();
        match loaded {
            Ok(plugin) => {
                let identity = &plugin.identity;
                tracing::info!(%file, plugin = %identity.name, version = %identity.version, digest = %hex::encode(identity.digest), "plugin loaded");
                Seen { fingerprint, plugin: Some(Arc::new(plugin)), refused: None, since }
            }
            Err(error) => {
                // What the operator has taken back stops at once; a wrong new file does not stop the old version.
                let kept = before.filter(|plugin| self.allows(plugin));
                tracing::warn!(%file, reason = %error, serving_older_version = kept.is_some(), "plugin refused");
                Seen { fingerprint, plugin: kept, refused: Some(error.to_string()), since }
            }
        }
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
        let mut plugins: Vec<_> =
            self.seen.iter().filter_map(|(path, seen)| Some((seen.since, path, seen.plugin.as_ref()?))).collect();
        plugins.sort_by_key(|(since, path, _)| (*since, *path));
        let refusals = self
            .seen
            .iter()
            .filter_map(|(path, seen)| Some(Refusal { file: path.clone(), reason: seen.refused.clone()? }));
        let plugins = plugins.into_iter().map(|(_, path, plugin)| (path.clone(), Arc::clone(plugin)));
        let mut snapshot = Snapshot::new(plugins, refusals.collect());
        snapshot.grants.clone_from(&self.grants);
        snapshot.grants_problem.clone_from(&self.grants_problem);
        snapshot
    }
}
