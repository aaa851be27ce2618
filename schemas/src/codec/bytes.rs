//! The bytes of one value: the prefix of the wire format, and a reader that knows where they end.
//! It knows no schema.

use std::io::{self, Read};

use crate::error::CodecError;

/// The length of the prefix before Avro's bytes.
const PREFIX: usize = 5;

/// Bytes that are no value in the wire format, or more than one value.
#[derive(Debug, thiserror::Error)]
pub(super) enum BytesError {
    #[error("{0} bytes are too few for a schema id")]
    TooShort(usize),
    #[error("it begins with byte {0} instead of 0")]
    Magic(u8),
    #[error("{0} bytes too many")]
    TooLong(usize),
}

/// The schema id and the Avro bytes of a value in the wire format.
///
/// # Errors
/// If the value does not begin with a zero byte and an id.
pub fn split(bytes: &[u8]) -> Result<(u32, &[u8]), CodecError> {
    let malformed = |error: BytesError| CodecError::Malformed { name: None, cause: error.into() };
    let Some((&[magic, a, b, c, d], avro)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(malformed(BytesError::TooShort(bytes.len())));
    };
    if magic != 0 {
        return Err(malformed(BytesError::Magic(magic)));
    }
    Ok((u32::from_be_bytes([a, b, c, d]), avro))
}

/// The bytes that have not been read yet.
///
/// If the input ends within a value with `UnexpectedEof`, apache-avro reads a null. This reader
/// ends with `InvalidData` instead, which is an error for apache-avro.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl Rest<'_> {
    /// Returns an error if bytes are left.
    pub(super) fn end(&self) -> Result<(), BytesError> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(BytesError::TooLong(count)),
        }
    }
}

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some((now, later)) = self.0.split_at_checked(buffer.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record ends too soon"));
        };
        buffer.copy_from_slice(now);
        self.0 = later;
        Ok(())
    }
}
