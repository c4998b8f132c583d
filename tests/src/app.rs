//! The whole server, over a database of its own.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres};
use stockade_runtime::Caller;
use stockade_server::{
    App, ListenAddress, RunningServer,
    auth::Callers,
    config::{Config, LogConfig, ServerConfig, TokenDigest},
    telemetry,
};
use tempfile::TempDir;

use crate::{
    client::Client,
    cluster::{self, Cluster, PRODUCTS, TestDatabase, open_to_traverse},
    environment::Environment,
    process::HostFiles,
    replicated::Replicated,
};

/// What the reference plugins ask for, and `hostile` of `tests/guests` with them.
const GRANTS: &str = include_str!("grants.toml");

/// What opens the operators' side, where a test asked for one.
pub const OPERATOR_TOKEN: &str = "an-operators-token-in-the-tests-of-this-project";

/// A server with its own database, plugin directory and configuration.
pub struct TestApp {
    /// Its database.
    pub database: TestDatabase,
    app: App,
    server: RunningServer,
    folder: TempDir,
    /// Where lines go whose level operators change; they change it for as long as it is there.
    _log: Box<dyn std::any::Any + Send + Sync>,
}

/// How a [`TestApp`] differs from the plain one.
#[derive(Default)]
pub struct TestAppBuilder {
    plugins: Vec<String>,
    limits: String,
    server: String,
    database: String,
    sections: String,
    plugin_settings: String,
    grants: String,
    tenants: Vec<String>,
    components: Vec<(String, Vec<u8>)>,
}

impl TestAppBuilder {
    /// Only these plugins, of `plugins/` or `tests/guests`, by name; without a call, all of `plugins/`.
    pub fn plugins(mut self, names: &[&str]) -> Self {
        self.plugins.extend(names.iter().map(|&name| name.to_owned()));
        self
    }

    /// A packed plugin that is in no folder.
    pub fn component(mut self, name: &str, packed: Vec<u8>) -> Self {
        self.components.push((name.to_owned(), packed));
        self
    }

    /// A caller of this name of a tenant of this name, who reads what the online store reads.
    pub fn tenant(mut self, name: &str) -> Self {
        self.tenants.push(name.to_owned());
        self
    }

    /// Further tables of the operator's grants.
    pub fn grants(mut self, tables: &str) -> Self {
        writeln!(self.grants, "{tables}").expect("text");
        self
    }

    /// Lines of the section `[plugins]`.
    pub fn plugin_settings(mut self, lines: &str) -> Self {
        writeln!(self.plugin_settings, "{lines}").expect("text");
        self
    }

