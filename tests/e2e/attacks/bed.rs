//! What attacks are aimed at: the Zava data, with a canary in everything that is not Seattle's.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use stockade_tests::{Cluster, Signer, TestDatabase};
use zava_retail::DemoCaller;

use super::{
    CLUSTER,
    case::Case,
    wire::{Said, Wire},
};

/// Marks every value of every row that the attacker, Seattle's store manager, must not see.
const PLANT: &str = include_str!("plant.sql");

/// What stands in other stores' rows, however it is written, and nowhere else; in small letters.
const CANARIES: [&str; 5] = ["kanarie", "7734077347", "1773407734", "7734cafe", "1977-03-04"];
/// The same as a binary cursor sends them: the digits of a numeric to the base 10,000, an int4, the beginning
/// of a uuid, a date and a timestamptz since 2000-01-01.
const BINARY_CANARIES: [&[u8]; 5] = [
    &[0, 77, 13, 79, 28, 179, 28, 132],
    &1_773_407_734_i32.to_be_bytes(),
    &[0x77, 0x34, 0xca, 0xfe, 0, 0, 0x40, 0, 0x80, 0],
    &(-8_338_i32).to_be_bytes(),
    &(-720_360_000_000_000_i64).to_be_bytes(),
];
/// What another session has just sent.
const CANARY_STATEMENT: &str = "papagei";

/// A statement runs this long at most, in milliseconds, when nobody but the role's settings limits it.
pub(crate) const STATEMENT_TIMEOUT_MS: u64 = 1_000;

pub(crate) struct Bed {
    pub(crate) database: TestDatabase,
    admin: PgConnection,
    pub(crate) attacker: DemoCaller,
    signer: Signer,
    canaries: Vec<Vec<u8>>,
    /// Orders of the attacker's own store.
    own_orders: String,
    /// What attacks could change for good, as it was before them.
    whole: BTreeMap<String, Option<String>>,
    /// The database's name.
    name: String,
    /// The server's major version.
    pub(crate) version: u32,
    /// Another store's session, in the middle of its work.
    _other: Wire,
}

/// What an attacker may write into the setting.
pub(crate) struct Contexts {
    /// The one in place, or nothing.
    own: String,
    /// Head office's claims for this very transaction, signed with another key.
    forged: String,
}

