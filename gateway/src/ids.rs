//! Computed ids: of commands, of the aggregates that a command creates, and the fingerprints of
//! requests and addresses. A repeated request gets the same ids at every gateway, and a command's
//! id shows who may read its status.

use uuid::Uuid;

use crate::secret::{self, Key, Secret};

/// The namespace of ids that derive from a command's id (UUID version 5).
const SPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_7261_6365_8000_6761_7465_7779);

/// Who sends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A logged-in user.
    User(Uuid),
    /// A client that is not logged in: the fingerprint of the e-mail address or token that it sent.
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
    /// Who may read the command's status: the user, or (`None`) any client that knows the id,
    /// which can't be guessed.
    fn reader(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(*id),
            Self::Anonymous(_) => None,
        }
    }
}

/// Computes ids and fingerprints.
#[derive(Clone, Debug)]
pub struct Ids {
    command: Key,
    reader: Key,
    request: Key,
    email: Key,
    entity_tag: Key,
}

impl Ids {
    /// Derives the keys from `secret`.
    pub fn new(secret: &Secret) -> Self {
        Self {
            command: secret.key("command-id"),
            reader: secret.key("command-asker"),
            request: secret.key("request-fingerprint"),
            email: secret.key("email-fingerprint"),
            entity_tag: secret.key("entity-tag"),
        }
    }

    /// The id of the command that a request makes. With an idempotency key it is the same for each
    /// repeat; without one it is new, and sorts by time.
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
        let mac = self.reader_mac(principal.reader(), &bytes);
        bytes[12..].copy_from_slice(&mac);
        Uuid::from_bytes(bytes)
    }

    /// Whether `user` may read the command's status: the user sent it, or a client did that was not
    /// logged in.
    pub fn may_read(&self, user: Option<Uuid>, command: Uuid) -> bool {
        self.is_for(None, command) || user.is_some_and(|user| self.is_sent_by(user, command))
    }

    /// Whether the logged-in `user` sent the command.
    pub fn is_sent_by(&self, user: Uuid, command: Uuid) -> bool {
        self.is_for(Some(user), command)
    }

    fn is_for(&self, reader: Option<Uuid>, command: Uuid) -> bool {
        let bytes = command.as_bytes();
        secret::same(&self.reader_mac(reader, bytes), &bytes[12..])
    }

    fn reader_mac(&self, reader: Option<Uuid>, bytes: &[u8; 16]) -> [u8; 4] {
        let reader = reader.map(Uuid::into_bytes);
        let reader = reader.as_ref().map_or(&b"anyone"[..], |id| &id[..]);
        let mac = self.reader.mac(&[reader, &bytes[..12]]);
        [mac[0], mac[1], mac[2], mac[3]]
    }

    /// The id of what a command creates: an order, a user, a session.
    pub fn created_by(command: Uuid, what: &str) -> Uuid {
        Uuid::new_v5(&SPACE, format!("{what}/{command}").as_bytes())
    }

    /// The fingerprint of a request, which distinguishes a repeat from another request of the same
    /// idempotency key. `canonical` is what the request asks for in canonical form. The hash is
    /// keyed, because that may hold a password.
    pub fn request(&self, method: &str, path: &str, canonical: &[u8]) -> String {
        self.request.hex(&[method.as_bytes(), path.as_bytes(), canonical])
    }

    /// The entity tag of an aggregate's representation. It identifies the aggregate and the
    /// version, so that no cache confuses two aggregates of the same version.
    pub fn entity_tag(&self, aggregate: &str, id: &str, version: i64) -> String {
        let mac =
            self.entity_tag.mac(&[aggregate.as_bytes(), id.as_bytes(), &version.to_be_bytes()]);
        format!("\"{version}-{}\"", hex::encode(&mac[..8]))
    }

    /// The version that an entity tag (without its quotes) claims. Compare the whole tag with
    /// [`entity_tag`](Self::entity_tag): the client may have made it up.
    pub fn version_in(opaque: &str) -> Option<i64> {
        opaque.split_once('-')?.0.parse().ok()
    }

    /// The fingerprint of a normalized e-mail address, under which it is claimed and looked up.
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
    fn repeat_gets_the_same_id_and_any_other_request_another() {
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
    fn entity_tags_of_two_aggregates_or_versions_differ() {
        let ids = ids();
        let tag = ids.entity_tag("user", "ada", 2);
        assert_eq!(tag, ids.entity_tag("user", "ada", 2));
        assert_eq!(Ids::version_in(tag.trim_matches('"')), Some(2));
        for (aggregate, id, version) in
            [("user", "bob", 2), ("order", "ada", 2), ("user", "ada", 3)]
        {
            assert_ne!(tag, ids.entity_tag(aggregate, id, version));
        }
    }

    #[test]
    fn only_the_sender_may_read_a_commands_status() {
        let (ada, bob) = (Uuid::new_v4(), Uuid::new_v4());
        let ids = ids();
        for key in [None, Some("k")] {
            let id = ids.command(&Principal::User(ada), "POST", "/v1/orders", key);
            assert!(ids.may_read(Some(ada), id));
            assert!(!ids.may_read(Some(bob), id));
            assert!(!ids.may_read(None, id));
        }
        let id = ids.command(&Principal::Anonymous("f".into()), "POST", "/v1/users", None);
        assert!(ids.may_read(None, id) && ids.may_read(Some(bob), id));
        assert!(!ids.is_sent_by(bob, id), "no user sent it");
        assert!(!ids.may_read(None, Uuid::new_v4()));
    }
}
