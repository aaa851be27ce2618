//! Memory for the bytes of records. It copies bytes into large blocks and frees no single string.

use bytes::{Bytes, BytesMut};

/// The size of a block.
const BLOCK: usize = 64 << 10;

/// Stores short byte strings in blocks of 64 KiB. A block is freed when the last string in it is
/// dropped: for strings that many records create at one moment and drop soon after.
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
    fn copies_of_all_lengths_equal_their_originals() {
        let mut arena = Arena::default();
        let lengths = [0, 1, 200, BLOCK, 3, BLOCK + 1, 0, 7];
        let copies: Vec<_> =
            lengths.iter().map(|length| arena.copy(&vec![*length as u8; *length])).collect();
        for (length, copy) in lengths.iter().zip(&copies) {
            assert_eq!(**copy, vec![*length as u8; *length]);
        }
    }
}