    /// Lines of the section `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        writeln!(self.server, "{lines}").expect("text");
        self
    }

    /// Lines of the section `[database]`.
    pub fn database(mut self, lines: &str) -> Self {
        writeln!(self.database, "{lines}").expect("text");
        self
    }

    /// Lines of the section `[plugins.limits]`.
    pub fn limits(mut self, lines: &str) -> Self {
        writeln!(self.limits, "{lines}").expect("text");
        self
    }

    /// A place for operators, with these lines of the section `[admin]`.
    pub fn admin(self, lines: &str) -> Self {
        let digest = TokenDigest::of(OPERATOR_TOKEN).to_hex();
        self.sections(&format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_sha256 = \"{digest}\"\n{lines}"))
    }

    /// The same on a socket beside the configuration, where commands find it.
    pub fn admin_socket(self) -> Self {
        let digest = TokenDigest::of(OPERATOR_TOKEN).to_hex();
        self.sections(&format!("[admin]\nlisten = \"unix:admin.sock\"\ntoken_sha256 = \"{digest}\""))
    }

    /// Further sections, each with its header.
    pub fn sections(mut self, lines: &str) -> Self {
        writeln!(self.sections, "{lines}").expect("text");
        self
    }

    /// Start it.
    pub async fn start(self) -> TestApp {
        let files = self.files().await;
        TestApp::over(files).await
    }

    /// Start it over these servers: the schema, and no data.
    pub async fn start_over(self, servers: &Replicated) -> TestApp {
        let folder = tempfile::tempdir().expect("a folder");
        let database = servers.database();
        let settings = format!("{}\nreplicas = [\"{}\"]", at_url(&database), servers.standby_url());
        self.write(folder.path(), &settings, "", &Environment::read());
        TestApp::over(HostFiles { folder, database: Some(database) }).await
    }

    /// What a process needs that serves from a database of the tests' cluster.
    pub async fn files(self) -> HostFiles {
        let cluster = Cluster::get().await;
        let database = cluster.database().await;
        let folder = tempfile::tempdir().expect("a folder");
        self.write(
            folder.path(),
            &at_url(&database),
            &format!("[collections.products]\n{PRODUCTS}"),
            cluster.environment(),
        );
        HostFiles { folder, database: Some(database) }
    }

    /// What a process needs that has a database of its own: the schema, and no data.
    pub async fn embedded_files(self) -> HostFiles {
        let environment = Environment::read();
        // As root, PostgreSQL runs as another user, who must get there.
        let folder = tempfile::Builder::new().prefix("stockade-host-").tempdir_in("/var/tmp").expect("a folder");
        open_to_traverse(folder.path());
        let config =
            EmbeddedConfig { bin_dir: environment.postgres_bin.clone(), data_dir: folder.path().join("postgres") };
        let key_file = folder.path().join("context.key");
        let postgres = EmbeddedPostgres::start(&config).await.expect("PostgreSQL starts");
        cluster::empty_database(&postgres, "stockade", &key_file).await;
        postgres.stop().await.expect("PostgreSQL stops");
        let bin_dir = environment.postgres_bin.iter().map(|bin| format!(", bin_dir = \"{}\"", bin.display()));
        let database = format!(
            "embedded = {{ data_dir = \"postgres\"{} }}\ncontext_key_file = \"context.key\"",
            bin_dir.collect::<String>()
        );
        // Nothing is embedded there.
        self.write(folder.path(), &database, "", &environment);
        HostFiles { folder, database: None }
    }

    fn write(&self, folder: &Path, database: &str, collections: &str, environment: &Environment) {
        let plugins = folder.join("plugins");
        fs::create_dir(&plugins).expect("a folder");
        let names = if self.plugins.is_empty() && self.components.is_empty() {
            names_in(&environment.plugins)
        } else {
            self.plugins.clone()
        };
        for name in &names {
            fs::copy(packed(name), plugins.join(format!("{name}.wasm"))).expect("a plugin");
        }
        for (name, bytes) in &self.components {
            fs::write(plugins.join(format!("{name}.wasm")), bytes).expect("a plugin");
        }
        fs::write(folder.join("grants.toml"), format!("{GRANTS}\n{}", self.grants)).expect("grants");
        let configuration = self.configuration(database, collections, &environment.model);
        fs::write(folder.join("stockade.toml"), configuration).expect("a configuration");
    }

    fn configuration(&self, database: &str, collections: &str, model: &Path) -> String {
        let readers = zava_retail::READER_ROLES.map(|role| format!("\"{role}\"")).join(", ");
        // A cache on disk that all tests share: each plugin is compiled once.
        let cache = std::env::temp_dir().join("stockade-e2e-components");
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{}\n\
             [database]\n{database}\nreader_roles = [{readers}]\nsearch_path = [\"retail\", \"public\"]\n{}\n\
             [embedders.minilm]\nkind = \"candle\"\nmodel = \"all-MiniLM-L6-v2\"\ndirectory = \"{}\"\n\
             {collections}\n\
             [plugins]\ndirectory = \"plugins\"\ngrants_file = \"grants.toml\"\ncache_dir = \"{}\"\n{}\n\
             [plugins.limits]\n{}\n{}\n",
            self.server,
            self.database,
            model.display(),
            cache.display(),
            self.plugin_settings,
            self.limits,
            self.sections,
        );
        let callers = zava_retail::demo_callers();
        let online = callers.iter().find(|caller| caller.key == "online-store").expect("the online store");
        let of_tenants = self.tenants.iter().map(|tenant| (tenant.as_str(), tenant.as_str(), online));
        let of_zava = callers.iter().map(|caller| (caller.key, zava_retail::TENANT, caller));
        for (key, tenant, caller) in of_zava.chain(of_tenants) {
            let roles = caller.roles.iter().map(|role| format!("\"{role}\"")).collect::<Vec<_>>().join(", ");
            writeln!(
                text,
                "[callers.{}]\ntoken_sha256 = \"{}\"\ntenant = \"{}\"\nprincipal = \"{}\"\nroles = [{roles}]\n\
                 reader_role = \"{}\"\ndisplay_name = \"{}\"\ntime_zone = \"{}\"",
                key,
                TokenDigest::of(&token(key)).to_hex(),
                tenant,
                caller.principal,
                caller.reader_role,
                caller.display_name,
                caller.time_zone,
            )
            .expect("text");
        }
        text
    }
}

