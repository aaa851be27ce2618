//! Access tokens: JWTs by RFC 9068, signed with EdDSA only, valid for ten minutes. A token is valid
//! until it expires, even if its session has ended; what needs more certainty asks for the
//! password. A token says when the user has last given it (`auth_time`), and one that replaces it
//! says the same.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{eddsa, keys::SigningKeys};

/// How long an access token is valid.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
/// How long ago the password may have been given for what needs it again (RFC 9470).
pub const STEP_UP_MAX_AGE: Duration = Duration::from_secs(300);
const ISSUER: &str = "millrace";
const AUDIENCE: &str = "millrace-api";
const TYPE: &str = "at+jwt";
/// How far the clocks of two gateways may differ, in seconds.
const LEEWAY_S: u64 = 5;

/// The role of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May read and change only their own resources.
    User,
    /// May also change products and stock, and read the live stream of all events.
    Admin,
}

/// The user of a request, by the access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// The session that the token was issued for.
    pub session_id: Uuid,
    /// The user's role.
    pub role: Role,
    /// When the token expires, in seconds since 1970.
    pub expires_s: u64,
    /// When the user has given the password, in seconds since 1970; `None` if that is not known.
    pub authenticated_s: Option<u64>,
}

impl Caller {
    /// Whether the user has given the password at most [`STEP_UP_MAX_AGE`] ago.
    pub fn is_recent(&self) -> bool {
        let age = |at_s| jsonwebtoken::get_current_timestamp().saturating_sub(at_s);
        self.authenticated_s.is_some_and(|at_s| age(at_s) <= STEP_UP_MAX_AGE.as_secs())
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    role: Role,
    iat: u64,
    exp: u64,
    jti: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
}

/// Issues and verifies access tokens.
pub struct Tokens {
    keys: SigningKeys,
    validation: Validation,
}

impl Tokens {
    /// Tokens with these keys.
    pub fn new(keys: SigningKeys) -> Self {
        eddsa::install();
        // The algorithm is fixed here: a token can't choose it.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY_S;
        Self { keys, validation }
    }

    /// The keys of the tokens.
    pub fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    /// Issues a token for a session, whose user has given the password at `authenticated_s`, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// Returns an error when the key can't sign, which is a fault of the program.
    pub fn issue(
        &self,
        user_id: Uuid,
        session_id: Uuid,
        role: Role,
        authenticated_s: Option<u64>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now = jsonwebtoken::get_current_timestamp();
        self.sign(&Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user_id,
            sid: session_id,
            role,
            iat: now,
            exp: now + ACCESS_LIFETIME.as_secs(),
            jti: Uuid::new_v4(),
            auth_time: authenticated_s,
        })
    }

    fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some(self.keys.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.keys.signing)
    }

    /// The user of a token; `None` when the token is not valid.
    pub fn verify(&self, token: &str) -> Option<Caller> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if !header.typ.is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE)) {
            return None;
        }
        // Only this system's keys are known: a key in the token, or a URL of one, is ignored.
        let key = self.keys.known.get(&header.kid?)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?.claims;
        if claims.exp > claims.iat.saturating_add(ACCESS_LIFETIME.as_secs()) {
            return None;
        }
        Some(Caller {
            user_id: claims.sub,
            session_id: claims.sid,
            role: claims.role,
            expires_s: claims.exp,
            authenticated_s: claims.auth_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use ed25519_dalek::SigningKey;
    use hmac::{Hmac, Mac};
    use serde_json::{Value, json};
    use sha2::Sha256;

    use super::*;

    fn tokens(kids: &[(&str, u8)]) -> Tokens {
        let keys: BTreeMap<_, _> = kids
            .iter()
            .map(|(kid, seed)| ((*kid).to_owned(), SigningKey::from_bytes(&[*seed; 32])))
            .collect();
        Tokens::new(SigningKeys::of(keys).expect("keys"))
    }

    fn claims(change: Value) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::nil(), "sid": Uuid::nil(), "role": "user",
            "iat": now, "exp": now + 60, "jti": Uuid::nil(),
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    fn signed(tokens: &Tokens, header: Header, claims: &Value) -> String {
        jsonwebtoken::encode(&header, claims, &tokens.keys.signing).expect("a token")
    }

    /// A token with a hash for its signature. This process's provider makes none.
    fn hashed(header: &Header, claims: &Value, key: &[u8]) -> String {
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let header = part(&serde_json::to_vec(header).expect("JSON"));
        let signed = format!("{header}.{}", part(claims.to_string().as_bytes()));
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", part(&mac.finalize().into_bytes()))
    }

    fn header(tokens: &Tokens) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some(tokens.keys.kid.clone());
        header
    }

    #[test]
    fn issued_token_is_valid() {
        let tokens = tokens(&[("1", 1)]);
        let (user, session) = (Uuid::new_v4(), Uuid::new_v4());
        let caller = tokens
            .verify(&tokens.issue(user, session, Role::Admin, Some(7)).expect("a token"))
            .expect("a caller");
        assert_eq!((caller.user_id, caller.session_id, caller.role), (user, session, Role::Admin));
        assert_eq!(caller.authenticated_s, Some(7));
    }

    #[test]
    fn password_is_recent_for_five_minutes_and_never_when_its_time_is_not_known() {
        let tokens = tokens(&[("1", 1)]);
        let now = jsonwebtoken::get_current_timestamp();
        let is_recent = |at_s| {
            let token = tokens.issue(Uuid::nil(), Uuid::nil(), Role::Admin, at_s).expect("a token");
            tokens.verify(&token).expect("a caller").is_recent()
        };
        assert!(is_recent(Some(now)) && is_recent(Some(now - 290)) && is_recent(Some(now + 3)));
        assert!(!is_recent(Some(now - 301)) && !is_recent(None));
    }

    #[test]
    fn token_is_valid_as_long_as_its_key_is_published() {
        let issue = |tokens: &Tokens| tokens.issue(Uuid::nil(), Uuid::nil(), Role::User, None);
        let old = issue(&tokens(&[("1", 1)])).expect("a token");
        assert!(tokens(&[("1", 1), ("2", 2)]).verify(&old).is_some());
        assert!(tokens(&[("2", 2)]).verify(&old).is_none());
        // A key that is published but does not sign yet verifies already.
        let early = issue(&tokens(&[("2", 2)])).expect("a token");
        let published = tokens(&[("1", 1), ("2.next", 2)]);
        assert!(published.verify(&early).is_some());
        assert_eq!(published.keys.kid, "1");
        // Another key under the same kid does not verify it.
        assert!(tokens(&[("1", 2)]).verify(&old).is_none());
    }

    #[test]
    fn token_with_a_wrong_claim_header_or_signature_is_not_valid() {
        let tokens = tokens(&[("1", 1)]);
        let with = |change| signed(&tokens, header(&tokens), &claims(change));
        assert!(tokens.verify(&with(json!({}))).is_some());
        let now = jsonwebtoken::get_current_timestamp();
        for change in [
            json!({ "iss": "someone" }),
            json!({ "aud": "another" }),
            json!({ "sub": null }),
            json!({ "exp": now - 60 }),
            json!({ "exp": now + 86_400 }),
            json!({ "role": "root" }),
        ] {
            assert!(tokens.verify(&with(change.clone())).is_none(), "{change}");
        }
        let plain = Header { typ: Some("JWT".into()), ..header(&tokens) };
        assert!(tokens.verify(&signed(&tokens, plain, &claims(json!({})))).is_none());
        let nameless = Header { kid: None, ..header(&tokens) };
        assert!(tokens.verify(&signed(&tokens, nameless, &claims(json!({})))).is_none());
        let symmetric = Header { alg: Algorithm::HS256, ..header(&tokens) };
        let public = tokens.keys.jwks()["keys"][0]["x"].as_str().expect("a key").to_owned();
        let forged = hashed(&symmetric, &claims(json!({})), public.as_bytes());
        assert!(tokens.verify(&forged).is_none());
        assert!(tokens.verify("a.b.c").is_none());
    }
}
