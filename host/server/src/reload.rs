//! Reading the configuration again while the host runs: all of it, or nothing.

use std::{path::PathBuf, sync::Arc};

use stockade_db::AuditDecision;
use stockade_runtime::Runtime;
use tokio::sync::Mutex;

use crate::{
    audit::Audit,
    config::{Changes, Config, ConfigError},
    http::Endpoint,
};

/// Why the configuration stays as it was. No text here holds a value from the file.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new file is wrong.
    #[error("nothing was changed: {0}")]
    Config(#[from] ConfigError),
    /// The operator's grants are wrong.
    #[error("nothing was changed: {0}")]
    Grants(String),
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
    /// The one that holds. Held while another one takes its place.
    current: Mutex<Config>,
    endpoint: Arc<Endpoint>,
    runtime: Arc<Runtime>,
    audit: Audit,
}

impl Reload {
    pub(crate) fn new(config: Config, endpoint: Arc<Endpoint>, runtime: Arc<Runtime>, audit: Audit) -> Arc<Self> {
        Arc::new(Self { path: config.path.clone(), current: Mutex::new(config), endpoint, runtime, audit })
    }

    /// Reads the file again and gives the keys that have changed. Calls under way keep what they began with.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(crate) async fn reload(&self) -> Result<Vec<String>, ReloadError> {
        let outcome = self.attempt().await;
        let (decision, detail) = match &outcome {
            Ok(changed) if changed.is_empty() => (AuditDecision::Allowed, "nothing has changed".to_owned()),
            Ok(changed) => (AuditDecision::Allowed, format!("changed: {}", changed.join(", "))),
            Err(error) => (AuditDecision::Refused, error.to_string()),
        };
        match decision {
            AuditDecision::Allowed => tracing::info!(detail, "configuration reloaded"),
            AuditDecision::Refused => tracing::error!(detail, "configuration not reloaded"),
        }
        self.audit.act("CONFIGURATION_RELOADED", decision, |record| record.detail = Some(detail));
        outcome
    }

    async fn attempt(&self) -> Result<Vec<String>, ReloadError> {
        let mut current = self.current.lock().await;
        let next = Config::load(&self.path)?;
        next.callers_with_tokens()?;
        let changes = current.changes(&next);
        let fixed = changes.fixed();
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        self.runtime.check_grants().map_err(ReloadError::Grants)?;
        let issuers_stay = ["oauth", "tenants", "tenant_defaults"].iter().all(|section| changes.leaves(section));
        let callers = self.endpoint.callers().renewed(&next.access, &next.server, issuers_stay)?;
        // From here on nothing fails.
        self.endpoint.replace_callers(callers);
        self.runtime.look_again();
        *current = next;
        Ok(Changes::into_keys(changes))
    }
}
