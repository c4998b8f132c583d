use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use serde_json::Value;

use super::replies;

/// What is read of a body that is too large, before it is answered: a client that is still sending
/// when the connection closes does not see the answer.
const DRAIN_BYTES_MAX: usize = 16 << 20;

/// Reads a request's body, in whole.
///
/// # Errors
/// The answer to a body that is too large, too slow, or breaks off.
pub(super) async fn read(
    headers: &HeaderMap,
    body: axum::body::Body,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, axum::response::Response> {
    // A client that asks first has sent nothing yet: it gets its answer at once.
    let asks_first = headers.contains_key(header::EXPECT);
    if asks_first && body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(timeout, collect(body, bytes_max)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large(bytes_max)),
        Ok(Err(_)) => Err(replies::error(
            StatusCode::BAD_REQUEST,
            replies::INVALID_REQUEST,
            Value::Null,
            "Invalid Request: the body broke off",
        )),
        Err(_) => Err(replies::error(
            StatusCode::REQUEST_TIMEOUT,
            replies::INVALID_REQUEST,
            Value::Null,
            "Invalid Request: the body did not arrive in time",
        )),
    }
}

fn too_large(bytes_max: usize) -> axum::response::Response {
    let message = format!("Invalid Request: the body is larger than {bytes_max} bytes");
    replies::error(StatusCode::PAYLOAD_TOO_LARGE, replies::INVALID_REQUEST, Value::Null, &message)
}

/// `None` where there is more than `bytes_max`.
async fn collect(mut body: axum::body::Body, bytes_max: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut total = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total > bytes_max {
            rest = BytesMut::new();
            if total - bytes_max > DRAIN_BYTES_MAX {
                return Ok(None);
            }
        } else if first.is_empty() {
            // Most bodies come in one piece, which is taken as it is.
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    if total > bytes_max {
        return Ok(None);
    }
    Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
}

/// Whether lists and objects in a JSON text stand in each other more than `depth_max` deep. Of what is
/// not JSON it says something or other, and the parser says the rest.
pub(super) fn is_deeper_than(json: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest > depth_max
}

/// A response's body that holds something until it has been sent or given up: a stream counts as
/// long as it is open. It may end before its time, when `end` does.
pub(super) struct Holding<B, T> {
    body: B,
    _held: T,
    end: Option<BoxFuture<'static, ()>>,
}

impl<B, T> Holding<B, T> {
    pub(super) fn new(body: B, held: T, end: Option<BoxFuture<'static, ()>>) -> Self {
        Self { body, _held: held, end }
    }
}

impl<B: Body + Unpin, T: Unpin> Body for Holding<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        for (json, depth) in [
            ("", 0),
            ("5", 0),
            ("[]", 1),
            ("[[],{}]", 2),
            (r#"{"a":[{"b":1}]}"#, 3),
            (r#"["[[[["]"#, 1),
            (r#"["\"[[[["]"#, 1),
            (r#"["\\",[[]]]"#, 3),
            ("]]]][[", 2),
        ] {
            assert!(!is_deeper_than(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || is_deeper_than(json.as_bytes(), depth - 1), "{json}");
        }
    }
}
