//! One plugin, from the bytes of a file to something that can be called.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use stockade_db::SqlScope;
use tokio::sync::Semaphore;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::{
    bindings::{self, stockade::plugin as wit},
    call::ToolInfo,
    engine::Engines,
    error::LoadError,
    export,
    grants::{Grants, OperatorGrants, SqlGrant},
    limits::{LimitCaps, Limits},
    line_rate::LineRate,
    manifest::{CONTRACT, Manifest, ToolManifest},
    ready::{Making, ReadyInstances, ReadySlots},
    schema::Schema,
    section,
    state::CallState,
};

/// Who a plugin is, and what it may use.
#[derive(Debug)]
pub(crate) struct PluginIdentity {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SHA-256 of the file: the exact plugin, whatever its version says.
    pub(crate) digest: [u8; 32],
    pub(crate) grants: Grants,
    /// The scope and collections of `grants`, as every call's session takes them.
    pub(crate) sql: Arc<SqlScope>,
    pub(crate) collections: Arc<BTreeSet<String>>,
}

/// A loaded plugin.
pub(crate) struct Plugin {
    pub(crate) identity: Arc<PluginIdentity>,
    pub(crate) tools: Vec<Arc<LoadedTool>>,
    pub(crate) instances: ReadyInstances,
    /// Calls at once.
    pub(crate) calls: Arc<Semaphore>,
    /// How many calls that is.
    pub(crate) calls_max: u32,
    /// Lines in the log, all calls together.
    pub(crate) log_rate: Arc<LineRate>,
    /// Time that compiling it took, or reading it out of the cache of compiled components.
    pub(crate) compiled_in: Duration,
}

/// A tool whose schemas are compiled.
pub(crate) struct LoadedTool {
    pub(crate) info: Arc<ToolInfo>,
    pub(crate) input: Schema,
    pub(crate) output: Schema,
    pub(crate) limits: Limits,
    /// For how long results of its queries may be kept, in seconds.
    pub(crate) cache_ttl_s: Option<u32>,
}

/// What loading needs besides the file.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) engines: Engines,
    pub(crate) caps: LimitCaps,
    pub(crate) slots: ReadySlots,
    pub(crate) start: Duration,
    /// Lines that a plugin may write into the log in a second, all calls together.
    pub(crate) log_lines_per_s_max: u32,
}

impl Loader {
    /// Load a plugin whose manifest has been read. It compiles: call it where blocking is allowed.
    pub(crate) fn load(
        &self,
        bytes: &[u8],
        manifest: Manifest,
        operator: &OperatorGrants,
    ) -> Result<Plugin, LoadError> {
        let name = &manifest.plugin.name;
        operator.check(name, &manifest.grants).map_err(LoadError::NotGranted)?;
        let limits = manifest.limits.resolve(&self.caps).map_err(LoadError::Manifest)?;
        let tools = manifest.tools.iter().map(|tool| {
            let asked = manifest.tool_limits.get(&tool.name).cloned().unwrap_or_default().over(&manifest.limits);
            let limits = asked
                .resolve(&self.caps)
                .map_err(|e| LoadError::Manifest(format!("limits of the tool {:?}: {e}", tool.name)))?;
            let cache_ttl_s = manifest.tool_cache.get(&tool.name).map(|cache| cache.ttl_s);
            LoadedTool::compile(tool, name, limits, cache_ttl_s).map(Arc::new)
        });
        let tools = tools.collect::<Result<Vec<_>, LoadError>>()?;

        let counts_fuel = tools.iter().any(|tool| tool.limits.fuel > 0);
        let engine = self.engines.get(counts_fuel, limits.stack_kib).map_err(|e| LoadError::Contract(e.to_string()))?;
        let started = Instant::now();
        let component = Component::from_binary(&engine, bytes)
            .map_err(|e| LoadError::NotAComponent(format!("it does not compile: {e:#}")))?;
        let compiled_in = started.elapsed();
        let places = self.engines.places(&component).map_err(LoadError::NotAComponent)?;
        let linker = link(&component, &manifest.grants)?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(bindings::PluginPre::new)
            .map_err(|e| LoadError::Contract(format!("{e:#}; expected the world `plugin` of contract {CONTRACT}")))?;
        export::check(&component).map_err(LoadError::Contract)?;
        let identity = PluginIdentity {
            name: manifest.plugin.name,
            version: manifest.plugin.version,
            digest: Sha256::digest(bytes).into(),
            sql: Arc::new(manifest.grants.sql.as_ref().map(SqlGrant::scope).unwrap_or_default()),
            collections: Arc::new(manifest.grants.vector.as_ref().map(|g| g.collections.clone()).unwrap_or_default()),
            grants: manifest.grants,
        };
        let making = Making { pre, limits, counts_fuel, places, start: self.start };
        Ok(Plugin {
            identity: Arc::new(identity),
            tools,
            instances: ReadyInstances::new(making, self.slots.clone()),
            calls: Arc::new(Semaphore::new(limits.concurrent_calls as usize)),
            calls_max: limits.concurrent_calls,
            log_rate: Arc::new(LineRate::new(self.log_lines_per_s_max)),
            compiled_in,
        })
    }
}

