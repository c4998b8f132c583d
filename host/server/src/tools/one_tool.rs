//! For tests in this crate: one tool that does what a test says, and one caller.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use serde_json::json;
use stockade_runtime::{CallError, Caller, Invocation, ToolInfo, ToolOutput};
use tokio::sync::watch;

use super::Tools;
use crate::{
    auth::Callers,
    config::{AccessConfig, ServerConfig, TokenDigest},
};

type Run = dyn Fn(Invocation) -> BoxFuture<'static, Result<ToolOutput, CallError>> + Send + Sync;

/// A tool by its name, which takes any object and gives any.
pub(crate) struct OneTool {
    name: &'static str,
    run: Box<Run>,
    changes: watch::Sender<u64>,
}

impl OneTool {
    pub(crate) fn new<F>(name: &'static str, run: impl Fn(Invocation) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<ToolOutput, CallError>> + Send + 'static,
    {
        let run = Box::new(move |invocation| Box::pin(run(invocation)) as BoxFuture<'static, _>);
        Arc::new(Self { name, run, changes: watch::channel(0).0 })
    }
}

impl Tools for OneTool {
    fn tools(&self, _: &Caller) -> Vec<Arc<ToolInfo>> {
        Vec::new()
    }

    fn tool(&self, _: &Caller, name: &str) -> Option<Arc<ToolInfo>> {
        let schema = json!({ "type": "object" }).as_object().cloned().map(Arc::new).unwrap_or_default();
        (name == self.name).then(|| {
            Arc::new(ToolInfo {
                name: name.into(),
                title: String::new(),
                description: String::new(),
                input_schema: Arc::clone(&schema),
                output_schema: schema,
                plugin: "one-tool".into(),
            })
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn call(&self, invocation: Invocation) -> BoxFuture<'_, Result<ToolOutput, CallError>> {
        (self.run)(invocation)
    }
}

/// The caller `office` with the token `token`, and nobody else.
pub(crate) fn office(config: &ServerConfig) -> Callers {
    let digest = TokenDigest::of("token").to_hex();
    let text = format!("token_sha256 = '{digest}'\ntenant = 'acme'\nprincipal = 'p'\nreader_role = 'reader'");
    let callers = BTreeMap::from([("office".to_owned(), toml::from_str(&text).expect("a caller"))]);
    Callers::new(&AccessConfig { callers, ..AccessConfig::default() }, config).expect("callers")
}
