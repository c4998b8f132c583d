//! The host as attacks meet it: its sessions, what they give, and what it puts around a statement.

use std::{sync::Arc, time::Duration};

use stockade_db::{
    ColumnValues, Database, DatabaseConfig, DbError, Identity, ResultSet, Session, SessionLimits, SqlScope, Statement,
};
use tokio::time::Instant;
use zava_retail::DemoCaller;

use super::bed::{Bed, STATEMENT_TIMEOUT_MS};

/// Connects as a host does; `accept_unrevoked` as on a managed server.
pub(crate) async fn connect(bed: &Bed, accept_unrevoked: bool) -> Database {
    let mut configuration = configuration(bed);
    configuration.accept_unrevoked = accept_unrevoked;
    Database::connect(&configuration).await.unwrap_or_else(|error| panic!("{}", error.for_log()))
}

fn configuration(bed: &Bed) -> DatabaseConfig {
    let readers = zava_retail::READER_ROLES.map(|role| format!("\"{role}\"")).join(", ");
    toml::from_str(&format!(
        "url = {:?}\nreader_roles = [{readers}]\nsearch_path = [\"retail\", \"public\"]\ncontext_key_file = {:?}\n\
         statement_timeout_ms = {STATEMENT_TIMEOUT_MS}\n",
        bed.database.login_url, bed.database.context_key_file
    ))
    .expect("a configuration")
}

/// A session of the attacker's.
pub(crate) fn session(bed: &Bed, database: &Database) -> Session {
    session_of(&bed.attacker, database)
}

/// A session of a caller's.
pub(crate) fn session_of(caller: &DemoCaller, database: &Database) -> Session {
    let identity = Identity {
        tenant: zava_retail::TENANT.parse().expect("a tenant"),
        principal: caller.principal.to_string().parse().expect("a principal"),
        roles: caller.roles.iter().map(ToString::to_string).collect(),
        reader_role: caller.reader_role.parse().expect("a role"),
    };
    // The catalogue is granted, as the tool that describes tables has it.
    let limits = SessionLimits {
        rows_max: 10_000,
        bytes_max: 8 * 1024 * 1024,
        deadline: Instant::now() + Duration::from_secs(30),
        sql: Arc::new(SqlScope { schemas: ["retail", "pg_catalog"].map(str::to_owned).into(), ..SqlScope::default() }),
        collections: Arc::default(),
        cache: Default::default(),
    };
    database.session(identity, limits)
}

/// Every value of a result, as bytes to search.
pub(crate) fn shown(result: &ResultSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in &result.columns {
        bytes.extend_from_slice(column.name.as_bytes());
        let day = |microseconds: &i64| date(microseconds.div_euclid(86_400_000_000));
        let text = match &column.values {
            ColumnValues::Texts(packed) | ColumnValues::Bytes(packed) => {
                bytes.extend_from_slice(&packed.data);
                continue;
            }
            ColumnValues::Dates(days) => days.iter().map(|days| date(i64::from(*days))).collect(),
            ColumnValues::Timestamps(times) => times.iter().map(day).collect(),
            numbers => format!("{numbers:?}"),
        };
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The day so many days after 1970-01-01, as the canary is written (Howard Hinnant, `civil_from_days`).
fn date(days: i64) -> String {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(" {:04}-{month:02}-{day:02}", year + era * 400 + next)
}

/// How a statement failed: the host's code, or the SQLSTATE.
pub(crate) fn code(error: &DbError) -> String {
    match error {
        DbError::Rejected { code, .. } | DbError::Forbidden { code, .. } | DbError::Timeout { code } => {
            (*code).to_owned()
        }
        DbError::Statement { sqlstate, .. } => sqlstate.clone(),
        // Trouble of the host's own, which no attack may come to.
        _ => error.for_log(),
    }
}

/// What the host puts around a statement that it sends.
pub(crate) struct Wrapper {
    before: String,
    after: String,
    cursor: String,
}

impl Wrapper {
    /// From the host itself: a statement that reads how its own cursor was declared.
    pub(crate) async fn of_the_host(bed: &mut Bed) -> Self {
        const MARK: &str = "SELECT statement FROM pg_cursors";
        bed.change("GRANT EXECUTE ON FUNCTION pg_cursor() TO zava_store_reader").await;
        let database = connect(bed, true).await;
        let statement = Statement { text: MARK.to_owned(), parameters: Vec::new() };
        let result = session(bed, &database).query(statement, 1).await;
        database.close().await;
        bed.change("REVOKE EXECUTE ON FUNCTION pg_cursor() FROM zava_store_reader").await;
        let text = String::from_utf8(shown(&result.unwrap_or_else(|error| panic!("{}", error.for_log()))));
        let text = text.expect("UTF-8");
        let declared = text.strip_prefix("statement").expect("a column of that name");
        let (before, after) = declared.split_once(MARK).expect("the statement in what was sent");
        let cursor = before.split(' ').nth(1).expect("DECLARE and a name");
        Self { before: before.to_owned(), after: after.to_owned(), cursor: cursor.to_owned() }
    }

    /// The host's text for this statement.
    pub(crate) fn around(&self, statement: &str) -> String {
        format!("{}{statement}{}", self.before, self.after)
    }

    /// What gets the rows.
    pub(crate) fn fetch(&self) -> String {
        format!("FETCH FORWARD 10001 FROM {}", self.cursor)
    }
}
