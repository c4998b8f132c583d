//! What the process takes from its environment. Nothing else in the host reads it.

use std::path::PathBuf;

use stockade_db::Secret;

/// The environment variables that Stockade knows.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `STOCKADE_CONFIG`: the configuration file, where `--config` does not name one.
    pub config: Option<PathBuf>,
    /// `STOCKADE_LOG`: overrides `level` of the section `[log]`.
    pub log: Option<String>,
    /// `STOCKADE_ADMIN_TOKEN`: the operators' token, for the commands that ask a running host.
    pub admin_token: Option<Secret>,
}

impl Environment {
    /// Reads the process's environment. An empty variable counts as absent.
    #[must_use]
    pub fn read() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            config: set("STOCKADE_CONFIG").map(PathBuf::from),
            log: set("STOCKADE_LOG").map(|value| value.to_string_lossy().into_owned()),
            admin_token: set("STOCKADE_ADMIN_TOKEN").map(|value| Secret::new(value.to_string_lossy().trim())),
        }
    }
}