impl TestApp {
    /// All reference plugins, default limits.
    pub async fn start() -> Self {
        TestAppBuilder::default().start().await
    }

    async fn over(HostFiles { folder, database }: HostFiles) -> Self {
        let database = database.expect("a database that is there");
        let file = folder.path().join("stockade.toml");
        let config = Config::load(&file).unwrap_or_else(|e| panic!("{e}"));
        let app = App::start(config).await.unwrap_or_else(|e| panic!("{e}"));
        // Whoever wants the lines keeps them by a log of their own.
        let log = telemetry::subscriber(&LogConfig::default(), None, false, std::io::sink, None, None);
        let (log, level) = log.expect("a level");
        let app = app.logging(level);
        let server = app.serve().await.unwrap_or_else(|e| panic!("{e}"));
        Self { database, app, server, folder, _log: Box::new(log) }
    }

    /// One that differs.
    pub fn builder() -> TestAppBuilder {
        TestAppBuilder::default()
    }

    /// A client of a demo caller, e.g. `head-office`, `seattle-store`.
    pub fn client(&self, caller: &str) -> Client {
        Client::new(self.url("/mcp"), Some(token(caller)))
    }

    /// A client with this token, or none.
    pub fn client_with(&self, token: Option<&str>) -> Client {
        Client::new(self.url("/mcp"), token.map(str::to_owned))
    }

    /// Where operators are served, after [`TestAppBuilder::admin`].
    pub fn admin_address(&self) -> SocketAddr {
        match self.server.admin_addr() {
            Some(ListenAddress::Tcp(address)) => *address,
            other => panic!("no address for operators: {other:?}"),
        }
    }

    /// An operator's request.
    pub fn operator(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let url = format!("http://{}{path}", self.admin_address());
        reqwest::Client::new().request(method, url).bearer_auth(OPERATOR_TOKEN)
    }

    /// An address of the server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.local_addr())
    }

    /// Where its plugins are.
    pub fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    /// Its configuration.
    pub fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("stockade.toml")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The settings and callers of its HTTP side, for another server in this process.
    pub fn http_configuration(&self) -> (ServerConfig, Callers) {
        let config = Config::load(&self.configuration_file()).unwrap_or_else(|e| panic!("{e}"));
        let callers = config.known_callers().unwrap_or_else(|e| panic!("{e}"));
        (config.server, callers)
    }

    /// A demo caller, as the runtime knows it.
    pub fn caller(&self, name: &str) -> Arc<Caller> {
        self.app.caller(name).unwrap_or_else(|| panic!("no caller {name:?}"))
    }

    /// A demo caller's token.
    pub fn token(&self, caller: &str) -> String {
        token(caller)
    }

    /// The operator's grants.
    pub fn grants_file(&self) -> PathBuf {
        self.folder.path().join("grants.toml")
    }

    /// Other grants, at once: whoever reads the file sees the old or the new, whole.
    pub fn write_grants(&self, text: impl AsRef<str>) {
        let new = self.grants_file().with_extension("new");
        std::fs::write(&new, text.as_ref()).expect("written");
        std::fs::rename(new, self.grants_file()).expect("in the place of the old");
    }

    /// The parts that serve.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Wait until the list of tools has changed, and `expected` holds for it.
    pub async fn until_tools(&self, expected: impl Fn(&[String]) -> bool) {
        let mut changes = self.app.runtime().changes();
        let wait = async {
            loop {
                changes.borrow_and_update();
                let tools = self.client("head-office").tool_names().await;
                if expected(&tools) {
                    return;
                }
                changes.changed().await.expect("the runtime lives");
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("the tools change");
    }

    /// Stop it as SIGTERM does.
    pub async fn stop(self) {
        self.server.shutdown().await;
        self.app.close().await;
    }
}

/// A packed plugin of `plugins/` or `tests/guests`.
pub fn packed(name: &str) -> PathBuf {
    let environment = crate::Environment::read();
    let file = format!("{name}.wasm");
    let candidates = [environment.plugins.join(&file), environment.guests.join(&file)];
    candidates.iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("no plugin {name:?}")).clone()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the plugins' folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "wasm"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

fn at_url(database: &TestDatabase) -> String {
    let TestDatabase { login_url, context_key_file, .. } = database;
    format!("url = \"{login_url}\"\ncontext_key_file = \"{}\"", context_key_file.display())
}

pub(crate) fn token(caller: &str) -> String {
    format!("a-token-for-{caller}-in-the-tests-of-this-project")
}
