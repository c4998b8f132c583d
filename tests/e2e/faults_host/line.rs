//! One connection, kept: a client's library opens another whenever it likes.

use std::fmt::Write as _;

use stockade_tests::HostProcess;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

pub(super) struct Line(BufReader<TcpStream>);

impl Line {
    pub(super) async fn open(host: &HostProcess) -> Self {
        let stream = TcpStream::connect(host.address()).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self(BufReader::new(stream))
    }

    /// One call.
    pub(super) async fn ask(&mut self, host: &HostProcess) -> Result<(), String> {
        let (number, request) = super::question(host);
        let request = request.build().expect("a request");
        let reply = self.exchange(host, &request).await.map_err(|_| "no reply".to_owned())?;
        super::judged(number, &serde_json::from_slice(&reply).expect("JSON"))
    }

    async fn exchange(&mut self, host: &HostProcess, request: &reqwest::Request) -> std::io::Result<Vec<u8>> {
        let body = request.body().and_then(reqwest::Body::as_bytes).expect("a body");
        let (path, length) = (request.url().path(), body.len());
        let mut text = format!("POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n", host.address());
        for (name, value) in request.headers() {
            write!(text, "{name}: {}\r\n", value.to_str().expect("text")).expect("text");
        }
        text.push_str("\r\n");
        self.0.write_all(&[text.as_bytes(), body].concat()).await?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut reply = vec![0; length];
        self.0.read_exact(&mut reply).await?;
        Ok(reply)
    }
}
