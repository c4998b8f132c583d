use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// An HTTP service that gives every request the same answer, until it is told another.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
}

impl Responder {
    /// One that answers with this status and body. It ends with the test's runtime.
    pub async fn start(status: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(Mutex::new(String::new()));
        let responder = Self { address, answer: Arc::clone(&answer) };
        responder.answer(status, body);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.lock().expect("no panic").clone();
                // Requests here are small: one read takes all of it, and a client that is gone is gone.
                let _ = stream.read(&mut vec![0; 64 << 10]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        responder
    }

    /// From now on.
    pub fn answer(&self, status: &str, body: &str) {
        *self.answer.lock().expect("no panic") = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
