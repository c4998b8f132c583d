//! The demo's database: roles, context key, schema, data. Made once, brought up to date at every start.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres};
use stockade_db::setup::{self, SetupConfig};
use stockade_db::{DbError, ReaderRole, Secret};
use zava_retail::{LoadOptions, LoadedInfo};

use super::embedder;
use super::folder::{Folder, Secrets};
use super::progress::Bars;
use crate::postgres::Postgres;

/// The database within the private cluster.
pub(super) const DATABASE: &str = "zava";
/// The server's login.
const LOGIN: &str = "stockade_login";
/// The superuser of the private cluster.
const SUPERUSER: &str = "postgres";

/// What the server's configuration says of the database.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) source: Source,
    pub(super) loaded: LoadedInfo,
}

/// How the server gets at it.
#[derive(Debug)]
pub(super) enum Source {
    /// A private cluster, which the server starts and stops.
    Embedded { bin_dir: PathBuf, data_dir: PathBuf },
    /// A server that somebody runs; the URL with the login's password.
    Url(String),
}

/// Prepares it, and loads the data if it is not there, or anyway where `reload` says so.
pub(super) async fn prepare(
    folder: &Folder,
    postgres: Postgres,
    model: &Path,
    secrets: &Secrets,
    reload: bool,
) -> Result<Prepared> {
    match postgres {
        Postgres::Server(admin_url) => {
            eprintln!("==> preparing the database that DATABASE_URL names");
            let login_url = with_login(&admin_url, &secrets.login_password)?;
            let password = Some(Secret::new(secrets.login_password.clone()));
            let loaded = fill(&admin_url, password, model, secrets, reload).await?;
            Ok(Prepared { source: Source::Url(login_url), loaded })
        }
        Postgres::Programs(bin_dir) => {
            eprintln!("==> preparing the embedded PostgreSQL");
            let data_dir = folder.join("postgres");
            let config = EmbeddedConfig { bin_dir: Some(bin_dir.clone()), data_dir: data_dir.clone() };
            let cluster = EmbeddedPostgres::start(&config).await.map_err(said)?;
            let filled = fill_cluster(&cluster, model, secrets, reload).await;
            let stopped = cluster.stop().await.map_err(said);
            let loaded = filled?;
            stopped?;
            Ok(Prepared { source: Source::Embedded { bin_dir, data_dir }, loaded })
        }
    }
}

async fn fill_cluster(cluster: &EmbeddedPostgres, model: &Path, secrets: &Secrets, reload: bool) -> Result<LoadedInfo> {
    let mut admin = PgConnection::connect(&cluster.url(SUPERUSER, "postgres")).await?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut admin)
        .await?;
    if !there {
        let create = AssertSqlSafe(format!("CREATE DATABASE {DATABASE}"));
        sqlx::query(create).execute(&mut admin).await?;
    }
    admin.close().await?;
    // Whoever reaches the private socket is trusted, so the login needs no password.
    fill(&cluster.url(SUPERUSER, DATABASE), None, model, secrets, reload).await
}

/// Brings schema and data into a database, as its administrator.
async fn fill(
    admin_url: &str,
    login_password: Option<Secret>,
    model: &Path,
    secrets: &Secrets,
    reload: bool,
) -> Result<LoadedInfo> {
    let reader_roles = zava_retail::READER_ROLES
        .iter()
        .map(|role| role.parse::<ReaderRole>().map_err(|error| anyhow!("{role}: {error}")))
        .collect::<Result<Vec<_>>>()?;
    let config = SetupConfig { login_role: LOGIN.to_owned(), login_password, reader_roles };
    setup::apply(admin_url, &config, &secrets.context_key).await.map_err(said)?;
    zava_retail::migrate(admin_url).await.context(
        "could not bring the schema `retail` up to date (`cargo demo --fresh` makes the embedded database anew)",
    )?;
    if let Some(loaded) = zava_retail::loaded(admin_url).await?.filter(|_| !reload) {
        embedder::record(admin_url, model).await?;
        return Ok(loaded);
    }
    eprintln!("==> making and loading the data of Zava Retail (once)");
    let embedder = embedder::load(model)?;
    let bars = Bars::new();
    let loaded = zava_retail::load(admin_url, LoadOptions::demo(), &embedder, &|progress| bars.show(progress)).await;
    bars.finish();
    let loaded = loaded.context("loading the data of Zava Retail")?;
    embedder::record(admin_url, model).await?;
    Ok(loaded)
}

/// The administrator's URL, for the server's login.
fn with_login(admin_url: &str, password: &str) -> Result<String> {
    let no_login = || anyhow!("DATABASE_URL must be postgres://ADMIN:PASSWORD@HOST/DATABASE");
    let mut url = Url::parse(admin_url).map_err(|_| no_login())?;
    if !url.has_host() {
        // For a socket: the query says where it is, and an authority needs a host to carry a login.
        url.set_host(Some("localhost")).map_err(|_| no_login())?;
    }
    url.set_username(LOGIN).map_err(|()| no_login())?;
    url.set_password(Some(password)).map_err(|()| no_login())?;
    Ok(url.into())
}

/// All that is known of an error: here its reader is the operator.
fn said(error: DbError) -> anyhow::Error {
    anyhow!("{}", error.for_log())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_takes_the_administrators_place() {
        let url = |admin: &str| with_login(admin, "pw").unwrap();
        assert_eq!(
            url("postgres://postgres:x%40y@db:5433/zava?sslmode=require"),
            "postgres://stockade_login:pw@db:5433/zava?sslmode=require"
        );
        assert_eq!(url("postgres:///zava?host=/run/pg"), "postgres://stockade_login:pw@localhost/zava?host=/run/pg");
        let error = with_login("secret words", "pw").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
