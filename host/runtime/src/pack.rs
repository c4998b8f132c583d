//! Putting a manifest into a component, and reading it back.

use std::time::Duration;

use wasmtime::{
    Config, Engine, ResourceLimiter, Store,
    component::{Component, Linker},
};

use crate::{
    bindings::described::{self, exports::stockade::plugin::describe},
    engine,
    error::LoadError,
    manifest::{Manifest, ToolManifest},
    plugin::{self, LoadedTool},
    section,
};

/// Time, and all memories and all tables together, for a component that describes its tools.
const DESCRIBE_MAX: Duration = Duration::from_secs(5);
const DESCRIBE_BYTES_MAX: usize = 64 << 20;
const DESCRIBE_TABLE_ELEMENTS_MAX: usize = 20_000;

/// Pack `component`, a tool chain's output, with the manifest `plugin_toml`.
///
/// Tools that the manifest leaves out are asked from the component (WIT interface `describe`), which
/// runs in a store without grants: whatever it calls of the host is a trap.
///
/// # Errors
/// A sentence when the component or the manifest is wrong, or when both or neither describe tools.
pub async fn pack(component: &[u8], plugin_toml: &str) -> Result<Vec<u8>, LoadError> {
    let mut manifest = Manifest::from_toml(plugin_toml).map_err(LoadError::Manifest)?;
    let described = describe(component).await?;
    manifest.tools = match (manifest.tools.is_empty(), described) {
        (true, Some(tools)) => tools,
        (false, None) => manifest.tools,
        (true, None) => {
            return Err(LoadError::Manifest(
                "nobody describes the tools: export the interface `describe`, or write [[tools]] in plugin.toml".into(),
            ));
        }
        (false, Some(_)) => {
            return Err(LoadError::Manifest(
                "both the component and plugin.toml describe tools: take [[tools]] out of plugin.toml".into(),
            ));
        }
    };
    let json = serde_json::to_vec(&manifest).map_err(|e| LoadError::Manifest(e.to_string()))?;
    let packed = section::write(component, &json)?;
    inspect(&packed)?;
    Ok(packed)
}

/// The manifest of a packed component, with all checked that needs neither grants nor compiling.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn inspect(component: &[u8]) -> Result<Manifest, LoadError> {
    let manifest = plugin::read_manifest(component)?;
    for tool in &manifest.tools {
        LoadedTool::schemas(tool)?;
    }
    Ok(manifest)
}

async fn describe(bytes: &[u8]) -> Result<Option<Vec<ToolManifest>>, LoadError> {
    let failed = |e: wasmtime::Error| LoadError::Contract(format!("it cannot describe its tools: {e:#}"));
    let engine = Engine::new(Config::new().epoch_interruption(true)).map_err(failed)?;
    let component = Component::from_binary(&engine, bytes)
        .map_err(|e| LoadError::NotAComponent(format!("it does not compile: {e:#}")))?;
    let exports_it =
        component.component_type().exports(&engine).any(|(name, _)| name.starts_with("stockade:plugin/describe@"));
    if !exports_it {
        return Ok(None);
    }
    let mut linker: Linker<Taken> = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&component).map_err(failed)?;
    let mut store = Store::new(&engine, Taken::default());
    store.limiter(|taken| taken);
    store.set_epoch_deadline(u64::try_from(DESCRIBE_MAX.as_millis() / engine::TICK.as_millis()).unwrap_or(u64::MAX));
    engine::start_clock(&engine).map_err(|e| LoadError::Contract(e.to_string()))?;
    let pack = described::Pack::instantiate_async(&mut store, &component, &linker).await.map_err(failed)?;
    let tools = pack.stockade_plugin_describe().call_tools(&mut store).await.map_err(failed)?;
    tools.into_iter().map(tool_manifest).collect::<Result<_, _>>().map(Some)
}

/// What a component that describes its tools has taken.
#[derive(Default)]
struct Taken {
    bytes: usize,
    elements: usize,
}

impl ResourceLimiter for Taken {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(take(&mut self.bytes, desired.saturating_sub(current), DESCRIBE_BYTES_MAX))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(take(&mut self.elements, desired.saturating_sub(current), DESCRIBE_TABLE_ELEMENTS_MAX))
    }
}

/// Take more, unless it were too much.
fn take(taken: &mut usize, more: usize, max: usize) -> bool {
    let sum = taken.saturating_add(more);
    if sum <= max {
        *taken = sum;
    }
    sum <= max
}

fn tool_manifest(tool: describe::Tool) -> Result<ToolManifest, LoadError> {
    let parse = |which: &str, schema: &str| {
        serde_json::from_str(schema).map_err(|e| {
            LoadError::Manifest(format!("the {which} schema of {:?} is not a JSON object: {e}", tool.name))
        })
    };
    Ok(ToolManifest {
        input_schema: parse("input", &tool.input_schema)?,
        output_schema: parse("output", &tool.output_schema)?,
        name: tool.name,
        title: tool.title,
        description: tool.description,
    })
}
