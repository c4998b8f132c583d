//! `stockade stdio`, the real program, as a client starts it.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use stockade_tests::{HostFiles, TestApp, stockade};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    task::JoinHandle,
};

const WITHIN: Duration = Duration::from_secs(60);

/// A client's end of the process.
struct Served {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    log: JoinHandle<String>,
}

impl Served {
    fn start(files: &HostFiles) -> Self {
        let mut command = stockade();
        command.arg("stdio").arg("--config").arg(files.configuration_file());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.unwrap();
            text
        });
        Self { child, input, output: BufReader::new(output).lines(), log }
    }

    async fn send(&mut self, message: Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// The answer to a request: the very next line, and a message of JSON-RPC.
    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        let line = tokio::time::timeout(WITHIN, self.output.next_line()).await.expect("an answer in time");
        let line = line.unwrap().expect("an answer");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!((&message["jsonrpc"], &message["id"]), (&json!("2.0"), &json!(id)), "{line}");
        message
    }

    /// Leave: it ends well, has said nothing more, and its log is what it wrote to standard error.
    async fn leave(self) {
        let Self { mut child, input, mut output, log } = self;
        drop(input);
        let ended = tokio::time::timeout(WITHIN, child.wait()).await.expect("it ends").unwrap();
        assert!(ended.success(), "{ended}");
        assert_eq!(output.next_line().await.unwrap(), None, "more on standard output");
        let log = log.await.unwrap();
        assert!(!log.is_empty(), "no log");
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(line["level"].is_string() && line["jsonrpc"].is_null(), "no line of a log: {line}");
        }
    }
}

/// What a host needs that serves Seattle's manager, and says much.
async fn files() -> HostFiles {
    let settings = "[stdio]\ncaller = \"seattle-store\"\n[log]\nlevel = \"debug\"";
    TestApp::builder().plugins(&["execute-sales-query", "noop"]).sections(settings).files().await
}

fn stores() -> Value {
    json!({"name": "execute_sales_query", "arguments": {"query": "SELECT store_name FROM retail.stores"}})
}

#[track_caller]
fn check_seattle_alone(reply: &Value) {
    assert_eq!(reply["result"]["structuredContent"]["rows"], json!([["Zava Retail Seattle"]]), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_client_of_the_older_revision_is_served_as_the_configured_caller() {
    let files = files().await;
    let mut served = Served::start(&files);
    let client_info = json!({"name": "test", "version": "0"});
    let initialize = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client_info});
    let reply = served.ask(1, "initialize", initialize).await;
    assert_eq!(reply["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(reply["result"]["serverInfo"]["name"], "stockade");
    served.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let reply = served.ask(2, "tools/list", json!({})).await;
    let names: Vec<_> = reply["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["execute_sales_query", "noop"]);
    check_seattle_alone(&served.ask(3, "tools/call", stores()).await);
    let unknown = served.ask(4, "tools/call", json!({"name": "no_such_tool"})).await;
    assert_eq!(unknown["error"]["code"], -32602);
    served.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_client_of_the_newer_revision_calls_at_once() {
    let files = files().await;
    let mut served = Served::start(&files);
    let mut call = stores();
    call["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    check_seattle_alone(&served.ask(1, "tools/call", call).await);
    served.leave().await;
}
