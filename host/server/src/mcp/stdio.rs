mod lines;

use std::{sync::Arc, time::Duration};

use rmcp::{service::serve_server_with_ct, transport::io::stdio_pipes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{McpHandler, Shared};
use crate::{auth::KnownCaller, config::ServerConfig};
use lines::Lines;

/// Serves one client on standard input and output, as `known`, until the client closes its end or
/// `stop` is cancelled; then calls have `shutdown_grace_s` to finish.
pub(crate) async fn serve(
    config: &ServerConfig,
    shared: Arc<Shared>,
    known: Arc<KnownCaller>,
    stop: CancellationToken,
) {
    let (input, output) = stdio_pipes();
    serve_on(input, output, config, shared, known, stop).await;
}

pub(crate) async fn serve_on(
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    config: &ServerConfig,
    shared: Arc<Shared>,
    known: Arc<KnownCaller>,
    stop: CancellationToken,
) {
    let transport = Lines::new(input, output, config.body_bytes_max);
    let handler = McpHandler::new(Arc::clone(&shared), known);
    // Not `stop` itself: it would cancel the calls under way at once.
    let end = CancellationToken::new();
    let service = tokio::select! {
        service = serve_server_with_ct(handler, transport, end.clone()) => service,
        () = stop.cancelled() => return,
    };
    let Ok(service) = service else {
        tracing::info!("the client left before it had said anything");
        return;
    };
    let _session = shared.metrics.session("pipe");
    let mut client = std::pin::pin!(service.waiting());
    tokio::select! {
        _ = &mut client => {}
        () = stop.cancelled() => {
            shared.stopping.cancel();
            shared.busy.close();
            let grace = Duration::from_secs(config.shutdown_grace_s);
            if tokio::time::timeout(grace, shared.busy.wait()).await.is_err() {
                tracing::warn!(calls = shared.busy.len(), "calls cut off: they did not end within shutdown_grace_s");
            }
            end.cancel();
            let _ = client.await;
        }
    }
    shared.stopping.cancel();
    shared.calls_have_ended().await;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stockade_runtime::{Invocation, ToolOutput};
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        sync::Semaphore,
    };

    use super::*;
    use crate::{
        config::TelemetryConfig,
        telemetry::Metrics,
        tools::one_tool::{OneTool, office},
    };

    #[tokio::test]
    async fn a_client_is_served_as_the_configured_caller_and_a_call_finishes_when_told_to_stop() {
        let config = ServerConfig { body_bytes_max: 1000, ..ServerConfig::default() };
        let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (begins, ends) = (Arc::clone(&begun), Arc::clone(&may_end));
        let tools = OneTool::new("waits", move |invocation: Invocation| {
            let (begins, ends) = (Arc::clone(&begins), Arc::clone(&ends));
            async move {
                begins.add_permits(1);
                ends.acquire().await.expect("open").forget();
                let structured = json!({ "name": invocation.caller.display_name });
                Ok(ToolOutput { structured: structured.as_object().cloned().expect("an object"), text: None })
            }
        });
        let metrics = Metrics::start(&TelemetryConfig::default()).expect("metrics");
        let shared = Arc::new(Shared::new(tools, &config, metrics));
        let stop = CancellationToken::new();
        let (client, server) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(server);
        let (known, stopped) = (office(&config).by_name("office").expect("it"), stop.clone());
        let serving = tokio::spawn(async move { serve_on(input, output, &config, shared, known, stopped).await });
        let (replies, mut requests) = tokio::io::split(client);
        let mut replies = BufReader::new(replies).lines();
        let mut next =
            async || serde_json::from_str::<Value>(&replies.next_line().await.expect("a line").expect("one more"));
        let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } } });
        requests.write_all(format!("rubbish\n{initialize}\n").as_bytes()).await.expect("sent");
        let is_answered = |reply: Value, code: i32, id: Value| {
            assert_eq!((&reply["error"]["code"], reply.get("id")), (&json!(code), Some(&id)), "{reply}");
        };
        is_answered(next().await.expect("JSON"), -32700, Value::Null);
        assert_eq!(next().await.expect("JSON")["result"]["serverInfo"]["name"], "stockade");
        // Nothing that is no message ends the conversation, and what is no notification is answered.
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let just_the_limit = format!("{initialized}{}", " ".repeat(1000 - initialized.len()));
        let (long, much_longer) = ("x".repeat(1001), "[".repeat(100_000));
        let lines = [
            just_the_limit.as_str(),
            "\u{feff}\r",
            "{",
            long.as_str(),
            much_longer.as_str(),
            "[]",
            r#"{"jsonrpc":"2.0","id":9,"method":5}"#,
            r#"{"jsonrpc":"1.0","method":"another/protocol"}"#,
            "the last",
        ];
        requests.write_all(format!("{}\n", lines.join("\n")).as_bytes()).await.expect("sent");
        for (code, id) in [
            (-32700, Value::Null),
            (-32600, Value::Null),
            (-32600, Value::Null),
            (-32600, Value::Null),
            (-32600, json!(9)),
            (-32700, Value::Null),
        ] {
            is_answered(next().await.expect("JSON"), code, id);
        }
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "waits" } });
        requests.write_all(format!("{call}\n").as_bytes()).await.expect("sent");
        begun.acquire().await.expect("open").forget();
        stop.cancel();
        may_end.add_permits(1);
        let reply = next().await.expect("JSON");
        assert_eq!((&reply["id"], &reply["result"]["structuredContent"]["name"]), (&json!(2), &json!("office")));
        serving.await.expect("no panic");
    }
}
