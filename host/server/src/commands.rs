use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use stockade_db::{ContextKey, DatabaseConfig, Secret, setup};
use stockade_runtime::pack;
use stockade_server::{
    App,
    config::{Config, ConfigError, TokenDigest},
    environment::Environment,
    telemetry::Telemetry,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod operator;
mod table;

pub(crate) use operator::{health, reload, stats};

use crate::{cli::ConfigArg, signals};

mod embed;

pub(crate) use embed::embed;

fn path_of(arg: ConfigArg, environment: &Environment) -> Result<PathBuf, ConfigError> {
    arg.config.or_else(|| environment.config.clone()).ok_or(ConfigError::Missing)
}

fn load(arg: ConfigArg, environment: &Environment) -> anyhow::Result<(Config, Telemetry)> {
    let config = Config::load(&path_of(arg, environment)?)?;
    let telemetry = Telemetry::start(&config.log, &config.telemetry, environment.log.as_deref())?;
    Ok((config, telemetry))
}

/// `None` where the process is told to stop before the start is over.
async fn start(config: Config, telemetry: &Telemetry, stop: &CancellationToken) -> anyhow::Result<Option<App>> {
    tokio::select! {
        app = App::start(config) => Ok(Some(app?.logging(telemetry.log.clone()))),
        () = stop.cancelled() => Ok(None),
    }
}

pub(crate) async fn serve(arg: ConfigArg, environment: &Environment) -> anyhow::Result<()> {
    let (stop, mut hangups) = (signals::stop()?, signals::Hangups::new()?);
    let (config, telemetry) = load(arg, environment)?;
    // Before a database is started for nobody.
    config.callers_with_tokens()?;
    let Some(app) = start(config, &telemetry, &stop).await? else { return Ok(()) };
    let server = match app.serve().await {
        Ok(server) => server,
        Err(error) => {
            app.close().await;
            return Err(error.into());
        }
    };
    while stop.run_until_cancelled(hangups.next()).await.is_some() {
        // What came of it is in the log. A stop waits for no plugin that is still compiled.
        stop.run_until_cancelled(server.reload()).await;
    }
    tracing::info!("stopping; a second signal ends at once");
    server.shutdown().await;
    app.close().await;
    telemetry.close().await;
    Ok(())
}

pub(crate) async fn stdio(arg: ConfigArg, environment: &Environment) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let (config, telemetry) = load(arg, environment)?;
    config.stdio_caller()?;
    let Some(app) = start(config, &telemetry, &stop).await? else { return Ok(()) };
    let served = app.serve_stdio(stop).await;
    app.close().await;
    telemetry.close().await;
    Ok(served?)
}

pub(crate) async fn migrate(arg: ConfigArg, admin_url: String, environment: &Environment) -> anyhow::Result<()> {
    let (config, _telemetry) = load(arg, environment)?;
    let admin_url = read_admin_url(admin_url)?;
    let key = context_key(&config.database.context_key_file)?;
    let setup = setup_config(&config.database)?;
    setup::apply(&admin_url, &setup, &key)
        .await
        .map_err(|error| anyhow::anyhow!("cannot prepare the database: {}", error.for_log()))?;
    println!("prepared: login {}, {} reader roles, schema stockade", setup.login_role, setup.reader_roles.len());
    Ok(())
}

/// The URL, from standard input where it is `-`.
fn read_admin_url(admin_url: String) -> anyhow::Result<String> {
    if admin_url != "-" {
        return Ok(admin_url);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the administrator's URL from standard input")?;
    Ok(text.trim().to_owned())
}

/// The key in the file; a new one where there is no file.
fn context_key(path: &Path) -> anyhow::Result<ContextKey> {
    if path.try_exists().with_context(|| format!("cannot look at {}", path.display()))? {
        return ContextKey::read_file(path)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {}", path.display(), error.for_log()));
    }
    let key = ContextKey::generate();
    key.write_file(path).map_err(|error| anyhow::anyhow!("cannot write {}: {}", path.display(), error.for_log()))?;
    println!("wrote a new signing key to {}", path.display());
    Ok(key)
}

/// The login that the server uses is the one that is made.
fn setup_config(database: &DatabaseConfig) -> anyhow::Result<setup::SetupConfig> {
    let (login_role, login_password) = match &database.url {
        None => (database.login_role.clone(), None),
        Some(url) => login_of(url.expose())
            .context("`url` in [database] must name the login: postgres://LOGIN:PASSWORD@HOST/DATABASE")?,
    };
    Ok(setup::SetupConfig { login_role, login_password, reader_roles: database.reader_roles.clone() })
}

fn login_of(url: &str) -> Option<(String, Option<Secret>)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let user = percent_decoded(user).filter(|user| !user.is_empty())?;
    match password {
        None => Some((user, None)),
        Some(password) => Some((user, Some(Secret::new(percent_decoded(password)?)))),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

pub(crate) async fn pack(component: PathBuf, manifest: PathBuf, output: PathBuf) -> anyhow::Result<()> {
    let bytes = std::fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
    let toml = std::fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let packed = pack::pack(&bytes, &toml).await.with_context(|| format!("cannot pack {}", component.display()))?;
    write_whole(&output, &packed).with_context(|| format!("cannot write {}", output.display()))
}

/// A server may watch the folder: the file appears whole, or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.part", Uuid::new_v4().simple()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

pub(crate) fn inspect(plugin: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(plugin).with_context(|| format!("cannot read {}", plugin.display()))?;
    let manifest = pack::inspect(&bytes).with_context(|| format!("{} is not a packed plugin", plugin.display()))?;
    let mut output = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut output, &manifest)?;
    writeln!(output)?;
    Ok(())
}

/// 244 bits from the system's generator, by way of two random UUIDs.
pub(crate) fn new_token() {
    let token = format!("stk_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let digest = TokenDigest::of(&token).to_hex();
    println!("token (give it to the caller, it is not shown again):\n  {token}");
    println!("line for [callers.NAME]:\n  token_sha256 = \"{digest}\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(url: &str) -> Option<(String, Option<String>)> {
        login_of(url).map(|(user, password)| (user, password.map(|secret| secret.expose().to_owned())))
    }

    #[test]
    fn the_login_is_read_from_the_url() {
        let some = |user: &str, password: Option<&str>| Some((user.to_owned(), password.map(str::to_owned)));
        assert_eq!(login("postgres://stockade_login:p%40ss%2Fw@db:5432/acme"), some("stockade_login", Some("p@ss/w")));
        assert_eq!(login("postgresql://l@/acme?host=/run/pg"), some("l", None));
        for without in
            ["postgres://db/acme", "postgres:///acme", "postgres://:p@db/acme", "postgres://l:%4@db/z", "acme"]
        {
            assert_eq!(login(without), None, "{without}");
        }
    }

    #[test]
    fn a_file_is_written_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        write_whole(&path, b"one").expect("written");
        write_whole(&path, b"two").expect("written again");
        assert_eq!(std::fs::read(&path).expect("a file"), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
