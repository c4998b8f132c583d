//! What a careful native program does with sqlx: the same transaction, the same signed context, the
//! same role, without the guard, the cursor, the contract and the sandbox.

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgRow},
};
use stockade_tests::{Signer, TestDatabase};

pub(crate) struct Native {
    pub(crate) connection: PgConnection,
    signer: Signer,
    caller: zava_retail::DemoCaller,
}

impl Native {
    pub(crate) async fn connect(database: &TestDatabase, caller: &str) -> Self {
        let options: PgConnectOptions = database.login_url.parse().expect("a URL");
        Self {
            connection: options.disable_statement_logging().connect().await.expect("a connection"),
            signer: Signer::read(&database.context_key_file),
            caller: zava_retail::demo_callers().into_iter().find(|known| known.key == caller).expect("a demo caller"),
        }
    }

    /// Begin as the caller: two round trips.
    pub(crate) async fn begin(&mut self) {
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; \
                     SELECT pg_backend_pid(), (extract(epoch FROM transaction_timestamp()) * 1000000)::int8::text";
        let row = sqlx::raw_sql(begin).fetch_one(&mut self.connection).await.expect("BEGIN");
        let text = |index: usize| row.try_get_raw(index).expect("a value").as_str().expect("text").to_owned();
        let context =
            self.signer.context(&self.caller, text(0).parse().expect("a pid"), text(1).parse().expect("a time"));
        let prologue = format!(
            "SET LOCAL statement_timeout = 30000; SET LOCAL lock_timeout = 1000; \
             SET LOCAL idle_in_transaction_session_timeout = 10000; SET LOCAL stockade.context = '{context}'; \
             SET LOCAL search_path = retail, public; SET LOCAL ROLE {}",
            self.caller.reader_role
        );
        sqlx::raw_sql(AssertSqlSafe(prologue)).execute(&mut self.connection).await.expect("the context");
    }

    /// One prepared statement: one round trip.
    pub(crate) async fn rows(&mut self, statement: &'static str) -> Vec<PgRow> {
        sqlx::query(statement).fetch_all(&mut self.connection).await.expect("rows")
    }

    /// The fourth round trip.
    pub(crate) async fn commit(&mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await.expect("COMMIT");
    }
}