impl Contexts {
    /// Puts them where a step says so.
    pub(crate) fn fill(&self, step: &str) -> String {
        step.replace("{context}", &self.own).replace("{forged}", &self.forged)
    }
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::over(Cluster::get().await.database().await).await
    }

    pub(crate) async fn over(database: TestDatabase) -> Self {
        let mut admin = database.admin().await;
        admin.execute(PLANT).await.expect("the canaries");
        let limit = format!(
            "DO $$ BEGIN EXECUTE format('ALTER ROLE stockade_login IN DATABASE %I SET statement_timeout = {STATEMENT_TIMEOUT_MS}', \
             current_database()); END $$"
        );
        admin.execute(AssertSqlSafe(limit)).await.expect("a limit");
        let mut other = Wire::connect(&database.login_url).await;
        // It stays for as long as the attacks last, and the login's own limit would end it before.
        other.query("SET idle_in_transaction_session_timeout = 0").await;
        other.query("BEGIN; SELECT 'Papagei'").await.value();

        let signer = Signer::read(&database.context_key_file);
        let mut canaries: Vec<Vec<u8>> = CANARIES.map(|canary| canary.as_bytes().to_vec()).into();
        canaries.extend(BINARY_CANARIES.map(<[u8]>::to_ascii_lowercase));
        canaries.push(CANARY_STATEMENT.into());
        canaries.extend(key_canaries(signer.secret()));
        let attacker = caller("seattle-store");
        let own_orders = sqlx::query_scalar(
            "SELECT count(*)::text FROM retail.orders WHERE store_id = '5a7a0000-0001-4000-8000-000000000001'",
        )
        .fetch_one(&mut admin)
        .await
        .expect("a count");
        let name = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut admin).await.expect("a name");
        let version = admin.server_version_num().expect("a version") / 10_000;
        let whole = BTreeMap::new();
        let mut bed =
            Self { database, admin, attacker, signer, canaries, own_orders, whole, name, version, _other: other };
        let _beside_others = CLUSTER.read().await;
        bed.whole = bed.fingerprint().await;
        bed
    }

    /// Changes the walls before the attacks begin.
    pub(crate) async fn change(&mut self, sql: &'static str) {
        self.admin.execute(sql).await.expect("an administrator's statement");
        let _beside_others = CLUSTER.read().await;
        self.whole = self.fingerprint().await;
    }

    /// Looks for what is not the attacker's, in whatever came back, but for the one canary that is known to be there.
    pub(crate) fn leak(&self, bytes: &[u8], known: Option<&str>) -> Option<String> {
        let small = bytes.to_ascii_lowercase();
        let known = known.map(str::to_ascii_lowercase);
        let known = known.as_deref().map(str::as_bytes);
        let found = self.canaries.iter().filter(|canary| known != Some(canary.as_slice())).find_map(|canary| {
            let at = memchr::memmem::find(&small, canary)?;
            Some(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())])
        })?;
        Some(String::from_utf8_lossy(found).into_owned())
    }

    /// Begins as the host does, without what only limits.
    pub(crate) async fn begin(&self, wire: &mut Wire, signed: bool) -> Contexts {
        let began = wire
            .query("BEGIN READ ONLY; SELECT concat_ws(' ', pg_backend_pid(), (extract(epoch FROM transaction_timestamp()) * 1000000)::int8)")
            .await;
        let (pid, began_us) = began.value().split_once(' ').expect("a pid and a time");
        let (pid, began_us) = (pid.parse().expect("a pid"), began_us.parse().expect("a time"));
        let context = if signed { self.signer.context(&self.attacker, pid, began_us) } else { String::new() };
        let prologue = format!(
            "SET LOCAL stockade.context = '{context}'; SET LOCAL search_path = retail, public; SET LOCAL ROLE {}",
            self.attacker.reader_role
        );
        let said = wire.query(&prologue).await;
        assert_eq!(said.outcome(), "ok", "{prologue}");
        Contexts { own: context, forged: self.signer.forger().context(&caller("head-office"), pid, began_us) }
    }

    /// What the next borrower of the connection gets: their own rows with a context, none without.
    pub(crate) async fn next_borrower(&self, wire: &mut Wire) -> Result<(), String> {
        for (signed, expected) in [(true, self.own_orders.as_str()), (false, "0")] {
            self.begin(wire, signed).await;
            let said: Said = wire.query("SELECT count(*) FROM retail.orders; COMMIT").await;
            let seen = said.last().map_or_else(|| said.outcome(), str::to_owned);
            if seen != expected {
                return Err(format!("the next borrower sees {seen} orders, expected {expected}"));
            }
        }
        Ok(())
    }

    /// The steps of a case, for this database.
    pub(crate) fn steps(&self, case: &Case) -> Vec<String> {
        case.steps().into_iter().map(|step| step.replace("{database}", &self.name)).collect()
    }

    /// Names of what has changed since it was last asked, in the database and in the cluster around it.
    pub(crate) async fn changed(&mut self) -> String {
        let now = self.fingerprint().await;
        let changed = self.whole.iter().filter(|(what, value)| now.get(*what) != Some(value));
        let changed: Vec<_> = changed.map(|(what, _)| what.as_str()).collect();
        let changed = changed.join(" ");
        self.whole = now;
        changed
    }

    /// Fails where a case has changed something else than what it is known to change. That is taken back.
    pub(crate) async fn settle(&mut self, expected: &str, undo: &str) -> Result<(), String> {
        let before = self.whole.clone();
        let changed = self.changed().await;
        if changed != expected {
            return Err(format!("changes {changed:?} for good, expected {expected:?}"));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let undo = undo.replace("{database}", &self.name);
        self.admin.execute(AssertSqlSafe(undo)).await.map_err(|error| format!("is not undone: {error}"))?;
        let left = self.changed().await;
        if self.whole == before { Ok(()) } else { Err(format!("changes {changed}, and undone is {left:?}")) }
    }

    async fn fingerprint(&mut self) -> BTreeMap<String, Option<String>> {
        let rows = sqlx::query_as(include_str!("fingerprint.sql")).fetch_all(&mut self.admin).await;
        rows.expect("a fingerprint").into_iter().collect()
    }
}

pub(crate) fn caller(key: &str) -> DemoCaller {
    zava_retail::demo_callers().into_iter().find(|caller| caller.key == key).expect("a demo caller")
}

/// The signing key as the key file, the table's pads in text, and a printed plan would show it.
fn key_canaries(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut canaries = vec![hex::encode(secret).into_bytes()];
    for pad in [0x36_u8, 0x5c] {
        let padded: Vec<u8> = secret.iter().map(|byte| byte ^ pad).collect();
        canaries.push(hex::encode(&padded[..16]).into_bytes());
        let decimal: Vec<String> = padded[..16].iter().map(|byte| byte.cast_signed().to_string()).collect();
        canaries.push(decimal.join(" ").into_bytes());
        canaries.push(padded[..16].to_ascii_lowercase());
    }
    canaries
}
