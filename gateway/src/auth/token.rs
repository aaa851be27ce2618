//! Access tokens: JWTs after RFC 9068, EdDSA and nothing else, ten minutes. Whoever bears one is
//! believed until it ends; what needs more certainty asks for the password.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SigningKeys;

/// How long an access token is good.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
const ISSUER: &str = "millrace";
const AUDIENCE: &str = "millrace-api";
const TYPE: &str = "at+jwt";
/// How far the clocks of two gateways may differ.
const LEEWAY_S: u64 = 5;

/// What someone may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Own things only.
    User,
    /// Products and stock, and the stream of everything.
    Admin,
}

/// Who is asking, as the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// The session that the token was given in.
    pub session_id: Uuid,
    /// What they may do.
    pub role: Role,
    /// When the token ends, in seconds since 1970.
    pub expires_s: u64,
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
}

/// Makes and checks access tokens.
pub struct Tokens {
    keys: SigningKeys,
    validation: Validation,
}

impl Tokens {
    /// With these keys.
    pub fn new(keys: SigningKeys) -> Self {
        // The algorithm is ours, never the token's choice.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY_S;
        Self { keys, validation }
    }

    /// The keys.
    pub fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    /// A token for this session.
    ///
    /// # Errors
    /// When the key can't sign, which is a fault of the program.
    pub fn issue(
        &self,
        user_id: Uuid,
        session_id: Uuid,
        role: Role,
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
        })
    }

    fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some(self.keys.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.keys.signing)
    }

    /// Whose token this is, if it is a good one.
    pub fn check(&self, token: &str) -> Option<Caller> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if !header.typ.is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE)) {
            return None;
        }
        // Only ever looked up among our own: a key in the token, or a place to fetch one from,
        // means nothing.
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
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ed25519_dalek::SigningKey;
    use serde_json::{Value, json};

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

    fn header(tokens: &Tokens) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some(tokens.keys.kid.clone());
        header
    }

    #[test]
    fn what_was_issued_is_believed() {
        let tokens = tokens(&[("1", 1)]);
        let (user, session) = (Uuid::new_v4(), Uuid::new_v4());
        let caller = tokens
            .check(&tokens.issue(user, session, Role::Admin).expect("a token"))
            .expect("a caller");
        assert_eq!((caller.user_id, caller.session_id, caller.role), (user, session, Role::Admin));
    }

    #[test]
    fn a_key_on_its_way_out_is_still_believed_and_a_removed_one_is_not() {
        let old = tokens(&[("1", 1)]).issue(Uuid::nil(), Uuid::nil(), Role::User).expect("a token");
        assert!(tokens(&[("1", 1), ("2", 2)]).check(&old).is_some());
        assert!(tokens(&[("2", 2)]).check(&old).is_none());
        // One that is to come is believed before it signs.
        let coming =
            tokens(&[("2", 2)]).issue(Uuid::nil(), Uuid::nil(), Role::User).expect("a token");
        let told = tokens(&[("1", 1), ("2.next", 2)]);
        assert!(told.check(&coming).is_some());
        assert_eq!(told.keys.kid, "1");
        // The same kid with another key is another's.
        assert!(tokens(&[("1", 2)]).check(&old).is_none());
    }

    #[test]
    fn anything_else_is_not() {
        let tokens = tokens(&[("1", 1)]);
        let good = |change| signed(&tokens, header(&tokens), &claims(change));
        assert!(tokens.check(&good(json!({}))).is_some());
        let now = jsonwebtoken::get_current_timestamp();
        for change in [
            json!({ "iss": "someone" }),
            json!({ "aud": "another" }),
            json!({ "sub": null }),
            json!({ "exp": now - 60 }),
            json!({ "exp": now + 86_400 }),
            json!({ "role": "root" }),
        ] {
            assert!(tokens.check(&good(change.clone())).is_none(), "{change}");
        }
        let plain = Header { typ: Some("JWT".into()), ..header(&tokens) };
        assert!(tokens.check(&signed(&tokens, plain, &claims(json!({})))).is_none());
        let nameless = Header { kid: None, ..header(&tokens) };
        assert!(tokens.check(&signed(&tokens, nameless, &claims(json!({})))).is_none());
        let symmetric = Header { alg: Algorithm::HS256, ..header(&tokens) };
        let public = tokens.keys.jwks()["keys"][0]["x"].to_string();
        let key = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
        let forged = jsonwebtoken::encode(&symmetric, &claims(json!({})), &key).expect("a token");
        assert!(tokens.check(&forged).is_none());
        assert!(tokens.check("a.b.c").is_none());
    }
}
