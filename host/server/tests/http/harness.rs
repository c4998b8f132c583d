//! A running server and its two callers, `north` and `south`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Once},
};

use futures::future::BoxFuture;
use stockade_server::{
    AlwaysReady, Ready, RunningServer,
    auth::Callers,
    config::{AccessConfig, CallerConfig, ServerConfig, TokenDigest},
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
        Self::with_all(change, AccessConfig::default(), ready).await
    }

    /// With `access` besides the two callers.
    pub(crate) async fn with_access(access: AccessConfig) -> Self {
        Self::with_all(|_| {}, access, Arc::new(AlwaysReady)).await
    }

    pub(crate) async fn with_all(
        change: impl FnOnce(&mut ServerConfig),
        mut access: AccessConfig,
        ready: Arc<dyn Ready>,
    ) -> Self {
        listen_to_everything();
        let mut config = ServerConfig { listen: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
        change(&mut config);
        let tools = StubTools::new();
        access.callers.extend(callers());
        let callers = Callers::new(&access, &config).expect("callers");
        let running = serve(&config, callers, Arc::clone(&tools) as _, ready).await.expect("a server");
        Self { running, tools }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.local_addr())
    }

    pub(crate) fn north(&self) -> Client {
        Client::new(self.url("/mcp"), Some("token-north"))
    }

    /// A client with any token.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client::new(self.url("/mcp"), Some(token))
    }

    pub(crate) fn south(&self) -> Client {
        Client::new(self.url("/mcp"), Some("token-south"))
    }
}

/// Whether a line is of interest is remembered for the process: without anybody who listens in all
/// threads, a test that does may come too late.
pub(crate) fn listen_to_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).expect("nobody else listens");
    });
}

/// These callers and nobody else.
pub(crate) fn access_of(callers: impl IntoIterator<Item = (String, CallerConfig)>) -> AccessConfig {
    AccessConfig { callers: callers.into_iter().collect(), ..AccessConfig::default() }
}

fn callers() -> BTreeMap<String, CallerConfig> {
    BTreeMap::from(["north", "south"].map(|name| caller(name, "acme")))
}

/// A caller `p` of `tenant`, whose token is `token-NAME`.
pub(crate) fn caller(name: &str, tenant: &str) -> (String, CallerConfig) {
    let digest = TokenDigest::of(&format!("token-{name}")).to_hex();
    let text = format!(
        "token_sha256 = '{digest}'\ntenant = '{tenant}'\nprincipal = 'p-{name}'\nreader_role = 'reader'\n\
         scopes = ['tools:call']"
    );
    (name.to_owned(), toml::from_str(&text).expect("a caller"))
}

/// A database that never answers.
pub(crate) struct NeverReady;

impl Ready for NeverReady {
    fn ready(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::pending())
    }
}
