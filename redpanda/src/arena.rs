//! Bytes of records, one behind the other in blocks.

use bytes::{Bytes, BytesMut};

/// How large a block is.
const BLOCK: usize = 64 << 10;

/// Keeps short byte strings in blocks of 64 KiB, each of which is freed when the last string in it
/// is: for what many records of one moment have, and nobody keeps for long.
#[derive(Debug, Default)]
pub struct Arena(BytesMut);

impl Arena {
    /// A copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.0.capacity() < bytes.len() {
            self.0 = BytesMut::with_capacity(BLOCK.max(bytes.len()));
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_what_was_copied_whatever_their_lengths() {
        let mut arena = Arena::default();
        let lengths = [0, 1, 200, BLOCK, 3, BLOCK + 1, 0, 7];
        let copies: Vec<_> =
            lengths.iter().map(|length| arena.copy(&vec![*length as u8; *length])).collect();
        for (length, copy) in lengths.iter().zip(&copies) {
            assert_eq!(**copy, vec![*length as u8; *length]);
        }
    }
}
