//! Each limit, reached.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Stream, message},
    harness::TestServer,
    stub::wait_for,
};

#[tokio::test]
async fn five_megabytes_of_arguments_are_refused_and_nothing_is_harmed() {
    let server = TestServer::start().await;
    let client = server.north();
    let arguments = json!({ "name": "echo", "arguments": { "a": "x".repeat(5 << 20) } });
    let response = client.modern("tools/call", arguments).send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let reply: Value = response.json().await.expect("JSON");
    assert_eq!(reply["error"]["message"], "Invalid Request: the body is larger than 4194304 bytes");
    assert_eq!(client.call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not() {
    let server = TestServer::with(|config| config.body_bytes_max = 1000).await;
    let body = |bytes: usize| {
        let empty = message("ping", json!({ "a": "" })).len();
        message("ping", json!({ "a": "x".repeat(bytes - empty) }))
    };
    assert_eq!(body(1000).len(), 1000);
    let session = server.north().session().await;
    for (bytes, status) in [(1000, StatusCode::OK), (1001, StatusCode::PAYLOAD_TOO_LARGE)] {
        let request = server.north().post(body(bytes)).header("mcp-session-id", &session.id);
        assert_eq!(request.send().await.expect("a reply").status(), status, "{bytes}");
    }
    // Without a length in front.
    let chunks = futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])));
    let request = server.north().post(reqwest::Body::wrap_stream(chunks));
    assert_eq!(request.send().await.expect("a reply").status(), StatusCode::PAYLOAD_TOO_LARGE);
}

