//! Request bodies: reads JSON of a known shape, within bounds of size and time. It never repeats a
//! value of the body in an error, because the value may be a password.

use std::{pin::Pin, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{FutureExt as _, Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::{runtime::Handle, time::timeout};
use warp::http::{HeaderMap, StatusCode, header};

use crate::{
    json::{self, JsonError},
    problem::Problem,
};

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the unread rest of a body is read and dropped.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// A body of a known shape.
pub trait Body: DeserializeOwned {
    /// The shape, for a client that sent another one.
    const SHAPE: &'static str;
}

/// The body of a request. The unread rest of it is read when it is dropped, in the background,
/// because hyper closes a connection whose body is left, and the load balancer could then lose the
/// response and take the gateway for dead. The load balancer has the whole body when it sends the
/// request, so this takes no time; a slow client's connection is closed.
pub struct RequestBody {
    chunks: Option<Chunks>,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

impl RequestBody {
    /// The body that warp reads as these chunks.
    pub fn new<B: Buf>(
        chunks: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
    ) -> Self {
        let chunks =
            chunks.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining())));
        Self { chunks: Some(Box::pin(chunks)) }
    }

    /// Reads the body as JSON of the shape of `T`.
    ///
    /// # Errors
    /// Returns a problem: 415 for another content type, 413 for more than 64 KiB, 408 after 15 s,
    /// 400 for another shape.
    pub async fn json<T: Body>(&mut self, headers: &HeaderMap) -> Result<T, Problem> {
        let content_type = text(headers, header::CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            let detail = "Send JSON, with Content-Type: application/json.";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_media_type", detail)
                .with("expected", T::SHAPE.into())
                .header(header::ACCEPT, "application/json"));
        }
        let length = text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let bytes = self.bytes(length).await?;
        json::object(&bytes).map_err(|error| {
            let error = match error {
                JsonError::Syntax(error) => error,
                JsonError::Shape(error) => without_value(&error.to_string()).to_owned(),
            };
            let detail = format!("The body does not have the expected shape: {error}.");
            Problem::new(StatusCode::BAD_REQUEST, "invalid_body", detail)
                .with("expected", T::SHAPE.into())
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes, warp::Error>> {
        let chunk = self.chunks.as_mut()?.next().await;
        if chunk.is_none() {
            self.chunks = None;
        }
        chunk
    }

    async fn bytes(&mut self, content_length: Option<usize>) -> Result<Bytes, Problem> {
        let too_large = || {
            let detail = format!("The body may have at most {BODY_BYTES_MAX} bytes.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        };
        if content_length.is_some_and(|length| length > BODY_BYTES_MAX) {
            return Err(too_large());
        }
        let mut bytes = BytesMut::with_capacity(content_length.unwrap_or(0));
        let read = async {
            while let Some(chunk) = self.next().await {
                let chunk = chunk.map_err(|_| Problem::invalid("The body ended too early."))?;
                if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                    return Err(too_large());
                }
                bytes.put(chunk);
            }
            Ok(())
        };
        let timed_out = |_| {
            let detail = "The body did not arrive within 15 s.";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
        };
        timeout(BODY_TIMEOUT, read).await.map_err(timed_out)??;
        Ok(bytes.freeze())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(chunks) = self.chunks.take() else { return };
        let mut discarded = Box::pin(discard(chunks));
        // Most requests have no body, or all of it is there.
        if (&mut discarded).now_or_never().is_some() {
            return;
        }
        // The request may be dropped with its runtime, at the end of the process.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(DISCARD_TIMEOUT, discarded));
        }
    }
}

/// Reads and drops the rest of a body, up to the largest one.
async fn discard(mut chunks: Chunks) {
    let mut left = BODY_BYTES_MAX;
    while let Some(Ok(chunk)) = chunks.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

/// serde's text about a shape without the value that it found, which precedes what it expected.
fn without_value(text: &str) -> &str {
    match text.rfind("expected ") {
        Some(at) if !text.starts_with("unknown field") => &text[at..],
        _ => text,
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
