use std::{io, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use rmcp::{
    RoleServer,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::Mutex,
};

use crate::errors::json_rpc;

/// A byte order mark, which some systems put before what they write.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Messages on standard input and output, one a line. The library's own transport answers neither a line that is no
/// JSON nor one that is too long: the client that sent it would wait for ever.
pub(super) struct Lines<R, W> {
    input: BufReader<R>,
    output: Output<W>,
    line_bytes_max: usize,
    /// What has come of a line.
    line: Vec<u8>,
    /// It is the rest of one that was too long.
    is_rest: bool,
    /// An answer to a line that was no message. Kept here, because a read may be given up half-way.
    answering: Option<BoxFuture<'static, io::Result<()>>>,
}

/// Closed, it takes nothing more.
type Output<W> = Arc<Mutex<Option<W>>>;

enum Line {
    Whole,
    TooLong,
    End,
}

impl<R: AsyncRead + Send + Unpin, W: AsyncWrite + Send + Unpin + 'static> Lines<R, W> {
    pub(super) fn new(input: R, output: W, line_bytes_max: usize) -> Self {
        let (input, output) = (BufReader::new(input), Arc::new(Mutex::new(Some(output))));
        Self { input, output, line_bytes_max, line: Vec::new(), is_rest: false, answering: None }
    }

    /// Reads until a line is in `line`. Given up half-way, it goes on where it was.
    async fn next_line(&mut self) -> io::Result<Line> {
        loop {
            let room = self.line_bytes_max.saturating_add(1).saturating_sub(self.line.len());
            let mut input = (&mut self.input).take(room as u64);
            input.read_until(b'\n', &mut self.line).await?;
            if self.line.ends_with(b"\n") {
                if !self.is_rest {
                    return Ok(Line::Whole);
                }
                self.is_rest = false;
                self.line.clear();
            } else if self.line.len() > self.line_bytes_max {
                self.line.clear();
                if !std::mem::replace(&mut self.is_rest, true) {
                    return Ok(Line::TooLong);
                }
            } else {
                return Ok(Line::End);
            }
        }
    }

    fn answer(&mut self, error: &Value) {
        self.answering = Some(write(Arc::clone(&self.output), error.to_string().into_bytes()).boxed());
    }
}

async fn write<W: AsyncWrite + Unpin>(output: Output<W>, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    let mut output = output.lock().await;
    let output = output.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    output.write_all(&line).await?;
    output.flush().await
}

/// A line's message, or the answer to what is none. `None` where there is nothing to answer.
fn parse(line: &[u8]) -> Option<Result<RxJsonRpcMessage<RoleServer>, Value>> {
    let line = line.strip_prefix(MARK).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return None;
    }
    if let Ok(message) = serde_json::from_slice(line) {
        return Some(Ok(message));
    }
    // Of another protocol perhaps, but a notification, which is never answered (JSON-RPC 2.0, section 4.1).
    let is_notification = |message: &Value| message["method"].is_string() && message.get("id").is_none();
    if serde_json::from_slice(line).is_ok_and(|message| is_notification(&message)) {
        return None;
    }
    Some(Err(json_rpc::malformed(line)))
}

impl<R: AsyncRead + Send + Unpin, W: AsyncWrite + Send + Unpin + 'static> Transport<RoleServer> for Lines<R, W> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let output = Arc::clone(&self.output);
        async move { write(output, serde_json::to_vec(&message)?).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(answer) = &mut self.answering {
                let answered = answer.await;
                self.answering = None;
                answered.ok()?;
            }
            match self.next_line().await {
                Ok(Line::Whole) => {
                    let parsed = parse(&self.line);
                    self.line.clear();
                    match parsed {
                        None => {}
                        Some(Ok(message)) => return Some(message),
                        Some(Err(error)) => self.answer(&error),
                    }
                }
                Ok(Line::TooLong) => {
                    let message = format!("Invalid Request: the message is larger than {} bytes", self.line_bytes_max);
                    self.answer(&json_rpc::error(json_rpc::INVALID_REQUEST, Value::Null, &message));
                }
                Ok(Line::End) => return None,
                Err(error) => {
                    tracing::debug!(%error, "standard input ended");
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.output.lock().await.take();
        Ok(())
    }
}