/// Sends `text` and waits for the server to answer or to close.
async fn raw(server: &TestServer, text: &str) -> String {
    let mut stream = TcpStream::connect(server.running.local_addr()).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut reply = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut reply));
    let _ = read.await.expect("the server does not wait for ever");
    reply
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_dropped() {
    let server = TestServer::with(|config| config.header_timeout_s = 1).await;
    assert_eq!(raw(&server, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuth").await, "");
    assert_eq!(raw(&server, "").await, "");
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_body_is_answered() {
    let server = TestServer::with(|config| config.body_timeout_s = 1).await;
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-north\r\nContent-Type: application/json\r\n\
                Accept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{";
    let reply = raw(&server, head).await;
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
}

#[tokio::test]
async fn a_body_of_which_nothing_is_sent_before_100_continue_is_refused_at_once() {
    let server = TestServer::start().await;
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-north\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 5000000\r\n\r\n";
    let reply = raw(&server, head).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_client_that_sends_it_all_before_it_reads_sees_why_it_was_refused() {
    let server = TestServer::start().await;
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-north\r\nContent-Type: application/json\r\n\
                Connection: close\r\nContent-Length: 12000000\r\n\r\n";
    let reply = raw(&server, &format!("{head}{}", " ".repeat(12_000_000))).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let server = TestServer::with(|config| {
        config.write_timeout_s = 1;
        config.connections_max = 1;
    })
    .await;
    let call = message(
        "tools/call",
        json!({ "name": "echo", "arguments": { "a": "x".repeat(3 << 20) }, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } }),
    );
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-north\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n\
         Content-Length: {}\r\n\r\n{call}",
        call.len()
    );
    let mut stream = TcpStream::connect(server.running.local_addr()).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // Twice the arguments come back. While nobody reads, they wait in the server for a second; then it drops the
    // connection, and has room for another.
    assert_eq!(server.north().call("echo", json!({})).await["result"]["isError"], false);
    let mut reply = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut reply));
    let _ = read.await.expect("the server has closed the connection");
    assert!(reply.len() < 6 << 20, "{} bytes", reply.len());
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_its_turn() {
    let server = TestServer::with(|config| config.connections_max = 1).await;
    let mut first = TcpStream::connect(server.running.local_addr()).await.expect("a connection");
    let client = server.north();
    let mut waiting = None;
    // While the first connection is served, time and again, the second is not.
    for _ in 0..50 {
        first.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
        let mut reply = Vec::new();
        while !reply.ends_with(b"alive\n") {
            assert!(first.read_buf(&mut reply).await.expect("a reply") > 0, "the first is not closed");
        }
        let client = client.clone();
        waiting.get_or_insert_with(|| tokio::spawn(async move { client.call("wait", json!({})).await }));
        assert_eq!(server.tools.begun.available_permits(), 0, "it waits");
    }
    drop(first);
    wait_for(&server.tools.begun, 1).await;
    server.tools.may_end.add_permits(1);
    assert_eq!(waiting.expect("a call").await.expect("no panic")["result"]["isError"], false);
}

#[tokio::test]
async fn requests_beyond_the_callers_share_get_429_and_others_are_served() {
    let server = TestServer::with(|config| config.requests_per_caller_max = 1).await;
    let client = server.north();
    let waiting = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&server.tools.begun, 1).await;
    let refused = server.north().modern("tools/list", json!({})).send().await.expect("a reply");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(server.south().call("echo", json!({})).await["result"]["isError"], false);
    server.tools.may_end.add_permits(1);
    assert_eq!(waiting.await.expect("no panic")["result"]["isError"], false);
    assert_eq!(server.north().call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn an_open_stream_counts_as_a_request() {
    let server = TestServer::with(|config| config.requests_per_caller_max = 1).await;
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let response = server.north().modern("subscriptions/listen", params).send().await.expect("a reply");
    let mut stream = Stream::of(response);
    stream.next().await.expect("an acknowledgement");
    let list = || async { server.north().modern("tools/list", json!({})).send().await.expect("a reply").status() };
    assert_eq!(list().await, StatusCode::TOO_MANY_REQUESTS);
    drop(stream);
    let freed = async {
        while list().await != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("the stream's place comes free");
}

#[tokio::test]
async fn calls_beyond_the_limits_wait_and_then_are_told_to_try_again() {
    for own in [true, false] {
        let server = TestServer::with(|config| {
            *(if own { &mut config.calls_per_caller_max } else { &mut config.calls_max }) = 1;
            config.call_queue_timeout_ms = 50;
        })
        .await;
        let client = server.north();
        let waiting = tokio::spawn(async move { client.call("wait", json!({})).await });
        wait_for(&server.tools.begun, 1).await;
        let busy = server.north().call("echo", json!({})).await;
        let text = busy["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.starts_with("SERVER_BUSY: "), "{text}");
        let other = server.south().call("echo", json!({})).await;
        assert_eq!(other["result"]["isError"], !own, "another caller's call");
        server.tools.may_end.add_permits(1);
        waiting.await.expect("no panic");
        assert_eq!(server.north().call("echo", json!({})).await["result"]["isError"], false);
    }
}

#[tokio::test]
async fn a_body_of_just_the_depth_is_taken_and_one_level_more_is_not() {
    let server = TestServer::with(|config| config.json_depth_max = 20).await;
    // Around the arguments there are `params` and the message.
    let nested = |depth: usize| (0..depth - 3).fold(json!(0), |inner, _| json!([inner]));
    for (depth, status) in [(20, StatusCode::OK), (21, StatusCode::BAD_REQUEST)] {
        let params = json!({ "name": "echo", "arguments": { "a": nested(depth) } });
        let response = server.north().modern("tools/call", params).send().await.expect("a reply");
        assert_eq!(response.status(), status, "{depth}");
        let reply: Value = response.json().await.expect("JSON");
        assert_eq!(reply["error"]["code"] == -32600, depth > 20, "{reply}");
    }
}

#[tokio::test]
async fn more_headers_or_larger_ones_get_431() {
    let server = TestServer::with(|config| {
        config.header_bytes_max = 16_384;
        config.headers_max = 20;
    })
    .await;
    let head = |more: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    for (more, status) in [
        (many(18), "200"),
        (many(19), "431"),
        (format!("X: {}\r\n", "a".repeat(15_000)), "200"),
        (format!("X: {}\r\n", "a".repeat(20_000)), "431"),
    ] {
        let reply = raw(&server, &head(&more)).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{} bytes: {reply}", more.len());
    }
}

#[tokio::test]
async fn a_connection_that_stays_idle_after_a_request_is_closed() {
    let server = TestServer::with(|config| config.header_timeout_s = 1).await;
    // `raw` reads to the end, which comes when the server closes.
    let reply = raw(&server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(reply.ends_with("alive\n"), "{reply}");
}

#[tokio::test]
async fn a_connection_too_many_of_one_address_is_closed_at_once() {
    let server = TestServer::with(|config| config.connections_per_ip_max = 2).await;
    let connect = || async { TcpStream::connect(server.running.local_addr()).await.expect("a connection") };
    let ask = async |stream: &mut TcpStream| {
        let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut reply = Vec::new();
        let read = async {
            while !reply.ends_with(b"alive\n") && stream.read_buf(&mut reply).await.is_ok_and(|count| count > 0) {}
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server does not wait");
        asked.is_ok() && reply.starts_with(b"HTTP/1.1 200 ")
    };
    let (mut first, mut second) = (connect().await, connect().await);
    assert!(ask(&mut first).await && ask(&mut second).await);
    assert!(!ask(&mut connect().await).await, "a third");
    assert!(ask(&mut first).await, "the others stay");
    drop(second);
    let freed = async {
        while !ask(&mut connect().await).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("the place comes free");
}
