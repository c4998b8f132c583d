//! A load generator that costs little: one request's bytes, sent again and again on open connections.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// What one run of the generator saw.
pub(crate) struct Load {
    pub(crate) p50: Duration,
    pub(crate) calls: u64,
}

/// Run `clients` connections of a process of its own, `calls` calls each.
pub(crate) async fn run(address: std::net::SocketAddr, token: &str, clients: usize, calls: usize) -> Load {
    let itself = std::env::current_exe().expect("this program");
    let output = tokio::process::Command::new(itself)
        .args(["client", &address.to_string(), token, &clients.to_string(), &calls.to_string()])
        .output()
        .await
        .expect("the load generator");
    assert!(output.status.success(), "the load generator: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    Load { p50: Duration::from_nanos(seen["p50_ns"].as_u64().unwrap()), calls: seen["calls"].as_u64().unwrap() }
}

pub(crate) fn main(arguments: &[String]) {
    let [address, token, clients, calls] = arguments else { panic!("ADDRESS TOKEN CLIENTS CALLS") };
    let (clients, calls): (usize, usize) = (clients.parse().unwrap(), calls.parse().unwrap());
    let request = request(address, token);
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (address, request) = (address.clone(), request.clone());
            std::thread::spawn(move || connection(&address, &request, calls))
        })
        .collect();
    let mut times: Vec<Duration> =
        threads.into_iter().flat_map(|thread| thread.join().expect("a connection")).collect();
    times.sort();
    let p50 = times[times.len() / 2].as_nanos();
    println!("{}", json!({"p50_ns": u64::try_from(p50).unwrap(), "calls": times.len()}));
}

fn request(address: &str, token: &str) -> Vec<u8> {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "noop", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }},
    })
    .to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\n\
         mcp-name: noop\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn connection(address: &str, request: &[u8], calls: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let mut buffer = vec![0; 64 << 10];
    (0..calls)
        .map(|_| {
            let start = Instant::now();
            stream.write_all(request).expect("sends");
            read_reply(&mut stream, &mut buffer);
            start.elapsed()
        })
        .collect()
}

/// One reply with a content length; anything else ends the run.
fn read_reply(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).expect("a reply");
        assert!(read > 0, "the server hung up");
        filled += read;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let headers = std::str::from_utf8(&text[..head]).expect("headers").to_ascii_lowercase();
        assert!(headers.starts_with("http/1.1 200"), "{headers}");
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
        let end = head + 4 + length.trim().parse::<usize>().expect("a number");
        if filled >= end {
            let body = String::from_utf8_lossy(&text[head + 4..end]).into_owned();
            assert!(body.contains("structuredContent"), "{body}");
            return;
        }
    }
}
