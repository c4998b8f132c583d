//! The server as the configuration file describes it: database, plugin runtime, transports.

use std::{sync::Arc, time::Instant};

use futures::future::BoxFuture;
use stockade_db::{CacheStats, Database, DbError};
use stockade_runtime::{Caller, Runtime, RuntimeError};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, Operator},
    audit::Audit,
    config::{Config, ConfigError},
    http::Ready,
    mcp::{Shared, stdio},
    reload::Reload,
    server::{RunningServer, StartError, serve_recorded},
    telemetry::{LogControl, Metrics},
    tools::Tools,
};

/// Why the server does not start. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error("cannot use the database: {0}; check [database]")]
    Database(String),
    /// The audit log cannot be kept.
    #[error("{0}; check [audit]")]
    Audit(String),
    /// The plugin runtime does not start.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl AppError {
    fn database(error: &DbError) -> Self {
        Self::Database(error.for_log())
    }
}

/// The database and the plugins, running.
pub struct App {
    config: Config,
    database: Database,
    runtime: Arc<Runtime>,
    audit: Audit,
    started: Instant,
    metrics: Metrics,
    log: Option<LogControl>,
}

/// What calls need: the database with its control plane, and plugins. Embedding models are not asked: without
/// them all tools serve but those that search by meaning.
struct CanServe {
    database: Database,
    runtime: Arc<Runtime>,
}

impl Ready for CanServe {
    fn ready(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async {
            self.runtime.check()?;
            self.database.check().await.map(drop).map_err(|error| error.for_log())
        })
    }
}

impl App {
    /// Connects to the database, starting the embedded one where the configuration has it, and loads
    /// the plugins.
    ///
    /// # Errors
    /// Says what is missing or wrong, and what to do.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        let metrics = Metrics::start(&config.telemetry)?;
        let database = Database::connect(&config.database).await.map_err(|error| AppError::database(&error))?;
        let audit = match Audit::start(&config.audit, &database) {
            Ok(audit) => audit,
            Err(reason) => {
                database.close().await;
                return Err(AppError::Audit(reason));
            }
        };
        match Runtime::start(&config.plugins, database.clone(), audit.acts()).await {
            Ok(runtime) => {
                metrics.watch_database(&database);
                metrics.watch_plugins(&(Arc::clone(&runtime) as _));
                Ok(Self { config, database, runtime, audit, metrics, log: None, started: Instant::now() })
            }
            Err(error) => {
                audit.close().await;
                database.close().await;
                Err(error.into())
            }
        }
    }

    /// The same, whose operators may change the level of this process's log, and which counts what it loses.
    #[must_use]
    pub fn logging(self, log: LogControl) -> Self {
        self.metrics.watch_log(log.clone());
        Self { log: Some(log), ..self }
    }

    /// What it counts and times.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The plugin runtime.
    #[must_use]
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// What the cache of queries does, and holds. `None` where `[cache]` is not configured.
    #[must_use]
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.database.cache_stats()
    }

    /// A configured caller, by the name of its table.
    #[must_use]
    pub fn caller(&self, name: &str) -> Option<Arc<Caller>> {
        let callers = self.config.known_callers().ok()?;
        callers.by_name(name).map(|known| Arc::clone(&known.caller))
    }

    /// Serves over HTTP: callers, and operators where `[admin]` says so.
    ///
    /// # Errors
    /// When the configuration has no caller with a token, or an address is taken.
    pub async fn serve(&self) -> Result<RunningServer, AppError> {
        self.serve_tools(Arc::clone(&self.runtime) as _).await
    }

    /// Serves `tools` in the place of the plugins', over HTTP, to the same callers within the same limits,
    /// and into the same audit log: the benchmark's tools in native Rust.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_tools(&self, tools: Arc<dyn Tools>) -> Result<RunningServer, AppError> {
        let callers = self.config.callers_with_tokens()?;
        let ready = Arc::new(CanServe { database: self.database.clone(), runtime: Arc::clone(&self.runtime) });
        let audit = self.audit.clone();
        let settings = &self.config.admin;
        let operators = match &settings.listen {
            Some(address) => Some(admin::bind(address).await?),
            None => None,
        };
        let mut server =
            serve_recorded(&self.config.server, callers, tools, ready, audit, self.metrics.clone()).await?;
        let front = server.front.clone();
        let (database, runtime, audit) = (self.database.clone(), Arc::clone(&self.runtime), self.audit.clone());
        let reload = Reload::new(self.config.clone(), front.clone(), database, runtime, audit, self.log.clone());
        server.reload = Some(Arc::clone(&reload));
        if let Some(bound) = operators {
            let (database, runtime) = (self.database.clone(), Arc::clone(&self.runtime));
            let operator =
                Operator::new(self.started, database, runtime, self.audit.clone(), front, reload, self.log.clone());
            server.admin = Some(admin::serve(settings, bound, operator));
        }
        Ok(server)
    }

    /// Serves one client on standard input and output, as the caller that `[stdio]` names, until the
    /// client leaves or `stop` is cancelled.
    ///
    /// # Errors
    /// When the configuration names no caller: there is no default.
    pub async fn serve_stdio(&self, stop: CancellationToken) -> Result<(), AppError> {
        let known = self.config.stdio_caller()?;
        let shared = Shared::new(Arc::clone(&self.runtime) as _, &self.config.server, self.metrics.clone());
        let shared = Arc::new(shared.recorded(self.audit.clone()));
        stdio::serve(&self.config.server, shared, known, stop).await;
        Ok(())
    }

    /// Ends the plugins' calls, writes what is left of the audit log, closes the pools, stops the embedded
    /// database and sends the last metrics.
    pub async fn close(self) {
        self.runtime.shutdown().await;
        self.audit.close().await;
        self.database.close().await;
        self.metrics.close().await;
    }
}
