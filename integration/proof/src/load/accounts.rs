//! What users do with their accounts: they start, refresh and end sessions, change their names,
//! addresses and passwords, and leave.
//!
//! The load does not read what the services decide. It keeps each account as if every command about
//! it were accepted, and sends the next one when the last is acknowledged, so that the log has them
//! in this order. Then most are accepted. Some are refused on purpose: an old credential version,
//! another user's address, a token that was used before or whose session was ended, a version that
//! the account no longer has.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use schemas::Codec;
use schemas::user::{
    self, ChangeEmail, ChangeName, ChangePassword, DeactivateUser, EndSession, RefreshSession,
    RehashPassword, StartSession,
};
use uuid::Uuid;

use super::history::{Command, History};
use super::kind::Kind;
use super::{SETTLED, address};

/// How long a session lives, in milliseconds: longer than any run, and than any fault moves a
/// clock.
const SESSION_MS: i64 = 30 * 24 * 3_600_000;

/// A session, as if all its commands were accepted.
struct Session {
    session_id: Uuid,
    generation: i32,
}

/// A user, as if all commands about the user were accepted.
pub struct Account {
    pub(super) user_id: Uuid,
    /// Whether the user orders.
    orders: bool,
    /// The newest command about the account, at first the registration.
    newest: Uuid,
    /// The number of commands that the stream had sent before the registration.
    since: usize,
    /// The fingerprint of the present address, which is also its local part in lower case.
    fingerprint: String,
    /// The fingerprint of the address before the present one.
    former: Option<String>,
    credential_version: i32,
    sessions: Vec<Session>,
    /// The session that was ended last.
    ended: Option<Session>,
}

impl Account {
    /// The account of a user whom `registration` registers after `since` commands of the stream.
    pub(super) fn new(
        user_id: Uuid,
        fingerprint: String,
        registration: Uuid,
        since: usize,
        orders: bool,
    ) -> Self {
        Self {
            user_id,
            orders,
            newest: registration,
            since,
            fingerprint,
            former: None,
            credential_version: 1,
            sessions: Vec::new(),
            ended: None,
        }
    }

    /// Whether a command of this kind makes sense. Nobody who orders is deactivated: mails to a
    /// user without an address are retried for minutes, so the faults of mail would count fewer.
    fn allows(&self, kind: Kind) -> bool {
        match kind {
            Kind::RefreshSession => self.ended.is_some() || !self.sessions.is_empty(),
            Kind::EndSession => !self.sessions.is_empty(),
            Kind::Deactivate => !self.orders,
            _ => true,
        }
    }

    /// An address that the user has or had.
    fn any_address(&self, rng: &mut StdRng) -> &str {
        match &self.former {
            Some(former) if rng.random() => former,
            _ => &self.fingerprint,
        }
    }

    /// The place of a random session.
    fn any_session(&self, rng: &mut StdRng) -> Option<usize> {
        let count = self.sessions.len();
        (count > 0).then(|| rng.random_range(0..count))
    }

    /// The next command of this kind. The user may want the address `wanted`, which is or was
    /// another's. `None` if the kind does not fit the account.
    fn next(
        &mut self,
        kind: Kind,
        rng: &mut StdRng,
        prefix: &str,
        wanted: String,
    ) -> Option<user::Command> {
        let user_id = self.user_id;
        Some(match kind {
            Kind::StartSession => self.start_session(rng).into(),
            Kind::RefreshSession => self.refresh_session(rng)?.into(),
            Kind::EndSession => {
                let at = self.any_session(rng)?;
                let session_id = self.ended.insert(self.sessions.remove(at)).session_id;
                EndSession { user_id, session_id }.into()
            }
            Kind::ChangeName => {
                // Few names, so that some are the present one.
                let name = format!("Ada {}", rng.random_range(1..=4));
                ChangeName { user_id, name, expected_version: any_version(rng) }.into()
            }
            Kind::ChangeEmail => self.change_email(rng, prefix, wanted).into(),
            Kind::ChangePassword => {
                self.sessions.clear();
                let (credential_version, password_hash) = self.replace_password();
                ChangePassword { user_id, password_hash, credential_version }.into()
            }
            Kind::RehashPassword => {
                let (credential_version, password_hash) = self.replace_password();
                RehashPassword { user_id, password_hash, credential_version }.into()
            }
            Kind::Deactivate => {
                DeactivateUser { user_id, credential_version: self.credential_version }.into()
            }
        })
    }

