//! A running server and its two callers, `north` and `south`.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use stockade_server::{
    AlwaysReady, Ready, RunningServer,
    auth::Callers,
    config::{CallerConfig, ServerConfig, TokenDigest},
    serve,
};

use crate::{client::Client, stub::StubTools};

pub(crate) struct TestServer {
    pub(crate) running: RunningServer,
    pub(crate) tools: Arc<StubTools>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::with_ready(change, Arc::new(AlwaysReady)).await
    }

    pub(crate) async fn with_ready(change: impl FnOnce(&mut ServerConfig), ready: Arc<dyn Ready>) -> Self {
        let mut config = ServerConfig { listen: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
        change(&mut config);
        let tools = StubTools::new();
        let callers = Callers::new(&callers(), &config).expect("callers");
        let running = serve(&config, callers, Arc::clone(&tools) as _, ready).await.expect("a server");
        Self { running, tools }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.local_addr())
    }

    pub(crate) fn north(&self) -> Client {
        Client::new(self.url("/mcp"), Some("token-north"))
    }

    pub(crate) fn south(&self) -> Client {
        Client::new(self.url("/mcp"), Some("token-south"))
    }
}

fn callers() -> BTreeMap<String, CallerConfig> {
    let caller = |name: &str| {
        let digest = TokenDigest::of(&format!("token-{name}")).to_hex();
        let text =
            format!("token_sha256 = '{digest}'\ntenant = 'acme'\nprincipal = 'p-{name}'\nreader_role = 'reader'");
        (name.to_owned(), toml::from_str(&text).expect("a caller"))
    };
    BTreeMap::from(["north", "south"].map(caller))
}

/// A database that never answers.
pub(crate) struct NeverReady;

impl Ready for NeverReady {
    fn ready(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::pending())
    }
}
