//! Refresh tokens: HMAC(key, user, session, generation). They are computed when they are needed and
//! stored nowhere; a command holds only the hash of one. A successor can be computed again, so a
//! repeated refresh gets the same token.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::secret::{self, Key};

/// How long a session lasts from its log-in.
pub const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// The length of a token in bytes: user, session, generation, HMAC.
const LENGTH: usize = 16 + 16 + 4 + 32;

/// The content of a valid refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The user.
    pub user_id: Uuid,
    /// The session, to which a sequence of tokens belongs.
    pub session_id: Uuid,
    /// The position in that sequence, from 0.
    pub generation: i32,
}

/// Issues and verifies refresh tokens.
#[derive(Clone, Debug)]
pub struct RefreshTokens(Key);

impl RefreshTokens {
    /// Tokens with this key.
    pub fn new(key: Key) -> Self {
        Self(key)
    }

    /// The token as text, for the client.
    pub fn text(&self, token: RefreshToken) -> SecretString {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(token.user_id.as_bytes());
        bytes.extend(token.session_id.as_bytes());
        bytes.extend(token.generation.to_be_bytes());
        bytes.extend(self.mac(token));
        BASE64_URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// The token's hash, for a command.
    pub fn hash(&self, token: RefreshToken) -> String {
        secret::digest(self.text(token).expose_secret().as_bytes())
    }

    /// The content of a token; `None` when this system did not issue it. Whether it is still valid,
    /// only its session decides.
    pub fn parse(&self, text: &SecretString) -> Option<RefreshToken> {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text.expose_secret())
            .ok()
            .filter(|bytes| bytes.len() == LENGTH)?;
        let token = RefreshToken {
            user_id: Uuid::from_slice(&bytes[..16]).ok()?,
            session_id: Uuid::from_slice(&bytes[16..32]).ok()?,
            generation: i32::from_be_bytes(bytes[32..36].try_into().ok()?),
        };
        secret::same(&bytes[36..], &self.mac(token)).then_some(token)
    }

    fn mac(&self, token: RefreshToken) -> [u8; 32] {
        self.0.mac(&[
            token.user_id.as_bytes(),
            token.session_id.as_bytes(),
            &token.generation.to_be_bytes(),
        ])
    }
}

impl RefreshToken {
    /// The next token of the session; `None` after 2^31 of them.
    pub fn successor(self) -> Option<Self> {
        Some(Self { generation: self.generation.checked_add(1)?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn issued_token_is_parsed_and_a_changed_one_is_not() {
        let tokens =
            RefreshTokens::new(Secret::parse(&"07".repeat(32)).expect("a secret").key("refresh"));
        let token =
            RefreshToken { user_id: Uuid::new_v4(), session_id: Uuid::new_v4(), generation: 3 };
        let text = tokens.text(token);
        assert_eq!(tokens.parse(&text), Some(token));

        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text.expose_secret()).expect("base64");
        bytes[35] += 1;
        assert_eq!(tokens.parse(&BASE64_URL_SAFE_NO_PAD.encode(&bytes).into()), None);
        assert_eq!(tokens.parse(&"".into()), None);
        let other =
            RefreshTokens::new(Secret::parse(&"08".repeat(32)).expect("a secret").key("refresh"));
        assert_eq!(other.parse(&text), None);
    }
}
