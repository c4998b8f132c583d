//! Starting and stopping.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    admin::{Front, RunningAdmin},
    audit::Audit,
    auth::Callers,
    config::{AccessConfig, ConfigError, ServerConfig, TelemetryConfig},
    http::{self, Endpoint, Health, ListenAddress, Listener, Ready, Socket},
    mcp::Shared,
    reload::{Reload, ReloadError},
    telemetry::Metrics,
    tools::Tools,
};

/// Time that connections get, once no call runs any more, to take their last bytes. What is open
/// after it are streams, which end only when they are told to.
const LAST_BYTES: Duration = Duration::from_millis(300);
/// Time that streams get to end.
const LAST_STREAMS: Duration = Duration::from_secs(1);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; change `listen` in [server], or stop what uses the port")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The operators' address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; change `listen` in [admin], or stop what uses it")]
    ListenAdmin {
        /// Address and port, or a path.
        address: ListenAddress,
        /// What the system says.
        reason: std::io::Error,
    },
}

/// Serves `tools` over HTTP to `callers`, through the whole stack: authentication, limits, MCP, metrics. It
/// keeps no audit log and sends nothing to a collector; [`App`](crate::App) does.
///
/// # Errors
/// The configuration is wrong, or the address is taken.
pub async fn serve(
    config: &ServerConfig,
    callers: Callers,
    tools: Arc<dyn Tools>,
    ready: Arc<dyn Ready>,
) -> Result<RunningServer, StartError> {
    let metrics = Metrics::start(&TelemetryConfig::default())?;
    metrics.watch_plugins(&tools);
    serve_recorded(config, callers, tools, ready, Audit::default(), metrics).await
}

/// The same, with a record of every call.
pub(crate) async fn serve_recorded(
    config: &ServerConfig,
    callers: Callers,
    tools: Arc<dyn Tools>,
    ready: Arc<dyn Ready>,
    audit: Audit,
    metrics: Metrics,
) -> Result<RunningServer, StartError> {
    config.validate()?;
    http::raise_limit();
    let shared = Arc::new(Shared::new(tools, config, metrics).recorded(audit));
    let streams = CancellationToken::new();
    let endpoint = Endpoint::new(config, callers, Arc::clone(&shared), streams.clone())?;
    endpoint.warm_up();
    let ready_timeout = Duration::from_millis(config.ready_timeout_ms);
    let health = Health::new(ready, ready_timeout);
    let front = Front { endpoint: Arc::new(endpoint), shared: Arc::clone(&shared), health: Arc::new(health) };
    let app = http::router(Arc::clone(&front.endpoint), Arc::clone(&front.health));
    let cannot_listen = |reason| StartError::Listen { address: config.listen, reason };
    let socket = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
    let local_addr = socket.local_addr().map_err(cannot_listen)?;
    let socket = Socket::Tcp(socket);
    let listener = Arc::new(Listener::new(app, config, shared.stopping.clone()));
    let accepting = tokio::spawn(Arc::clone(&listener).run(socket));
    tracing::info!(%local_addr, "serving MCP over HTTP at /mcp");
    if !local_addr.ip().is_loopback() && config.allowed_hosts == ServerConfig::default().allowed_hosts {
        tracing::warn!(
            "clients on other machines will be refused: `allowed_hosts` in [server] lists this machine alone"
        );
    }
    let guards = [&shared.stopping, &streams, &listener.ending].map(|token| token.clone().drop_guard());
    Ok(RunningServer {
        local_addr,
        delay: Duration::from_millis(config.shutdown_delay_ms),
        grace: Duration::from_secs(config.shutdown_grace_s),
        front,
        admin: None,
        reload: None,
        config: config.clone(),
        streams,
        listener,
        accepting,
        _guards: guards,
    })
}

/// A server that listens. Dropping it ends everything at once; [`shutdown`](Self::shutdown) is the
/// polite way.
pub struct RunningServer {
    local_addr: SocketAddr,
    delay: Duration,
    grace: Duration,
    pub(crate) front: Front,
    pub(crate) admin: Option<RunningAdmin>,
    pub(crate) reload: Option<Arc<Reload>>,
    config: ServerConfig,
    streams: CancellationToken,
    listener: Arc<Listener>,
    accepting: JoinHandle<()>,
    _guards: [DropGuard; 3],
}

impl RunningServer {
    /// Where it listens; the port is the real one, also where the configuration says 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it counts and times.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.front.shared.metrics
    }

    /// Reads the configuration again, all of it or nothing, and gives the keys that have changed. What cannot
    /// change while the server runs is refused. Calls under way keep what they began with.
    ///
    /// # Errors
    /// Why nothing was changed; [`ReloadError::NoFile`] for a server that no [`App`](crate::App) started.
    pub async fn reload(&self) -> Result<Vec<String>, ReloadError> {
        match &self.reload {
            Some(reload) => reload.reload().await,
            None => Err(ReloadError::NoFile),
        }
    }

    /// Takes others who may call, from the next request on. Sessions and streams of callers who are not the same
    /// any more end; calls under way do not.
    ///
    /// # Errors
    /// What is wrong with them, or that nobody could call; then nothing has changed.
    pub fn replace_callers(&self, access: &AccessConfig) -> Result<(), ConfigError> {
        let endpoint = &self.front.endpoint;
        let next = endpoint.callers().renewed(access, &self.config, false)?;
        if next.no_tokens() {
            return Err(ConfigError::value("callers", "have no `token_sha256`, and there is no [oauth]"));
        }
        endpoint.replace(endpoint.renewed(&self.config, next)?);
        Ok(())
    }

    /// Where operators are served, if they are.
    #[must_use]
    pub fn admin_addr(&self) -> Option<&ListenAddress> {
        self.admin.as_ref().map(|admin| &admin.local_addr)
    }

    /// Says that it is not ready, and after `shutdown_delay_ms` stops accepting, lets calls under way finish
    /// within `shutdown_grace_s`, then ends the rest. Operators are served until nothing else is.
    pub async fn shutdown(self) {
        self.front.health.retire();
        // Whoever sends requests here learns that they should go elsewhere, before they are refused.
        tokio::time::sleep(self.delay).await;
        let deadline = Instant::now() + self.grace;
        let shared = self.front.shared;
        shared.stopping.cancel();
        // Ends by the token; an error would be a panic in it, which the runtime has reported.
        let _ = self.accepting.await;
        shared.busy.close();
        if tokio::time::timeout_at(deadline, shared.busy.wait()).await.is_err() {
            tracing::warn!(calls = shared.busy.len(), "calls cut off: they did not end within shutdown_grace_s");
        }
        let connections = &self.listener.connections;
        connections.close();
        if tokio::time::timeout(LAST_BYTES, connections.wait()).await.is_err() {
            self.streams.cancel();
            let _ = tokio::time::timeout(LAST_STREAMS, connections.wait()).await;
        }
        self.streams.cancel();
        self.listener.ending.cancel();
        connections.wait().await;
        // In a session they are no part of a connection.
        shared.calls_have_ended().await;
        tracing::info!("HTTP stopped");
        if let Some(admin) = self.admin {
            admin.shutdown().await;
        }
    }
}
