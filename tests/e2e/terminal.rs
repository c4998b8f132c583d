//! What people see on a terminal: the real binary on one of the system's.

use std::{fmt::Write as _, path::Path, process::Stdio, time::Duration};

use serde_json::json;
use stockade_tests::{OPERATOR_TOKEN, TestApp, stockade};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

const WITHIN: Duration = Duration::from_secs(60);
/// From the top of an empty screen.
const CLEARED: &str = "\x1b[2J\x1b[H";

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    fn run(arguments: &[&str], configuration: &Path) -> Self {
        let stockade = stockade();
        let program = stockade.as_std().get_program().to_str().expect("a path").to_owned();
        // Tests that run in a shell's background ignore Ctrl-C, and what they start would too.
        let mut line = format!("stty cols 120 rows 40; exec env --default-signal=INT '{program}'");
        for argument in arguments {
            write!(line, " '{argument}'").expect("text");
        }
        write!(line, " --config '{}'", configuration.display()).expect("text");
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
        script.env("STOCKADE_ADMIN_TOKEN", OPERATOR_TOKEN).env_remove("STOCKADE_LOG").env("TERM", "xterm");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Self { child: script.spawn().expect("script, of util-linux"), shown: String::new() }
    }

    /// Reads until what is shown is as expected.
    async fn until(&mut self, what: &str, holds: impl Fn(&str) -> bool) {
        let read = async {
            while !holds(&self.shown) {
                let mut bytes = [0; 4096];
                let output = self.child.stdout.as_mut().expect("output");
                let length = output.read(&mut bytes).await.expect("output");
                assert_ne!(length, 0, "it ended before {what}: {}", self.shown);
                self.shown += &String::from_utf8_lossy(&bytes[..length]);
            }
        };
        let read = tokio::time::timeout(WITHIN, read).await;
        read.unwrap_or_else(|_| panic!("not within {WITHIN:?}: {what}"));
    }

    /// What it has shown at its end, which Ctrl-C asks for, and its exit code.
    async fn interrupted(mut self) -> (String, Option<i32>) {
        self.child.stdin.as_mut().expect("input").write_all(b"\x03").await.expect("Ctrl-C");
        self.ended().await
    }

    async fn ended(&mut self) -> (String, Option<i32>) {
        let mut rest = Vec::new();
        let output = self.child.stdout.as_mut().expect("output");
        let read = tokio::time::timeout(WITHIN, output.read_to_end(&mut rest)).await;
        read.expect("it ends").expect("output");
        let ended = tokio::time::timeout(WITHIN, self.child.wait()).await.expect("it ends").expect("a process");
        (std::mem::take(&mut self.shown) + &String::from_utf8_lossy(&rest), ended.code())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_host_on_a_terminal_writes_lines_for_people_and_ends_with_ctrl_c() {
    let section = "[log]\nfile = 'kept/host.log'";
    let files = TestApp::builder().plugins(&["noop"]).sections(section).files().await;
    let mut terminal = Terminal::run(&["serve"], &files.configuration_file());
    terminal.until("it serves", |shown| shown.contains("serving MCP over HTTP at /mcp")).await;
    let (shown, code) = terminal.interrupted().await;
    assert_eq!(code, Some(0), "{shown}");
    let line = shown.lines().find(|line| line.contains("serving MCP over HTTP")).expect("the line");
    assert!(line.contains("\x1b[32m INFO\x1b[0m") && line.contains("local_addr"), "{line:?}");
    assert!(shown.contains("a second signal ends at once"), "{shown}");
    assert!(!shown.contains("{\""), "no JSON: {shown}");
    let kept = std::fs::read_dir(files.folder().join("kept")).expect("a folder").next().expect("a file");
    let kept = std::fs::read_to_string(kept.expect("an entry").path()).expect("text");
    let whole = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(kept.lines().count() > 2 && kept.lines().all(whole), "the file is for programs: {kept}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn statistics_are_shown_again_and_again_on_a_cleared_screen_or_one_below_the_other() {
    let app = TestApp::builder().admin_socket().plugins(&["execute-sales-query"]).start().await;
    let ask = async |n: u64| {
        let query = json!({ "query": format!("SELECT {n} AS seven") });
        app.client("head-office").call("execute_sales_query", query).await.structured();
    };
    let calls = |shown: &str| {
        let last = shown.rsplit("Statements since").next().expect("a part").to_owned();
        let row = last.lines().find(|line| line.starts_with("execute_sales_query")).map(str::to_owned);
        row.and_then(|row| row.split_whitespace().nth(1)?.parse::<u64>().ok())
    };
    ask(1).await;
    let mut terminal = Terminal::run(&["stats", "--watch", "1"], &app.configuration_file());
    terminal.until("the first call", |shown| calls(shown) == Some(1)).await;
    ask(2).await;
    terminal.until("the second", |shown| calls(shown) == Some(2)).await;
    let (shown, _) = terminal.interrupted().await;
    let tables = shown.matches("Statements since").count();
    assert!(tables >= 2 && shown.matches(&format!("{CLEARED}Statements since")).count() == tables, "{shown:?}");

    // Elsewhere nothing is cleared, and it ends when nobody reads any more.
    let mut piped = stockade();
    piped.args(["stats", "--watch", "1", "--config"]).arg(app.configuration_file());
    let mut piped = piped.env("STOCKADE_ADMIN_TOKEN", OPERATOR_TOKEN).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut output = piped.stdout.take().expect("output");
    let mut shown = String::new();
    let read = async {
        while shown.matches("Statements since").count() < 2 {
            let mut bytes = [0; 4096];
            let length = output.read(&mut bytes).await.expect("output");
            shown += std::str::from_utf8(&bytes[..length]).expect("text");
        }
    };
    tokio::time::timeout(WITHIN, read).await.expect("two tables");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    drop(output);
    let ended = tokio::time::timeout(WITHIN, piped.wait()).await.expect("it ends").expect("a process");
    assert!(ended.success(), "{ended}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn embedding_shows_a_bar_on_a_terminal_and_what_was_done() {
    let files = TestApp::builder().plugins(&["noop"]).files().await;
    let database = files.database().expect("a database");
    sqlx::raw_sql(
        "DELETE FROM retail.product_description_embeddings WHERE product_id IN
           (SELECT product_id FROM retail.product_description_embeddings LIMIT 16)",
    )
    .execute(&mut database.admin().await)
    .await
    .expect("deleted");
    let arguments =
        ["embed", "--collection", "products", "--batch-rows", "4", "--admin-url", database.admin_url.as_str()];
    let (shown, code) = Terminal::run(&arguments, &files.configuration_file()).ended().await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("/16 rows, ") && shown.contains(" left"), "{shown:?}");
    assert!(!shown.contains("embedded 0 of 16 rows"), "the bar is in the place of lines: {shown:?}");
    let last = shown.trim_end().rsplit(['\n', '\r']).next().expect("a line");
    assert!(last.contains("embedded 16 rows of products with all-MiniLM-L6-v2"), "{shown:?}");
}
