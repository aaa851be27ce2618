//! Users and their sessions in PostgreSQL, and the recipients of mail in MongoDB. All follow from
//! the events of users.

use domain::{decider::Decider as _, user::User};
use schemas::user::{Event, Role, State};
use serde_json::{Value, json};

use super::{Rows, fields};
use crate::ledger::Ledger;

/// A user, as all its events give it.
struct Life {
    state: State,
    version: i64,
    /// The role and the time of registration, which the state of a user who has left lacks.
    role: Role,
    registered_at: i64,
    /// When the user's present address was claimed; 0 without a claim.
    email_since: i64,
    /// When the user was refused or deactivated.
    ended_at: Option<i64>,
    is_refused: bool,
}

/// The users by id.
fn lives(ledger: &Ledger) -> impl Iterator<Item = (&String, Life)> {
    let users = ledger.folds.users.events.iter();
    users.filter_map(move |(id, events)| Some((id, life(ledger, id, events)?)))
}

/// One user; `None` if the first event does not begin a registration.
fn life(ledger: &Ledger, id: &str, events: &[Event]) -> Option<Life> {
    let (mut state, mut began, mut email_since) = (None, None, 0);
    let (mut ended_at, mut is_refused) = (None, false);
    for (version, event) in (1_i64..).zip(events) {
        let at_ms = ledger.event_record("user", id, version)?.at_ms;
        state = User::evolve(state, event);
        match &state {
            Some(State::Registering(it)) => began = Some((it.role, it.started_at)),
            Some(State::Active(it)) => began = Some((it.role, it.registered_at)),
            Some(State::Deactivated(_)) | None => {}
        }
        match event {
            Event::UserRegistered(_) | Event::EmailChanged(_) => email_since = at_ms,
            Event::RegistrationRefused(_) | Event::UserDeactivated(_) => {
                (email_since, ended_at) = (0, Some(at_ms));
                is_refused = matches!(event, Event::RegistrationRefused(_));
            }
            _ => {}
        }
    }
    let (version, (role, registered_at)) = (ledger.folds.version("user", id)?, began?);
    let state = state?;
    Some(Life { state, version, role, registered_at, email_since, ended_at, is_refused })
}

/// The rows of users that the events give. Who has left has no personal data. The table has no
/// address that is being claimed.
pub(super) fn folded(ledger: &Ledger) -> Rows {
    let row = |(id, life): (&String, Life)| {
        let (status, email, fingerprint, name) = match &life.state {
            State::Registering(it) => ("registering", &*it.email, None, &*it.name),
            State::Active(it) => ("active", &*it.email, Some(&*it.email_fingerprint), &*it.name),
            State::Deactivated(_) if life.is_refused => ("refused", "", None, ""),
            State::Deactivated(_) => ("deactivated", "", None, ""),
        };
        let object = json!({
            "user_id": id, "email": email, "email_fingerprint": fingerprint,
            "email_since": life.email_since, "name": name, "role": life.role.as_str(),
            "status": status, "version": life.version, "registered_at": life.registered_at,
            "ended_at": life.ended_at,
        });
        (id.clone(), fields(object))
    };
    lives(ledger).map(row).collect()
}

/// The documents of recipients that the events give: an address only while a user is registered.
pub(super) fn recipients(ledger: &Ledger) -> Rows {
    let document = |(id, life): (&String, Life)| {
        let (email, name) = match &life.state {
            State::Active(it) => (Some(&*it.email), Some(&*it.name)),
            State::Registering(_) | State::Deactivated(_) => (None, None),
        };
        let object = json!({
            "_id": id, "email": email, "name": name, "version": life.version,
            "ended_at": life.ended_at,
        });
        (id.clone(), fields(object))
    };
    lives(ledger).map(document).collect()
}

