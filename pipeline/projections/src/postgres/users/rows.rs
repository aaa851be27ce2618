//! Folds user events into rows of `users` and `sessions`. It knows no SQL.

use std::collections::BTreeMap;

use schemas::user::{self, Role};
use uuid::Uuid;

use crate::{
    StoreError,
    event::{Event, follows},
};

/// A row of `users`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct User {
    pub(super) email: String,
    pub(super) email_fingerprint: Option<String>,
    pub(super) email_since: i64,
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) status: &'static str,
    pub(super) version: i64,
    pub(super) registered_at: i64,
    pub(super) ended_at: Option<i64>,
}

/// A row of `sessions`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub(super) user_id: Uuid,
    pub(super) generation: i32,
    pub(super) refresh_hash: String,
    pub(super) started_at: i64,
    pub(super) refreshed_at: i64,
    pub(super) expires_at: i64,
}

/// The rows that a batch changes.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) users: BTreeMap<Uuid, User>,
    pub(super) sessions: BTreeMap<Uuid, Session>,
    /// Sessions that have ended.
    pub(super) ended: Vec<Uuid>,
}

/// A row before the first event.
const BLANK: User = User {
    email: String::new(),
    email_fingerprint: None,
    email_since: 0,
    name: String::new(),
    role: Role::User.as_str(),
    status: "registering",
    version: 0,
    registered_at: 0,
    ended_at: None,
};

impl User {
    /// Removes all personal data.
    fn forget(&mut self, status: &'static str, at: i64) {
        *self = Self {
            role: self.role,
            status,
            version: self.version,
            registered_at: self.registered_at,
            ended_at: Some(at),
            ..BLANK
        };
    }

    /// Whether the event is the first one of a new user under a key that the processor has
    /// forgotten.
    fn begins_anew(&self, event: &Event<'_, user::Event>) -> bool {
        matches!(event.message, user::Event::RegistrationStarted(_))
            && event.version == 1
            && self.ended_at.is_some_and(|ended_at| ended_at < event.at)
    }
}

impl Rows {
    /// Applies an event to the rows that it changes. Returns an error at a version gap.
    pub(super) fn apply(&mut self, event: &Event<'_, user::Event>) -> Result<(), StoreError> {
        use user::Event as E;
        let user_id = user_id(&event.message);
        let row = self.users.entry(user_id).or_insert(BLANK);
        if row.begins_anew(event) {
            *row = BLANK;
        }
        if !follows("user", event.key, row.version, event.version)? {
            return Ok(());
        }
        row.version = event.version;
        match event.message.clone() {
            E::RegistrationStarted(started) => {
                let (email, name, role) = (started.email, started.name, started.role.as_str());
                *row = User { email, name, role, registered_at: started.started_at, ..row.clone() };
            }
            E::UserRegistered(registered) => {
                *row = User {
                    email: registered.email,
                    email_fingerprint: Some(registered.email_fingerprint),
                    email_since: event.at,
                    name: registered.name,
                    role: registered.role.as_str(),
                    status: "active",
                    registered_at: registered.registered_at,
                    ..row.clone()
                };
            }
            E::RegistrationRefused(_) => row.forget("refused", event.at),
            E::NameChanged(changed) => row.name = changed.name,
            E::EmailChanged(changed) => {
                let (email, fingerprint) = (changed.email, Some(changed.email_fingerprint));
                *row = User {
                    email,
                    email_fingerprint: fingerprint,
                    email_since: event.at,
                    ..row.clone()
                };
            }
            E::UserDeactivated(_) => {
                row.forget("deactivated", event.at);
                let sessions =
                    self.sessions.iter().filter(|(_, session)| session.user_id == user_id);
                self.ended.extend(sessions.map(|(id, _)| *id));
                self.sessions.retain(|_, session| session.user_id != user_id);
            }
            E::SessionStarted(started) => {
                let session = Session {
                    user_id,
                    generation: 0,
                    refresh_hash: started.refresh_hash,
                    started_at: started.started_at,
                    refreshed_at: started.started_at,
                    expires_at: started.expires_at,
                };
                self.sessions.insert(started.session_id, session);
            }
            E::SessionRefreshed(refreshed) => {
                if let Some(session) = self.sessions.get_mut(&refreshed.session_id) {
                    session.generation = refreshed.generation;
                    session.refresh_hash = refreshed.refresh_hash;
                    session.refreshed_at = refreshed.refreshed_at;
                }
            }
            E::SessionEnded(ended) => {
                self.sessions.remove(&ended.session_id);
                self.ended.push(ended.session_id);
            }
            E::EmailChangeStarted(_)
            | E::EmailChangeRefused(_)
            | E::PasswordChanged(_)
            | E::PasswordRehashed(_) => {}
        }
        Ok(())
    }
}

/// The user that an event concerns.
fn user_id(event: &user::Event) -> Uuid {
    use user::Event as E;
    match event {
        E::EmailChangeRefused(e) => e.user_id,
        E::EmailChangeStarted(e) => e.user_id,
        E::EmailChanged(e) => e.user_id,
        E::NameChanged(e) => e.user_id,
        E::PasswordChanged(e) => e.user_id,
        E::PasswordRehashed(e) => e.user_id,
        E::RegistrationRefused(e) => e.user_id,
        E::RegistrationStarted(e) => e.user_id,
        E::SessionEnded(e) => e.user_id,
        E::SessionRefreshed(e) => e.user_id,
        E::SessionStarted(e) => e.user_id,
        E::UserDeactivated(e) => e.user_id,
        E::UserRegistered(e) => e.user_id,
    }
}
