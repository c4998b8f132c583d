//! What changed between two moments: the acts of whoever administers the plugins.

use std::{collections::BTreeMap, sync::Arc};

use crate::{plugin::PluginIdentity, registry::Snapshot};

/// An act, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What was done.
    pub kind: ActKind,
    /// The plugin's name. `None` where it is not known.
    pub plugin: Option<String>,
    /// Its version, as its manifest has it.
    pub version: Option<String>,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: Option<String>,
    /// For the operator: the file and why, or what has changed.
    pub detail: Option<String>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActKind {
    /// A plugin serves that did not.
    Loaded,
    /// Another file serves under a plugin's name.
    Replaced,
    /// A plugin does not serve any more.
    Removed,
    /// A file does not serve, for a new reason.
    Refused,
    /// The operator's grants are others than before; the first time, they were read.
    GrantsChanged,
    /// The grants file is wrong, for a new reason; the grants stay as they were.
    GrantsRefused,
}

/// Where acts are told, in the order in which they happened. Called where a moment's work is fine.
pub type Acts = Arc<dyn Fn(Act) + Send + Sync>;

/// What `after` has that `before` had not, and the other way round.
pub(crate) fn between(before: &Snapshot, after: &Snapshot) -> Vec<Act> {
    let mut acts = Vec::new();
    let changed = after.grants.changed_since(&before.grants);
    if !changed.is_empty() {
        acts.push(Act { detail: Some(format!("grants of {}", changed.join(", "))), ..act(ActKind::GrantsChanged) });
    }
    if let Some(problem) = &after.grants_problem
        && before.grants_problem.as_ref() != Some(problem)
    {
        acts.push(Act { detail: Some(problem.clone()), ..act(ActKind::GrantsRefused) });
    }
    let (old, new) = (before.plugins(), after.plugins());
    for (name, identity) in &new {
        match old.get(name) {
            None => acts.push(of(ActKind::Loaded, identity, None)),
            Some(previous) if previous.digest != identity.digest => {
                let instead = format!("instead of {}", hex::encode(previous.digest));
                acts.push(of(ActKind::Replaced, identity, Some(instead)));
            }
            Some(_) => {}
        }
    }
    for identity in old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(_, identity)| identity) {
        acts.push(of(ActKind::Removed, identity, None));
    }
    for refusal in after.refusals.iter().filter(|refusal| !before.refusals.contains(refusal)) {
        let detail = format!("{}: {}", refusal.file.display(), refusal.reason);
        acts.push(Act { detail: Some(detail), ..act(ActKind::Refused) });
    }
    acts
}

pub(crate) type Serving<'a> = BTreeMap<&'a str, &'a Arc<PluginIdentity>>;

fn act(kind: ActKind) -> Act {
    Act { kind, plugin: None, version: None, digest: None, detail: None }
}

fn of(kind: ActKind, identity: &PluginIdentity, detail: Option<String>) -> Act {
    Act {
        kind,
        plugin: Some(identity.name.clone()),
        version: Some(identity.version.clone()),
        digest: Some(hex::encode(identity.digest)),
        detail,
    }
}
