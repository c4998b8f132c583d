//! An embedding endpoint over real HTTP, which does what a test says.
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the endpoint does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, further header lines, body.
    Answer(u16, &'static str, String),
    /// Says nothing, for ever.
    Hang,
    /// Closes the connection.
    Close,
}

impl Reply {
    /// An answer as OpenAI gives it, out of order.
    pub(crate) fn vectors(vectors: &[Vec<f32>]) -> Self {
        let item = |(index, vector)| json!({"object": "embedding", "index": index, "embedding": vector});
        let data: Vec<Value> = vectors.iter().enumerate().rev().map(item).collect();
        Self::Answer(200, "", json!({"object": "list", "data": data, "model": "m"}).to_string())
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) model: String,
    pub(crate) texts: Vec<String>,
}

/// What answers: which request this is, from 0, and its texts.
type Script = Arc<dyn Fn(usize, Vec<String>) -> BoxFuture<'static, Reply> + Send + Sync>;

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    open: usize,
    open_most: usize,
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Endpoint {
    pub(crate) async fn start(
        script: impl Fn(usize, Vec<String>) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/embeddings", listener.local_addr().unwrap());
        let (script, seen): (Script, _) = (Arc::new(script), Arc::new(Mutex::new(Seen::default())));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&shared));
                tokio::spawn(async move {
                    let _ = serve(stream, &script, &seen).await;
                });
            }
        });
        Self { url, seen }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().asked.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().asked.len()
    }

    /// The most requests that were under way at the same time.
    pub(crate) fn open_most(&self) -> usize {
        self.seen.lock().unwrap().open_most
    }

    pub(crate) async fn until_requests_are(&self, wanted: usize) {
        let waiting = async {
            while self.requests() < wanted {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("the requests come");
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, script: &Script, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes.split_off(end + 4));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while body.len() < length.unwrap_or(0) {
        stream.read_buf(&mut body).await?;
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let texts: Vec<String> = serde_json::from_value(request["input"].clone()).unwrap();
    let number = {
        let mut seen = seen.lock().unwrap();
        let model = request["model"].as_str().unwrap().to_owned();
        seen.asked.push(Asked { head, model, texts: texts.clone() });
        seen.open += 1;
        seen.open_most = seen.open_most.max(seen.open);
        seen.asked.len() - 1
    };
    let reply = script(number, texts).await;
    let written = match reply {
        Reply::Answer(status, headers, body) => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} .\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => Ok(()),
    };
    seen.lock().unwrap().open -= 1;
    written
}
