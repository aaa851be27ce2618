//! Ids that are computed: of commands, of what a command makes, and the fingerprints of requests
//! and addresses. A repeat of a request gets the same ids at every gateway, and a command's id
//! shows who may ask for it.

use uuid::Uuid;

use crate::secret::{self, Key, Secret};

/// Things are named in this space by the command that made them.
const SPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_7261_6365_8000_6761_7465_7779);

/// Who sends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Someone who is logged in.
    User(Uuid),
    /// Someone who is not: the fingerprint of the e-mail address or token that they came with.
    Anonymous(String),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Anonymous(fingerprint) => f.write_str(fingerprint),
        }
    }
}

impl Principal {
    /// Who may ask for the command: the user, or anyone who knows the id, which can't be guessed.
    fn asker(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(*id),
            Self::Anonymous(_) => None,
        }
    }
}

/// Computes ids.
#[derive(Clone, Debug)]
pub struct Ids {
    command: Key,
    asker: Key,
    request: Key,
    email: Key,
    tag: Key,
}

impl Ids {
    /// With keys derived from `secret`.
    pub fn new(secret: &Secret) -> Self {
        Self {
            command: secret.key("command-id"),
            asker: secret.key("command-asker"),
            request: secret.key("request-fingerprint"),
            email: secret.key("email-fingerprint"),
            tag: secret.key("entity-tag"),
        }
    }

    /// The id of the command that a request makes. With an idempotency key it is always the same
    /// one; without, it is new, and sorts by time.
    pub fn command(
        &self,
        principal: &Principal,
        method: &str,
        path: &str,
        idempotency_key: Option<&str>,
    ) -> Uuid {
        let source = match idempotency_key {
            Some(key) => {
                let parts =
                    [principal.to_string(), method.to_owned(), path.to_owned(), key.to_owned()];
                self.command.mac(&parts.each_ref().map(String::as_bytes))
            }
            None => {
                let mut source = [0; 32];
                source[..16].copy_from_slice(Uuid::now_v7().as_bytes());
                source
            }
        };
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&source[..12]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mark = self.mark(principal.asker(), &bytes);
        bytes[12..].copy_from_slice(&mark);
        Uuid::from_bytes(bytes)
    }

    /// Whether `asker` sent the command, or someone did who was not logged in.
    pub fn may_ask(&self, asker: Option<Uuid>, command: Uuid) -> bool {
        let bytes = command.as_bytes();
        let marked = |asker| secret::same(&self.mark(asker, bytes), &bytes[12..]);
        marked(None) || asker.is_some() && marked(asker)
    }

    fn mark(&self, asker: Option<Uuid>, bytes: &[u8; 16]) -> [u8; 4] {
        let asker = asker.map(Uuid::into_bytes);
        let mac =
            self.asker.mac(&[asker.as_ref().map_or(&b"anyone"[..], |id| &id[..]), &bytes[..12]]);
        [mac[0], mac[1], mac[2], mac[3]]
    }

    /// The id of what a command makes: an order, a user, a session.
    pub fn made_by(command: Uuid, what: &str) -> Uuid {
        Uuid::new_v5(&SPACE, format!("{what}/{command}").as_bytes())
    }

    /// The fingerprint of a request, by which a repeat is told from another request under the same
    /// key. `canonical` is what the request asks for in one spelling. Keyed, because it may hold a
    /// password.
    pub fn request(&self, method: &str, path: &str, canonical: &[u8]) -> String {
        self.request.hex(&[method.as_bytes(), path.as_bytes(), canonical])
    }

    /// The entity tag of an aggregate's representation. It names the aggregate and the version, so
    /// that no cache takes another's representation of the same version for this one.
    pub fn tag(&self, aggregate: &str, id: &str, version: i64) -> String {
        let mac = self.tag.mac(&[aggregate.as_bytes(), id.as_bytes(), &version.to_be_bytes()]);
        format!("\"{version}-{}\"", hex::encode(&mac[..8]))
    }

    /// The version that an entity tag without its quotes claims; only [`tag`](Self::tag) shows
    /// whether it is one.
    pub fn version_in(opaque: &str) -> Option<i64> {
        opaque.split_once('-')?.0.parse().ok()
    }

    /// The fingerprint of an e-mail address, under which it is claimed and looked up.
    pub fn email(&self, normalized: &str) -> String {
        self.email.hex(&[normalized.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Ids {
        Ids::new(&Secret::parse(&"07".repeat(32)).expect("a secret"))
    }

    #[test]
    fn a_repeat_gets_the_same_id_and_anything_else_another() {
        let (ada, bob) = (Principal::User(Uuid::new_v4()), Principal::User(Uuid::new_v4()));
        let ids = ids();
        let id = ids.command(&ada, "POST", "/v1/orders", Some("k"));
        assert_eq!(id, ids.command(&ada, "POST", "/v1/orders", Some("k")));
        assert_eq!(id.get_version_num(), 8);
        for other in [
            ids.command(&bob, "POST", "/v1/orders", Some("k")),
            ids.command(&ada, "PUT", "/v1/orders", Some("k")),
            ids.command(&ada, "POST", "/v1/products", Some("k")),
            ids.command(&ada, "POST", "/v1/orders", Some("l")),
            ids.command(&ada, "POST", "/v1/orders", None),
        ] {
            assert_ne!(id, other);
        }
        assert_ne!(ids.command(&ada, "POST", "/", None), ids.command(&ada, "POST", "/", None));
    }

    #[test]
    fn a_tag_differs_by_aggregate_and_version() {
        let ids = ids();
        let tag = ids.tag("user", "ada", 2);
        assert_eq!(tag, ids.tag("user", "ada", 2));
        assert_eq!(Ids::version_in(tag.trim_matches('"')), Some(2));
        for other in
            [ids.tag("user", "bob", 2), ids.tag("order", "ada", 2), ids.tag("user", "ada", 3)]
        {
            assert_ne!(tag, other);
        }
    }

    #[test]
    fn only_who_sent_a_command_may_ask_for_it() {
        let (ada, bob) = (Uuid::new_v4(), Uuid::new_v4());
        let ids = ids();
        for key in [None, Some("k")] {
            let id = ids.command(&Principal::User(ada), "POST", "/v1/orders", key);
            assert!(ids.may_ask(Some(ada), id));
            assert!(!ids.may_ask(Some(bob), id));
            assert!(!ids.may_ask(None, id));
        }
        let id = ids.command(&Principal::Anonymous("f".into()), "POST", "/v1/users", None);
        assert!(ids.may_ask(None, id) && ids.may_ask(Some(bob), id));
        assert!(!ids.may_ask(None, Uuid::new_v4()));
    }
}