/// The rows of sessions that the events give. The domain forgets an expired session with the user's
/// next one, and its row stays for a day, which no run takes; so events are counted, not the state.
pub(super) fn sessions(ledger: &Ledger) -> Rows {
    let mut rows = Rows::new();
    for event in ledger.folds.users.events.values().flatten() {
        match event {
            Event::SessionStarted(it) => {
                let row = json!({
                    "session_id": it.session_id, "user_id": it.user_id, "generation": 0,
                    "refresh_hash": it.refresh_hash, "started_at": it.started_at,
                    "refreshed_at": it.started_at, "expires_at": it.expires_at,
                });
                rows.insert(it.session_id.to_string(), fields(row));
            }
            Event::SessionRefreshed(it) => {
                let changed = json!({
                    "generation": it.generation, "refresh_hash": it.refresh_hash,
                    "refreshed_at": it.refreshed_at,
                });
                if let Some(row) = rows.get_mut(&it.session_id.to_string()) {
                    row.extend(fields(changed));
                }
            }
            Event::SessionEnded(it) => drop(rows.remove(&it.session_id.to_string())),
            Event::UserDeactivated(it) => {
                let user = Value::String(it.user_id.to_string());
                rows.retain(|_, row| row.get("user_id") != Some(&user));
            }
            _ => {}
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use schemas::user::{
        EmailChanged, NameChanged, PasswordChanged, RegistrationRefused, RegistrationStarted,
        SessionEnd, SessionEnded, SessionRefreshed, SessionStarted, UserDeactivated,
        UserRegistered,
    };
    use uuid::Uuid;

    use super::*;
    use crate::{
        ledger::testing::Log,
        stores::models::{differences, one_row},
    };

    const USER: Uuid = Uuid::from_u128(1);
    const SESSION: Uuid = Uuid::from_u128(2);

    /// Adds the user's next event, which is appended at 100 + `version`.
    fn event(log: &mut Log, version: i64, message: impl Into<Event>) {
        log.now_ms = 100 + version;
        let (key, id) = (USER.to_string(), 100 + version.unsigned_abs());
        let message: Event = message.into();
        log.event("user.events", &key, version, id.into(), 9, &message);
    }

    fn started() -> RegistrationStarted {
        RegistrationStarted {
            user_id: USER,
            email_fingerprint: "print".to_owned(),
            email: "ada@millrace.example".to_owned(),
            name: "Ada".to_owned(),
            role: Role::Admin,
            started_at: 50,
        }
    }

    fn registered() -> Log {
        let mut log = Log::default();
        event(&mut log, 1, started());
        let RegistrationStarted { user_id, email_fingerprint, email, name, role, .. } = started();
        let registered_at = 60;
        let registered =
            UserRegistered { user_id, email, email_fingerprint, name, role, registered_at };
        event(&mut log, 2, registered);
        log
    }

    #[test]
    fn row_of_an_active_user_has_the_present_address_and_the_time_of_its_claim() {
        let mut log = registered();
        let changed = EmailChanged {
            user_id: USER,
            email: "ada@new.example".to_owned(),
            email_fingerprint: "new".to_owned(),
            former_fingerprint: "print".to_owned(),
        };
        event(&mut log, 3, changed);
        let key = USER.to_string();
        let found = |email: &str, email_since: i64| {
            let row = json!({
                "user_id": USER, "email": email, "email_fingerprint": "new",
                "email_since": email_since, "name": "Ada", "role": "ADMIN", "status": "active",
                "version": 3, "registered_at": 60, "ended_at": null,
            });
            let stored = one_row(&key, row);
            differences("user", "PostgreSQL", &stored, &folded(&log.ledger)).len()
        };
        assert_eq!(found("ada@new.example", 103), 0);
        assert_eq!(found("ada@millrace.example", 103), 1);
        assert_eq!(found("ada@new.example", 102), 1);
        let recipient = json!({
            "_id": USER, "email": "ada@new.example", "name": "Ada", "version": 3, "ended_at": null,
        });
        assert_eq!(recipients(&log.ledger), one_row(&key, recipient));
    }

    #[test]
    fn user_who_was_refused_or_has_left_keeps_a_row_without_personal_data() {
        let gone = |status: &str, registered_at: i64, version: i64| {
            let row = json!({
                "user_id": USER, "email": "", "email_fingerprint": null, "email_since": 0,
                "name": "", "role": "ADMIN", "status": status, "version": version,
                "registered_at": registered_at, "ended_at": 100 + version,
            });
            one_row(&USER.to_string(), row)
        };
        let mut log = Log::default();
        event(&mut log, 1, started());
        let reason = "address_taken".to_owned();
        event(&mut log, 2, RegistrationRefused { user_id: USER, reason });
        assert_eq!(folded(&log.ledger), gone("refused", 50, 2));

        let mut log = registered();
        let email_fingerprint = "print".to_owned();
        event(
            &mut log,
            3,
            UserDeactivated { user_id: USER, email_fingerprint, deactivated_at: 70 },
        );
        assert_eq!(folded(&log.ledger), gone("deactivated", 60, 3));
        let recipient = json!({
            "_id": USER, "email": null, "name": null, "version": 3, "ended_at": 103,
        });
        assert_eq!(recipients(&log.ledger), one_row(&USER.to_string(), recipient));
    }

    #[test]
    fn session_is_refreshed_and_ends_with_its_user() {
        let mut log = registered();
        let (user_id, session_id, refresh_hash) = (USER, SESSION, "first".to_owned());
        let (started_at, expires_at) = (70, 1_000);
        let started = SessionStarted { user_id, session_id, refresh_hash, started_at, expires_at };
        event(&mut log, 3, started);
        let (generation, refresh_hash, refreshed_at) = (1, "second".to_owned(), 80);
        let refreshed =
            SessionRefreshed { user_id, session_id, generation, refresh_hash, refreshed_at };
        event(&mut log, 4, refreshed);
        let row = json!({
            "session_id": SESSION, "user_id": USER, "generation": 1, "refresh_hash": "second",
            "started_at": 70, "refreshed_at": 80, "expires_at": 1_000,
        });
        assert_eq!(sessions(&log.ledger), one_row(&SESSION.to_string(), row));

        let email_fingerprint = "print".to_owned();
        event(&mut log, 5, UserDeactivated { user_id, email_fingerprint, deactivated_at: 90 });
        assert_eq!(sessions(&log.ledger), Rows::new());
    }
    #[test]
    fn other_letter_case_counts_as_a_new_address_and_a_new_name_leaves_the_address() {
        let mut log = registered();
        let (user_id, email_fingerprint) = (USER, "print".to_owned());
        let (email, former_fingerprint) = ("ADA@millrace.example".to_owned(), "print".to_owned());
        event(&mut log, 3, EmailChanged { user_id, email, email_fingerprint, former_fingerprint });
        event(&mut log, 4, NameChanged { user_id, name: "Grace".to_owned() });
        let row = folded(&log.ledger).remove(&USER.to_string()).expect("a row");
        let wanted = [
            ("email", json!("ADA@millrace.example")),
            ("email_fingerprint", json!("print")),
            ("email_since", json!(103)),
            ("name", json!("Grace")),
            ("version", json!(4)),
        ];
        for (name, value) in wanted {
            assert_eq!(row.get(name), Some(&value), "{name}");
        }
    }

    #[test]
    fn only_the_sessions_that_a_new_password_ends_have_no_row() {
        let mut log = registered();
        let (user_id, expires_at) = (USER, 1_000);
        for (version, session) in [(3, 2), (4, 3)] {
            let (session_id, refresh_hash) = (Uuid::from_u128(session), "first".to_owned());
            let started =
                SessionStarted { user_id, session_id, refresh_hash, started_at: 70, expires_at };
            event(&mut log, version, started);
        }
        event(&mut log, 5, PasswordChanged { user_id, credential_version: 2 });
        assert_eq!(sessions(&log.ledger).len(), 2, "the events say which sessions end");
        let reason = SessionEnd::PasswordChanged;
        event(&mut log, 6, SessionEnded { user_id, session_id: SESSION, reason });
        let other = Uuid::from_u128(3).to_string();
        assert_eq!(sessions(&log.ledger).into_keys().collect::<Vec<_>>(), [other]);
    }
}
