//! One real `tools/call` over HTTP, and the same call as a line for a shell.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use zava_retail::StoreKey;

use crate::command;

/// The protocol revision that the call speaks: stateless, so one request is the whole of it.
const REVISION: &str = "2026-07-28";
/// How long the first call may take: the server may still be compiling.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A tool and its arguments.
#[derive(Debug)]
pub(super) struct ToolCall {
    /// The tool's name.
    pub(super) tool: &'static str,
    /// Its arguments, an object.
    pub(super) arguments: Value,
}

impl ToolCall {
    /// How the Seattle store did in the last quarter.
    pub(super) fn store_performance() -> Self {
        let store = zava_retail::store_id(StoreKey::Seattle).to_string();
        Self { tool: "get_store_performance", arguments: json!({ "store_id": store, "time_period": "last_quarter" }) }
    }

    fn body(&self) -> Value {
        json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": self.tool,
                "arguments": self.arguments,
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": REVISION,
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        })
    }

    fn headers(&self, token: &str) -> [(&'static str, String); 6] {
        [
            ("Authorization", format!("Bearer {token}")),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("MCP-Protocol-Version", REVISION.to_owned()),
            ("Mcp-Method", "tools/call".to_owned()),
            ("Mcp-Name", self.tool.to_owned()),
        ]
    }

    /// Makes the call at the server `url` and returns the result's structured content.
    ///
    /// # Errors
    /// Where there is no answer, or the answer is an error.
    pub(super) async fn send(&self, url: &str, token: &str) -> Result<Value> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        let mut request = client.post(endpoint(url)).body(self.body().to_string());
        for (name, value) in self.headers(token) {
            request = request.header(name, value);
        }
        let response = request.send().await.context("calling the tool")?;
        let status = response.status();
        let text = response.text().await.context("reading the tool's answer")?;
        ensure!(status.is_success(), "the server answered the call with {status}: {text}");
        structured(&text)
    }

    /// The call as a line for a shell, in pieces that fit a screen.
    pub(super) fn curl(&self, url: &str, token: &str) -> String {
        let mut line = format!("curl -sS {}", endpoint(url));
        for (name, value) in self.headers(token) {
            line.push_str(&format!(" \\\n  -H {}", command::quoted(format!("{name}: {value}").as_ref())));
        }
        line.push_str(&format!(" \\\n  -d {}", command::quoted(self.body().to_string().as_ref())));
        line
    }

    /// Makes the call as a user who copies the line would; only where there is a curl.
    ///
    /// # Errors
    /// As [`ToolCall::send`].
    pub(super) fn send_by_curl(&self, url: &str, token: &str) -> Result<()> {
        if Command::new("curl").arg("--version").output().is_err() {
            return Ok(());
        }
        let text = command::output(Command::new("sh").arg("-c").arg(self.curl(url, token)))?;
        structured(&text).map(drop).context("the line for curl does not work")
    }
}

fn endpoint(url: &str) -> String {
    format!("{url}/mcp")
}

/// The structured content in a JSON-RPC response.
fn structured(response: &str) -> Result<Value> {
    let response: Value = serde_json::from_str(response).with_context(|| format!("no JSON: {response}"))?;
    let result = response.get("result").with_context(|| format!("the call failed: {response}"))?;
    if result.get("isError") == Some(&Value::Bool(true)) {
        bail!("the tool failed: {}", result.get("content").unwrap_or(result));
    }
    result.get("structuredContent").cloned().with_context(|| format!("no structured content: {response}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_a_failure() {
        let answer = structured(r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"a":1}}}"#);
        assert_eq!(answer.unwrap(), json!({"a": 1}));
        for failure in [
            "<html>",
            r#"{"error":{"code":-32602}}"#,
            r#"{"result":{"isError":true,"content":[{"text":"no"}]}}"#,
            r#"{"result":{}}"#,
        ] {
            assert!(structured(failure).is_err(), "{failure}");
        }
    }

    #[test]
    fn the_line_for_curl_sends_the_same_body() {
        let call = ToolCall { tool: "t", arguments: json!({"text": "it's"}) };
        let line = call.curl("http://h:1", "tok");
        // A shell takes the line apart; `printf` stands in for curl.
        let words = command::output(Command::new("sh").arg("-c").arg(line.replacen("curl", "printf '%s\n'", 1)));
        let words = words.unwrap();
        let words: Vec<_> = words.lines().collect();
        assert_eq!(*words.last().unwrap(), call.body().to_string());
        assert!(words.contains(&"Authorization: Bearer tok"));
        assert!(words.contains(&"http://h:1/mcp"));
    }
}
