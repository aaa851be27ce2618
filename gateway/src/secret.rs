//! The gateway's secret, the keys that derive from it (one for each purpose), and keyed hashes. It
//! never shows a key, and no two purposes share one.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// 32 bytes that all gateways of a system share.
pub struct Secret(secrecy::SecretBox<[u8; 32]>);

/// The text of the secret is malformed.
#[derive(Debug, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct SecretError(#[source] hex::FromHexError);

/// A key for one purpose.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Secret {
    /// Parses 64 hexadecimal digits.
    ///
    /// # Errors
    /// Returns an error when `text` is something else.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(SecretError)?;
        Ok(Self(secrecy::SecretBox::new(Box::new(bytes))))
    }

    /// The key for the purpose that `label` names.
    pub fn key(&self, label: &str) -> Key {
        use secrecy::ExposeSecret;
        Key::new(&Key::new(self.0.expose_secret()).mac(&[label.as_bytes()]))
    }
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        // HMAC accepts keys of any length; the error type is for other MACs.
        Self(
            <Hmac<Sha256> as Mac>::new_from_slice(bytes)
                .unwrap_or_else(|_| unreachable!("HMAC accepts any length")),
        )
    }

    /// The keyed hash of these parts. Each part is hashed with its length, so that `["ab", "c"]`
    /// differs from `["a", "bc"]`.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// [`mac`](Self::mac) in hexadecimal digits.
    pub fn hex(&self, parts: &[&[u8]]) -> String {
        hex::encode(self.mac(parts))
    }
}

/// The hash, in hexadecimal digits, of a value that is secret and random already, such as a token.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether two byte strings are equal, in constant time.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_differ_by_purpose_and_by_the_borders_of_parts() {
        let secret = Secret::parse(&"07".repeat(32)).expect("a secret");
        assert_ne!(secret.key("a").mac(&[b"x"]), secret.key("b").mac(&[b"x"]));
        assert_ne!(secret.key("a").mac(&[b"ab", b"c"]), secret.key("a").mac(&[b"a", b"bc"]));
        assert_eq!(secret.key("a").mac(&[b"x"]), secret.key("a").mac(&[b"x"]));
    }

    #[test]
    fn short_secret_is_refused() {
        assert!(Secret::parse("00").is_err());
    }
}
