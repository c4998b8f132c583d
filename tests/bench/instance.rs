//! A fresh instance, one call, and its end, in process: through the runtime, and by bare wasmtime.

use std::sync::Arc;

use serde_json::Map;
use stockade_runtime::{CallReport, Invocation};
use stockade_tests::TestApp;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, InstancePre, Linker},
};

use crate::{
    rounds::{interleave, us},
    table::Line,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package bench:bare; world bare { export stockade:plugin/tools@0.1.0; }",
        exports: { default: async },
    });
}

pub(crate) async fn measure(app: &TestApp) -> Vec<Line> {
    eprintln!("instances");
    let runtime = Arc::clone(app.app().runtime());
    let caller = app.caller("head-office");
    let ours = async || {
        let invocation = Invocation {
            caller: Arc::clone(&caller),
            tool: "noop".into(),
            plugin: None,
            arguments: Map::new(),
            request_id: String::new(),
            progress: None,
            report: CallReport::default(),
        };
        runtime.call(invocation).await.expect("a result");
    };
    let bare = Bare::of(&std::fs::read(app.plugins().join("noop.wasm")).expect("the plugin noop"));
    let theirs = async || bare.call("noop").await;
    let outcome = interleave(15, 2_000, ours, theirs).await;
    vec![Line {
        what: "instantiate + call + drop, in process".into(),
        against: "bare wasmtime `InstancePre` on the same component".into(),
        measured: format!("{} : {}", us(outcome.ours), us(outcome.theirs)),
        ratio: Some(outcome.ratio),
        bar: Some(1.3),
    }]
}

/// A component, and wasmtime with nothing around it.
pub(crate) struct Bare {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<()>,
}

impl Bare {
    pub(crate) fn of(component: &[u8]) -> Self {
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::new()));
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::from_binary(&engine, component).expect("a component");
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).expect("imports");
        let pre = linker.instantiate_pre(&component).expect("a component that fits");
        Self { engine, pre }
    }

    /// One call of a tool without arguments, in an instance of its own.
    pub(crate) async fn call(&self, tool: &str) {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(1_000_000);
        let instance = self.pre.instantiate_async(&mut store).await.expect("an instance");
        let bare = bindings::Bare::new(&mut store, &instance).expect("the exports");
        bare.stockade_plugin_tools().call_call(&mut store, tool, "{}").await.expect("no trap").expect("a result");
    }
}
