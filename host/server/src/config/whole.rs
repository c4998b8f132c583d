use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use stockade_db::{CacheConfig, CollectionConfig, DatabaseConfig, EmbedderConfig};
use stockade_runtime::RuntimeConfig;

use super::{
    AccessConfig, AdminConfig, AuditConfig, CallerConfig, Changes, ConfigError, LogConfig, OauthConfig, ServerConfig,
    TelemetryConfig, TenantConfig,
};
use crate::auth::{Callers, KnownCaller};

/// `stockade.toml`. There is no `Debug`: nobody prints it whole.
#[derive(Clone)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[database]`, `[embedders.*]`, `[collections.*]` and `[cache]`
    pub database: DatabaseConfig,
    /// `[plugins]`
    pub plugins: RuntimeConfig,
    /// `[callers.*]`, `[oauth]`, `[tenants.*]` and `[tenant_defaults]`
    pub access: AccessConfig,
    /// `[stdio]`
    pub stdio: Option<StdioConfig>,
    /// `[log]`
    pub log: LogConfig,
    /// `[audit]`
    pub audit: AuditConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    pub(crate) path: PathBuf,
    /// The file as it was written, to tell what another one changes.
    written: toml::Table,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
}

/// The section `[stdio]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdioConfig {
    /// The name of the caller, a table in `[callers]`, as whom `stockade stdio` serves.
    pub caller: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    server: ServerConfig,
    database: DatabaseConfig,
    #[serde(default)]
    embedders: BTreeMap<String, EmbedderConfig>,
    #[serde(default)]
    collections: BTreeMap<String, CollectionConfig>,
    cache: Option<CacheConfig>,
    plugins: RuntimeConfig,
    #[serde(default)]
    callers: BTreeMap<String, CallerConfig>,
    oauth: Option<OauthConfig>,
    #[serde(default)]
    tenants: BTreeMap<String, TenantConfig>,
    #[serde(default)]
    tenant_defaults: TenantConfig,
    stdio: Option<StdioConfig>,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    audit: AuditConfig,
    #[serde(default)]
    admin: AdminConfig,
    #[serde(default)]
    telemetry: TelemetryConfig,
}