/// The manifest in a component, checked.
pub(crate) fn read_manifest(bytes: &[u8]) -> Result<Manifest, LoadError> {
    let manifest = Manifest::from_json(section::read(bytes)?).map_err(LoadError::Manifest)?;
    manifest.validate().map_err(LoadError::Manifest)?;
    Ok(manifest)
}

impl LoadedTool {
    /// Compile a tool's input and output schema.
    pub(crate) fn schemas(tool: &ToolManifest) -> Result<(Schema, Schema), LoadError> {
        let compile = |which: &str, schema| {
            Schema::compile(schema)
                .map_err(|e| LoadError::Manifest(format!("the {which} schema of {:?} is wrong: {e}", tool.name)))
        };
        Ok((compile("input", &tool.input_schema)?, compile("output", &tool.output_schema)?))
    }

    fn compile(tool: &ToolManifest, plugin: &str, limits: Limits, cache_ttl_s: Option<u32>) -> Result<Self, LoadError> {
        let (input, output) = Self::schemas(tool)?;
        Ok(Self {
            input,
            output,
            limits,
            cache_ttl_s,
            info: Arc::new(ToolInfo {
                name: tool.name.clone(),
                title: tool.title.clone(),
                description: tool.description.clone(),
                input_schema: Arc::new(tool.input_schema.clone()),
                output_schema: Arc::new(tool.output_schema.clone()),
                plugin: plugin.to_owned(),
            }),
        })
    }
}

type Link = fn(&mut Linker<CallState>) -> wasmtime::Result<()>;

/// An interface of the contract: whether these grants hold it, and how it is linked.
struct Interface {
    name: &'static str,
    granted: fn(&Grants) -> bool,
    link: Link,
}

macro_rules! interface {
    ($module:ident, $granted:expr) => {
        Interface {
            name: stringify!($module),
            granted: $granted,
            link: |linker| wit::$module::add_to_linker::<CallState, HasSelf<CallState>>(linker, |state| state),
        }
    };
}

const INTERFACES: [Interface; 8] = [
    interface!(types, |_| true),
    interface!(log, |_| true),
    interface!(caller, |_| true),
    interface!(progress, |_| true),
    interface!(sql, |grants| grants.sql.is_some()),
    interface!(vector, |grants| grants.vector.is_some()),
    interface!(cache, |grants| grants.cache.is_some()),
    interface!(metrics, |grants| grants.metrics.is_some()),
];

/// A linker with what the component imports and the grants hold, and nothing else.
fn link(component: &Component, grants: &Grants) -> Result<Linker<CallState>, LoadError> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    let mut wasi = false;
    for (import, _) in component.component_type().imports(engine) {
        if import.starts_with("wasi:") {
            wasi = true;
            continue;
        }
        let interface = INTERFACES.iter().find(|i| import == format!("stockade:plugin/{}@{CONTRACT}", i.name));
        let Some(interface) = interface else {
            return Err(LoadError::Contract(format!(
                "it imports {import:?}, which this host does not have: build it against contract {CONTRACT}"
            )));
        };
        if !(interface.granted)(grants) {
            let name = interface.name;
            return Err(LoadError::NotGranted(format!(
                "it imports the interface `{name}`, which its manifest does not ask for: add `{name}` to [grants] in plugin.toml"
            )));
        }
        (interface.link)(&mut linker).map_err(|e| LoadError::Contract(format!("{e:#}")))?;
    }
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(|e| LoadError::Contract(format!("{e:#}")))?;
    }
    Ok(linker)
}
