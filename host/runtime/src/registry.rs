//! Which plugins serve. A snapshot never changes: a call keeps the one that it began with, so a
//! plugin that is replaced meanwhile finishes the calls that it has.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;

use crate::{
    acts::{self, Act, Serving},
    call::ToolInfo,
    grants::OperatorGrants,
    plugin::{LoadedTool, Plugin, PluginIdentity},
    runtime::PluginState,
};

/// A plugin file that does not serve, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub file: PathBuf,
    /// One sentence for the operator.
    pub reason: String,
}

/// A plugin that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingPlugin {
    /// Its name.
    pub name: String,
    /// Its version, as its manifest has it.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// Its tools, sorted.
    pub tools: Vec<String>,
}

/// What serves at one moment.
#[derive(Default)]
pub(crate) struct Snapshot {
    tools: HashMap<String, (Arc<Plugin>, usize)>,
    pub(crate) infos: Vec<Arc<ToolInfo>>,
    pub(crate) refusals: Vec<Refusal>,
    /// What the operator granted when this was put together.
    pub(crate) grants: OperatorGrants,
    /// Why the operator's file has granted nothing new, where it is wrong.
    pub(crate) grants_problem: Option<String>,
}

impl Snapshot {
    /// `plugins` have different names, and no two of them a tool of the same name.
    pub(crate) fn new(plugins: impl IntoIterator<Item = Arc<Plugin>>, refusals: Vec<Refusal>) -> Self {
        let mut snapshot = Self { refusals, ..Self::default() };
        for plugin in plugins {
            for (index, tool) in plugin.tools.iter().enumerate() {
                snapshot.tools.insert(tool.info.name.clone(), (Arc::clone(&plugin), index));
                snapshot.infos.push(Arc::clone(&tool.info));
            }
        }
        snapshot.infos.sort_by(|a, b| a.name.cmp(&b.name));
        snapshot
    }

    /// The plugins that serve, by name.
    pub(crate) fn plugins(&self) -> Serving<'_> {
        self.tools.values().map(|(plugin, _)| (plugin.identity.name.as_str(), &plugin.identity)).collect()
    }

    /// The same, with their tools, for an operator.
    pub(crate) fn serving(&self) -> Vec<ServingPlugin> {
        let of = |(name, identity): (&str, &Arc<PluginIdentity>)| ServingPlugin {
            name: name.to_owned(),
            version: identity.version.clone(),
            digest: hex::encode(identity.digest),
            tools: self.infos.iter().filter(|info| info.plugin == name).map(|info| info.name.clone()).collect(),
        };
        self.plugins().into_iter().map(of).collect()
    }

    /// The plugins that serve, by name, as they are now.
    pub(crate) fn states(&self) -> Vec<PluginState> {
        let plugins: BTreeMap<_, _> = self.tools.values().map(|(plugin, _)| (&plugin.identity.name, plugin)).collect();
        let state = |(name, plugin): (&String, &Arc<Plugin>)| PluginState {
            name: name.clone(),
            running: (plugin.calls_max as usize).saturating_sub(plugin.calls.available_permits()),
            ready: plugin.instances.waiting(),
            compiled_in: plugin.compiled_in,
        };
        plugins.into_iter().map(state).collect()
    }

    pub(crate) fn find(&self, tool: &str) -> Option<(&Arc<Plugin>, &Arc<LoadedTool>)> {
        let (plugin, index) = self.tools.get(tool)?;
        Some((plugin, plugin.tools.get(*index)?))
    }
}

/// The snapshot that new calls get.
pub(crate) struct Registry {
    current: RwLock<Arc<Snapshot>>,
    changes: watch::Sender<u64>,
}

impl Registry {
    pub(crate) fn new(first: Snapshot) -> Self {
        Self { current: RwLock::new(Arc::new(first)), changes: watch::Sender::new(0) }
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serve `next` from now on, and say so if agents would see a difference. Gives what has changed.
    pub(crate) fn replace(&self, next: Snapshot) -> Vec<Act> {
        let next = Arc::new(next);
        let before =
            std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), Arc::clone(&next));
        if before.infos != next.infos {
            self.changes.send_modify(|version| *version += 1);
        }
        acts::between(&before, &next)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
