//! What the demo prints when all is ready.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use zava_retail::LoadedInfo;

use super::Answer;
use super::folder::{Folder, Secrets};

/// Lines of an answer that are shown.
const ANSWER_LINES_MAX: usize = 40;

/// What the page speaks of.
pub(super) struct Facts<'a> {
    pub(super) url: &'a str,
    pub(super) binary: &'a Path,
    pub(super) config: &'a Path,
    pub(super) folder: &'a Folder,
    pub(super) secrets: &'a Secrets,
    pub(super) loaded: &'a LoadedInfo,
    pub(super) answer: &'a Answer,
    pub(super) ready_after: Duration,
}

/// Prints it.
pub(super) fn print(facts: &Facts) {
    println!("{}", text(facts));
}

fn text(facts: &Facts) -> String {
    let Facts { url, answer, loaded, secrets, .. } = facts;
    let callers = zava_retail::demo_callers();
    let token = |key: &str| secrets.token(key).unwrap_or_default();
    let first = callers.first().map(|caller| token(caller.key)).unwrap_or_default();
    let tokens: String = callers
        .iter()
        .map(|caller| {
            let stores = caller.stores.len();
            let sees = if stores == 1 { "1 store".to_owned() } else { format!("{stores} stores") };
            format!("  {:<18} {}  {} ({sees})\n", caller.key, token(caller.key), caller.display_name)
        })
        .collect();
    format!(
        "\nA call through the sandbox, as {caller}, in {took} ms:\n\n  {tool} {arguments}\n\n{result}\n\n\
         Ready after {ready:.1} s. {orders} orders of {customers} customers up to {today}.\n\n\
         MCP endpoint: {url}/mcp\n\n\
         Tokens (also in {tokens_file}):\n{tokens}\n\
         The same call from a shell:\n\n{curl}\n\n\
         An MCP client over HTTP:\n\n{http}\n\n\
         An MCP client that starts the server itself (end this demo first: one server at a time has the database):\n\n\
         {stdio}\n\n\
         The server's log is {log}. Ctrl-C ends the server and its database; `cargo demo --fresh` starts over.",
        caller = answer.caller,
        took = answer.took.as_millis(),
        tool = answer.call.tool,
        arguments = answer.call.arguments,
        result = indented(&answer.result, ANSWER_LINES_MAX),
        ready = facts.ready_after.as_secs_f64(),
        orders = loaded.orders,
        customers = loaded.customers,
        today = loaded.options.today,
        tokens_file = secrets.tokens_file.display(),
        curl = answer.call.curl(url, first),
        http = indented(&http_client(url, first), usize::MAX),
        stdio = indented(&stdio_client(facts), usize::MAX),
        log = facts.folder.join("server.log").display(),
    )
}

fn http_client(url: &str, token: &str) -> Value {
    json!({ "mcpServers": { "zava": {
        "type": "http",
        "url": format!("{url}/mcp"),
        "headers": { "Authorization": format!("Bearer {token}") },
    } } })
}

fn stdio_client(facts: &Facts) -> Value {
    json!({ "mcpServers": { "zava": {
        "command": facts.binary,
        "args": ["stdio", "--config", facts.config],
    } } })
}

/// JSON on lines of its own, two spaces in, cut after so many.
fn indented(value: &Value, lines_max: usize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().take(lines_max).map(|line| format!("  {line}")).collect();
    let left_out = text.lines().count() - lines.len();
    if left_out > 0 {
        lines.push(format!("  … {left_out} more lines"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut() {
        let long = json!((0..100).collect::<Vec<_>>());
        let text = indented(&long, 5);
        assert_eq!(text.lines().count(), 6);
        assert!(text.ends_with("… 97 more lines"), "{text}");
        assert_eq!(indented(&json!({}), 5), "  {}");
    }
}