impl Config {
    /// Reads and checks a configuration file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// Says which file, line or key is wrong, and what was expected. Never shows a value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|reason| ConfigError::Read { path: path.to_owned(), reason })?;
        let file: File = toml::from_str(&text).map_err(|error| ConfigError::parse(path, &text, &error))?;
        let mut config = Self {
            server: file.server,
            database: DatabaseConfig {
                embedders: file.embedders,
                collections: file.collections,
                cache: file.cache,
                ..file.database
            },
            plugins: file.plugins,
            access: AccessConfig {
                callers: file.callers,
                oauth: file.oauth,
                tenants: file.tenants,
                tenant_defaults: file.tenant_defaults,
            },
            stdio: file.stdio,
            log: file.log,
            audit: file.audit,
            admin: file.admin,
            path: path.to_owned(),
            written: toml::from_str(&text).map_err(|error| ConfigError::parse(path, &text, &error))?,
            telemetry: file.telemetry,
        };
        config.resolve_paths(path.parent().unwrap_or(Path::new("")));
        config.check()?;
        Ok(config)
    }

    /// In what `next` differs.
    pub(crate) fn changes(&self, next: &Self) -> Changes {
        Changes::between(&self.written, &next.written)
    }

    /// The callers, ready to be looked up.
    ///
    /// # Errors
    /// As [`Callers::new`].
    pub fn known_callers(&self) -> Result<Callers, ConfigError> {
        Callers::new(&self.access, &self.server)
    }

    /// The callers, of whom at least one can come over HTTP.
    ///
    /// # Errors
    /// When nobody could call over HTTP.
    pub fn callers_with_tokens(&self) -> Result<Callers, ConfigError> {
        let callers = self.known_callers()?;
        if callers.no_tokens() {
            return Err(ConfigError::value(
                "callers",
                "have no `token_sha256`, and there is no [oauth], so nobody could call over HTTP; run `stockade token new`",
            ));
        }
        Ok(callers)
    }

    /// The caller as whom stdio is served.
    ///
    /// # Errors
    /// When `[stdio]` names none: there is no default.
    pub fn stdio_caller(&self) -> Result<Arc<KnownCaller>, ConfigError> {
        let known = self.stdio.as_ref().map(|stdio| self.known_callers().map(|callers| callers.by_name(&stdio.caller)));
        known.transpose()?.flatten().ok_or_else(|| {
            ConfigError::value(
                "stdio.caller",
                "is missing; over stdio it says who calls: write `[stdio]` and `caller = \"NAME\"`",
            )
        })
    }

    /// A client starts the server from any folder, so the working directory says nothing.
    fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        let DatabaseConfig { context_key_file, embedded, embedders, cache, .. } = &mut self.database;
        resolve(context_key_file);
        if let Some(embedded) = embedded {
            resolve(&mut embedded.data_dir);
            embedded.bin_dir.as_mut().map(resolve);
        }
        if let Some(redis) = cache.as_mut().and_then(|cache| cache.redis.as_mut()) {
            resolve(&mut redis.url_file);
        }
        for embedder in embedders.values_mut() {
            match embedder {
                EmbedderConfig::Candle { directory, .. } => resolve(directory),
                EmbedderConfig::OpenAi(config) => {
                    config.api_key_file.as_mut().map(resolve);
                }
            }
        }
        resolve(&mut self.plugins.directory);
        resolve(&mut self.plugins.grants_file);
        self.plugins.cache_dir.as_mut().map(resolve);
        self.audit.file.as_mut().map(resolve);
        self.admin.path().map(resolve);
        self.log.file.as_mut().map(resolve);
        self.telemetry.otlp.as_mut().and_then(|otlp| otlp.headers_file.as_mut()).map(resolve);
        self.access.paths().for_each(resolve);
    }

    /// A caller's token opens nothing for operators: one that is both would open both.
    fn check_admin(&self) -> Result<(), ConfigError> {
        let token = self.admin.validate()?;
        let callers = self.access.callers.values().filter_map(|caller| caller.token_sha256);
        match token {
            Some(token) if callers.into_iter().any(|callers| callers == token) => Err(ConfigError::value(
                "admin.token_sha256",
                "is a caller's too; operators need a token of their own: `stockade token new`",
            )),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.server.validate()?;
        self.audit.validate()?;
        self.log.validate()?;
        self.telemetry.validate()?;
        self.known_callers()?;
        self.check_admin()?;
        if self.database.url.is_some() == self.database.embedded.is_some() {
            return Err(ConfigError::value("database", "must have either `url` or `embedded`, and not both"));
        }
        for (at, reader_role) in self.access.reader_roles() {
            let listed = self.database.reader_roles.iter().any(|role| role.as_str() == reader_role);
            if !listed {
                let key = format!("{at}.reader_role");
                return Err(ConfigError::value(key, "is not listed in `reader_roles` of [database]"));
            }
        }
        for (name, collection) in &self.database.collections {
            if !self.database.embedders.contains_key(&collection.embedder) {
                let key = format!("collections.{name}.embedder");
                return Err(ConfigError::value(key, "names no table in [embedders]"));
            }
        }
        if let Some(stdio) = &self.stdio
            && !self.access.callers.contains_key(&stdio.caller)
        {
            return Err(ConfigError::value("stdio.caller", "names no table in [callers]"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TokenDigest;

    const MINIMAL: &str = r#"
        [database]
        url = "postgres://login:hunter2@localhost/acme"
        reader_roles = ["reader"]
        search_path = ["public"]
        context_key_file = "context.key"
        [plugins]
        directory = "plugins"
        grants_file = "/etc/grants.toml"
        [callers.office]
        tenant = "acme"
        principal = "p"
        reader_role = "reader"
    "#;

    const OAUTH: &str = "[oauth]\nresource = 'https://mcp.example.com/mcp'\n[oauth.issuers.id]\n\
        issuer = 'https://id.example.com'\njwks_file = 'keys.json'\ntenant = 'acme'\n[oauth.issuers.id.roles.r]\n";

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stockade.toml");
        std::fs::write(&path, text).expect("a file");
        Config::load(&path)
    }

    fn refusal(text: &str) -> String {
        let error = load(text).err().expect("a refusal").to_string();
        assert!(!error.contains("hunter2"), "{error}");
        error
    }

    #[test]
    fn debug_output_has_no_secret() {
        let digest = TokenDigest::of("a-token").to_hex();
        let text = MINIMAL.replacen("[callers.office]", &format!("[callers.office]\ntoken_sha256 = '{digest}'"), 1);
        let otlp = "[telemetry.otlp]\nendpoint = 'http://login:hunter2@127.0.0.1:4318'";
        let config = load(&format!("{text}\n{otlp}")).expect("a configuration");
        let shown = format!("{:?} {:?} {:?}", config.database, config.access, config.telemetry);
        assert!(shown.contains("office") && !shown.contains("hunter2") && !shown.contains(&digest), "{shown}");
    }

    #[test]
    fn a_minimal_file_has_defaults_and_paths_of_its_own_folder() {
        let config = load(MINIMAL).expect("a configuration");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8808");
        assert_eq!(config.server.body_bytes_max, 4_194_304);
        assert!(config.plugins.directory.is_absolute());
        assert_eq!(config.plugins.grants_file, Path::new("/etc/grants.toml"));
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        for (from, to, expected) in [
            ("url =", "urll =", "unknown field `urll`"),
            ("url = \"postgres://login:hunter2@localhost/acme\"", "", "either `url` or `embedded`"),
            ("[plugins]", "[plugin]", "unknown field `plugin`"),
            ("[callers.office]", "[callers.office]\ntoken_sha256 = \"hunter2\"", "stockade token new"),
            ("[callers.office]", "[callers.office]\nroles = \"hunter2\"", "expected a sequence"),
            ("reader_role = \"reader\"", "reader_role = \"other\"", "callers.office.reader_role"),
            ("principal = \"p\"", "principal = \"\"", "callers.office.principal"),
            ("[database]", "[stdio]\ncaller = \"nobody\"\n[database]", "stdio.caller"),
            ("[database]", "[server]\nlisten = \"hunter2\"\n[database]", "line 3"),
            ("[database]", "[audit]\nrequired = true\ndatabase = false\n[database]", "audit.required"),
            ("[database]", "[audit]\nqueue_max = 0\n[database]", "audit.queue_max"),
            ("[database]", "[log]\nfiles_max = 0\n[database]", "log.files_max"),
            ("[database]", "[log]\nfile_bytes_max = 4095\n[database]", "log.file_bytes_max"),
            ("[database]", "[telemetry]\ntenants_max = 1001\n[database]", "telemetry.tenants_max"),
            (
                "[database]",
                "[telemetry.otlp]\nendpoint = 'http://hunter2'\nqueue_max = 0\n[database]",
                "otlp.queue_max",
            ),
            (
                "[database]",
                "[telemetry.otlp]\nendpoint = 'http://hunter2'\nsampling_ratio = 1.1\n[database]",
                "telemetry.otlp.sampling_ratio",
            ),
            ("[database]", "[server]\nbody_bytes_max = 0\n[database]", "server.body_bytes_max"),
            ("[database]", "[tenants.amce]\ncalls_max = 1\n[database]", "tenants.amce"),
            ("[database]", "[tenants.acme]\ncalls_max = 0\n[database]", "tenants.acme.calls_max"),
            ("[database]", "[tenant_defaults]\nrequests_max = 0\n[database]", "tenant_defaults.requests_max"),
            (
                "[database]",
                &format!("{OAUTH}reader_role = 'other'\n[database]"),
                "oauth.issuers.id.roles.r.reader_role",
            ),
            ("[database]", &format!("{OAUTH}reader = 'reader'\n[database]"), "unknown field `reader`"),
        ] {
            let text = MINIMAL.replacen(from, to, 1);
            assert_ne!(text, MINIMAL, "{from}");
            let error = refusal(&text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nobody_is_a_caller_by_default() {
        let config = load(MINIMAL).expect("a configuration");
        assert!(config.stdio_caller().expect_err("a refusal").to_string().contains("stdio.caller"));
        assert!(config.callers_with_tokens().expect_err("a refusal").to_string().contains("stockade token new"));
        let named = MINIMAL.replacen("[database]", "[stdio]\ncaller = \"office\"\n[database]", 1);
        let known = load(&named).expect("a configuration").stdio_caller().expect("a caller");
        assert_eq!(&*known.name, "office");
    }

    #[test]
    fn with_an_issuer_nobody_needs_a_token_of_ours() {
        let text = MINIMAL.replacen("[database]", &format!("{OAUTH}reader_role = 'reader'\n[database]"), 1);
        let config = load(&text).expect("a configuration");
        assert!(config.callers_with_tokens().is_ok());
        let oauth = config.access.oauth.expect("a section");
        assert!(oauth.issuers["id"].jwks_file.as_ref().expect("a path").is_absolute());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Path::new("/nowhere/stockade.toml")).err().expect("a refusal").to_string();
        assert!(error.contains("/nowhere/stockade.toml"), "{error}");
    }
}