    fn start_session(&mut self, rng: &mut StdRng) -> StartSession {
        let session_id = Uuid::from_u128(rng.random());
        // Sometimes the password was changed after it was verified.
        let is_stale = rng.random_ratio(1, 10);
        if !is_stale {
            self.sessions.push(Session { session_id, generation: 0 });
        }
        StartSession {
            user_id: self.user_id,
            session_id,
            refresh_hash: token(session_id, 0),
            credential_version: self.credential_version - i32::from(is_stale),
            expires_at: now_ms() + SESSION_MS,
        }
    }

    fn refresh_session(&mut self, rng: &mut StdRng) -> Option<RefreshSession> {
        let (session_id, generation) = self.any_token(rng)?;
        Some(RefreshSession {
            user_id: self.user_id,
            session_id,
            generation,
            presented_hash: token(session_id, generation),
            successor_hash: token(session_id, generation + 1),
        })
    }

    /// The session and the generation of a token.
    fn any_token(&mut self, rng: &mut StdRng) -> Option<(Uuid, i32)> {
        // A client that has the token may not know that the user has logged out.
        if let Some(ended) = self.ended.take() {
            return Some((ended.session_id, ended.generation));
        }
        let at = self.any_session(rng)?;
        let session = &mut self.sessions[at];
        let (session_id, mut generation) = (session.session_id, session.generation);
        // Sometimes a token is used a second time. Within ten seconds that is accepted, as if the
        // response had been lost; later it ends the session.
        let is_reused = generation > 0 && rng.random_ratio(1, 6);
        if is_reused {
            generation -= 1;
            self.sessions.remove(at);
        } else {
            session.generation += 1;
        }
        Some((session_id, generation))
    }

    fn change_email(&mut self, rng: &mut StdRng, prefix: &str, wanted: String) -> ChangeEmail {
        let fingerprint = match (rng.random_range(0..4), self.former.take()) {
            // An address that nobody has or had.
            (0, _) => {
                let new = format!("{prefix}-moved-{:08x}", rng.random::<u32>());
                self.former = Some(std::mem::replace(&mut self.fingerprint, new.clone()));
                new
            }
            // The address before the present one.
            (1, Some(former)) => {
                self.former = Some(std::mem::replace(&mut self.fingerprint, former.clone()));
                former
            }
            // An address that another user has or had. It is often refused, so the account stays.
            (2, former) => {
                self.former = former;
                wanted
            }
            // The present address in other letter case.
            (_, former) => {
                self.former = former;
                self.fingerprint.clone()
            }
        };
        // Fingerprints are of ASCII characters.
        let (head, tail) = fingerprint.split_at(rng.random_range(0..=fingerprint.len()));
        ChangeEmail {
            user_id: self.user_id,
            email: address(&format!("{}{tail}", head.to_uppercase())),
            email_fingerprint: fingerprint,
            credential_version: self.credential_version,
            expected_version: any_version(rng),
        }
    }

    /// The present credential version, and the hash that replaces its own.
    fn replace_password(&mut self) -> (i32, String) {
        let replaced = self.credential_version;
        self.credential_version += 1;
        (replaced, format!("none {}", self.credential_version))
    }
}

/// The accounts of a round.
pub(super) struct Accounts {
    /// What all new addresses begin with.
    pub(super) prefix: String,
    pub(super) all: Vec<Account>,
}

impl Accounts {
    /// A command about an account whose last command is acknowledged. `sent` is the number of
    /// commands that the stream has sent. `None` if there is no such account yet.
    pub(super) fn next(
        &mut self,
        rng: &mut StdRng,
        sent: usize,
        history: &History,
        codec: &Codec,
    ) -> Option<Command> {
        let kind = Kind::any(rng);
        let is_ready = |account: &Account| {
            account.since + SETTLED <= sent
                && history.is_acknowledged(&account.newest)
                && account.allows(kind)
        };
        let all = 0..self.all.len();
        let ready: Vec<usize> = all.filter(|index| is_ready(&self.all[*index])).collect();
        let index = *ready.choose(rng)?;
        let wanted = self.all.choose(rng)?.any_address(rng).to_owned();
        let account = &mut self.all[index];
        let message = account.next(kind, rng, &self.prefix, wanted)?;
        let key = account.user_id.to_string();
        let command = Command::new(codec, "user.commands", key, &message).ok()?;
        account.newest = command.id;
        if kind == Kind::Deactivate {
            self.all.remove(index);
        }
        Some(command)
    }
}

/// Rarely a version that the account no longer has, so that the command is refused.
fn any_version(rng: &mut StdRng) -> Option<i64> {
    rng.random_ratio(1, 10).then_some(1)
}

/// What stands for the hash of a session's token.
fn token(session_id: Uuid, generation: i32) -> String {
    format!("{session_id}-{generation}")
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX - SESSION_MS)
}
