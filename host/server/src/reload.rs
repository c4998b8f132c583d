//! Reading the configuration again while the host runs: all of it, or nothing.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use stockade_db::{AuditDecision, Database};
use stockade_runtime::Runtime;
use tokio::sync::Mutex;

use crate::{
    admin::Front,
    audit::Audit,
    config::{Changes, Config, ConfigError, TokenDigest},
    telemetry::LogControl,
};

/// Why the configuration stays as it was. No text here holds a value from the file.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new file is wrong.
    #[error("nothing was changed: {0}")]
    Config(#[from] ConfigError),
    /// The section `[plugins]`, or the operator's grants, are wrong.
    #[error("nothing was changed: {0}")]
    Plugins(String),
    /// The section `[database]` is wrong, or one that belongs to it.
    #[error("nothing was changed: {0}")]
    Database(String),
    /// The new file changes what is fixed while the host runs.
    #[error("nothing was changed: {} cannot change while the host runs; restart it, or take the change back", .0.join(", "))]
    Fixed(Vec<String>),
    /// The server was not started from a file.
    #[error("nothing was changed: this server was not started from a configuration file")]
    NoFile,
}

/// What a new configuration goes into.
pub(crate) struct Reload {
    path: PathBuf,
    /// The one that holds.
    current: RwLock<Arc<Config>>,
    /// Held while another one takes its place.
    attempts: Mutex<()>,
    front: Front,
    database: Database,
    runtime: Arc<Runtime>,
    audit: Audit,
    /// None where the process's log is not the host's.
    log: Option<LogControl>,
}

impl Reload {
    pub(crate) fn new(
        config: Config,
        front: Front,
        database: Database,
        runtime: Arc<Runtime>,
        audit: Audit,
        log: Option<LogControl>,
    ) -> Arc<Self> {
        let (path, current) = (config.path.clone(), RwLock::new(Arc::new(config)));
        Arc::new(Self { path, current, attempts: Mutex::default(), front, database, runtime, audit, log })
    }

    fn current(&self) -> Arc<Config> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What opens the operators' side now.
    pub(crate) fn operators_token(&self) -> Option<TokenDigest> {
        self.current().admin.token_sha256
    }

    /// Reads the file again and gives the keys that have changed. Calls under way keep what they began with.
    /// Dropped before its end, it has changed all or nothing too.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(crate) async fn reload(&self) -> Result<Vec<String>, ReloadError> {
        let _one_at_a_time = self.attempts.lock().await;
        let outcome = self.attempt();
        let (decision, detail) = match &outcome {
            Ok((changed, _)) if changed.is_empty() => (AuditDecision::Allowed, "nothing has changed".to_owned()),
            Ok((changed, _)) => (AuditDecision::Allowed, format!("changed: {}", changed.join(", "))),
            Err(error) => (AuditDecision::Refused, error.to_string()),
        };
        match decision {
            AuditDecision::Allowed => tracing::info!(detail, "configuration reloaded"),
            AuditDecision::Refused => tracing::error!(detail, "configuration not reloaded"),
        }
        self.audit.act("CONFIGURATION_RELOADED", decision, |record| record.detail = Some(detail));
        let (changed, plugins_judged) = outcome?;
        plugins_judged.await;
        Ok(changed)
    }

    /// The keys that have changed, and what ends when plugins have been judged anew.
    fn attempt(&self) -> Result<(Vec<String>, impl Future<Output = ()> + use<>), ReloadError> {
        let current = self.current();
        let next = Config::load(&self.path)?;
        next.callers_with_tokens()?;
        let changes = current.changes(&next);
        let fixed = changes.fixed();
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        Database::check_config(&next.database).map_err(|error| ReloadError::Database(error.for_log()))?;
        self.runtime.check_config(&next.plugins).map_err(ReloadError::Plugins)?;
        let endpoint = &self.front.endpoint;
        let issuers_stay = ["oauth", "tenants", "tenant_defaults"].iter().all(|section| changes.leaves(section));
        let callers = endpoint.callers().renewed(&next.access, &next.server, issuers_stay)?;
        let access = endpoint.renewed(&next.server, callers)?;
        if let Some(log) = self.log.as_ref().filter(|_| !changes.leaves("log")) {
            log.follow(&next.log)?;
        }
        // From here on nothing fails.
        self.database.adjust(&next.database);
        self.front.shared.adjust(&next.server);
        self.audit.keep_arguments(next.audit.arguments);
        endpoint.replace(access);
        let plugins_judged = self.runtime.adjust(&next.plugins);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok((Changes::into_keys(changes), plugins_judged))
    }
}
