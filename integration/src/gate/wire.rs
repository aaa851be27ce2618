//! Frames of Kafka's protocol: reads a frame from a connection, and decodes and encodes the
//! messages that a rule concerns. It decodes nothing by itself, so a frame that no rule concerns
//! passes unchanged.

use anyhow::{Context, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Redpanda's `kafka_request_max_bytes` and Kafka's `socket.request.max.bytes`.
const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;
/// The length of a frame precedes it.
const LENGTH_BYTES: usize = 4;
/// API key, version and correlation id.
const FIXED_HEADER_BYTES: usize = 8;

/// Reads one frame, with its length. Returns `None` if the peer has closed the connection between
/// frames.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Bytes>> {
    let mut length = [0; LENGTH_BYTES];
    match from.read_exact(&mut length).await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let bytes = usize::try_from(i32::from_be_bytes(length))
        .map_err(|_| invalid("a frame of negative length"))?;
    let mut frame = BytesMut::with_capacity(LENGTH_BYTES + bytes);
    frame.put_slice(&length);
    frame.resize(LENGTH_BYTES + bytes, 0);
    from.read_exact(&mut frame[LENGTH_BYTES..]).await?;
    Ok(Some(frame.freeze()))
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

/// A request whose body is not decoded.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of the API, which Kafka may not know.
    pub key: i16,
    /// The version of the API.
    pub version: i16,
    /// Identifies the request in its response.
    pub correlation_id: i32,
    frame: Bytes,
}

impl Request {
    /// Reads the fixed part of the header of a frame.
    pub fn of(frame: Bytes) -> anyhow::Result<Self> {
        if frame.len() < LENGTH_BYTES + FIXED_HEADER_BYTES {
            bail!("a request of {} bytes has no header", frame.len());
        }
        if frame.len() > REQUEST_BYTES_MAX {
            bail!("a request of {} bytes is larger than kafka_request_max_bytes", frame.len());
        }
        let mut header = &frame[LENGTH_BYTES..];
        let (key, version, correlation_id) = (header.get_i16(), header.get_i16(), header.get_i32());
        Ok(Self { key, version, correlation_id, frame })
    }

    /// Whether this is a request of `api`.
    pub fn is(&self, api: ApiKey) -> bool {
        self.key == api as i16
    }

    /// The request, unchanged.
    pub fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    /// Decodes the body.
    pub fn decode<T: Decodable + HeaderVersion>(&self) -> anyhow::Result<T> {
        let mut rest = self.frame.slice(LENGTH_BYTES..);
        RequestHeader::decode(&mut rest, T::header_version(self.version))
            .context("a request's header")?;
        T::decode(&mut rest, self.version).context("a request's body")
    }

    /// Encodes the same request with another body.
    pub fn with<T: Encodable + HeaderVersion>(&self, body: &T) -> anyhow::Result<Bytes> {
        let header_version = T::header_version(self.version);
        let header = RequestHeader::decode(&mut self.frame.slice(LENGTH_BYTES..), header_version)?;
        frame(&header, header_version, body, self.version)
    }

    /// Encodes the same request in version 0.
    pub fn in_version_0<T: Encodable + HeaderVersion>(&self, body: &T) -> anyhow::Result<Bytes> {
        let header = RequestHeader::default()
            .with_request_api_key(self.key)
            .with_request_api_version(0)
            .with_correlation_id(self.correlation_id);
        frame(&header, T::header_version(0), body, 0)
    }

    /// Encodes a response to this request.
    pub fn response<T: Encodable + HeaderVersion>(&self, body: &T) -> anyhow::Result<Bytes> {
        self.response_in(self.version, body)
    }

    /// Encodes a response to this request in another version.
    pub fn response_in<T: Encodable + HeaderVersion>(
        &self,
        version: i16,
        body: &T,
    ) -> anyhow::Result<Bytes> {
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        frame(&header, T::header_version(version), body, version)
    }

    /// Decodes a response to this request.
    pub fn read_response<T: Decodable + HeaderVersion>(
        &self,
        response: &Bytes,
    ) -> anyhow::Result<T> {
        read_response(self.version, response)
    }

    /// Whether the broker answers: it does not answer a produce request with `acks=0`.
    pub fn is_answered(&self) -> anyhow::Result<bool> {
        if !self.is(ApiKey::Produce) {
            return Ok(true);
        }
        let header_version = ProduceRequest::header_version(self.version);
        let mut rest = self.frame.slice(LENGTH_BYTES..);
        RequestHeader::decode(&mut rest, header_version).context("a produce request's header")?;
        // The transactional id precedes acks since version 3; a flexible version has a compact
        // string.
        let id_bytes = match self.version {
            ..3 => 0,
            3..9 => usize::try_from(rest.try_get_i16()?).unwrap_or(0),
            _ => usize::from(rest.try_get_u8()?).saturating_sub(1),
        };
        if rest.len() < id_bytes {
            bail!("a produce request ends within its transactional id");
        }
        rest.advance(id_bytes);
        Ok(rest.try_get_i16()? != 0)
    }
}

/// Decodes a response in `version`.
pub(crate) fn read_response<T: Decodable + HeaderVersion>(
    version: i16,
    response: &Bytes,
) -> anyhow::Result<T> {
    let mut rest = response.clone();
    rest.try_get_i32()?;
    ResponseHeader::decode(&mut rest, T::header_version(version)).context("a response's header")?;
    T::decode(&mut rest, version).context("a response's body")
}

/// Encodes a frame: its length, a header and a body.
pub(crate) fn frame(
    header: &impl Encodable,
    header_version: i16,
    body: &impl Encodable,
    version: i16,
) -> anyhow::Result<Bytes> {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, header_version).context("a header")?;
    body.encode(&mut frame, version).context("a body")?;
    let length = i32::try_from(frame.len() - LENGTH_BYTES)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}
