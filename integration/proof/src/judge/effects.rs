//! Invariant A, for commands whose effect stays: a notification that was marked as read is read,
//! and a session that was ended is gone. Both commands may write no event, so the events alone do
//! not show that one was forgotten.

use std::collections::{HashMap, HashSet};

use schemas::{Outcome, Record as _, Verdict, notification, user};
use uuid::Uuid;

use crate::ledger::{Damage, Ledger, Violation};

/// A: a notification that a user has marked as read is read.
pub(super) fn unread(ledger: &Ledger) -> Vec<Violation> {
    let is_read = |id: &str| match ledger.folds.notifications.aggregates.get(id) {
        Some((_, Some(notification::State::Raised(raised)))) => raised.read_at.is_some(),
        _ => false,
    };
    let marked = accepted(ledger, notification::MarkRead::SCHEMA.name);
    let unread = marked.filter(|outcome| !is_read(&outcome.aggregate_id));
    let violation = |outcome: &Outcome| {
        let (id, command) = (&outcome.aggregate_id, &outcome.command_id);
        let what = format!("the command {command} marked the notification {id}, which is unread");
        Violation::new('A', Damage::Lost, what)
    };
    unread.map(violation).collect()
}

/// A: a session that a user has ended is gone, and no token of a session that has ended is accepted
/// afterwards.
pub(super) fn sessions(ledger: &Ledger) -> Vec<Violation> {
    let session_of = |outcome: &Outcome| ledger.commands.get(&outcome.command_id)?.session;
    let (alive, ended) = (alive(ledger), ended(ledger));
    let mut broken = Vec::new();
    for outcome in accepted(ledger, user::EndSession::SCHEMA.name) {
        if let Some(session) = session_of(outcome).filter(|session| alive.contains(session)) {
            let what = format!("{} ended the session {session}, which lives", outcome.command_id);
            broken.push(Violation::new('A', Damage::Lost, what));
        }
    }
    for outcome in accepted(ledger, user::RefreshSession::SCHEMA.name) {
        let Some(session) = session_of(outcome) else { continue };
        // A refresh that writes nothing names the version that it found.
        if ended.get(&session).is_some_and(|version| outcome.version >= *version) {
            let what = format!("{} refreshed the ended session {session}", outcome.command_id);
            broken.push(Violation::new('A', Damage::Torn, what));
        }
    }
    broken
}

/// The outcomes of all accepted commands of this type.
fn accepted<'a>(ledger: &'a Ledger, name: &'a str) -> impl Iterator<Item = &'a Outcome> {
    let outcomes = ledger.outcomes.values().flat_map(|seen| &seen.outcomes);
    outcomes
        .filter(move |outcome| outcome.verdict == Verdict::Accepted && outcome.command_type == name)
}

/// The sessions of all users now.
fn alive(ledger: &Ledger) -> HashSet<Uuid> {
    let users = ledger.folds.users.aggregates.values().filter_map(|(_, state)| match state {
        Some(user::State::Active(user)) => Some(&user.sessions),
        _ => None,
    });
    users.flatten().map(|session| session.session_id).collect()
}

/// The sessions that have ended, each with the version of its user that says so.
fn ended(ledger: &Ledger) -> HashMap<Uuid, i64> {
    let events = ledger.folds.users.events.values().flat_map(|events| (1_i64..).zip(events));
    let ended = events.filter_map(|(version, event)| match event {
        user::Event::SessionEnded(ended) => Some((ended.session_id, version)),
        _ => None,
    });
    ended.collect()
}

#[cfg(test)]
mod tests {
    use schemas::{
        notification::{Kind, MarkRead, NotificationRaised, NotificationRead},
        user::{
            EndSession, Event, RefreshSession, Role, SessionEnd, SessionEnded, SessionStarted,
            UserRegistered,
        },
    };

    use super::*;
    use crate::ledger::testing::{self, Log};

    const USER: Uuid = Uuid::from_u128(1);
    const SESSION: Uuid = Uuid::from_u128(2);
    const NOTIFICATION: Uuid = Uuid::from_u128(3);

    /// What the violations are, in order.
    fn letters(broken: &[Violation]) -> Vec<(char, Damage)> {
        broken.iter().map(|one| (one.invariant, one.damage)).collect()
    }

    fn accept(log: &mut Log, topic: &str, id: u128, name: &str, key: Uuid, version: i64) {
        log.outcome(topic, &testing::accepted(id, name, &key.to_string(), version));
    }

    fn user_event(log: &mut Log, version: i64, event: impl Into<Event>) {
        let (event, id): (Event, _) = (event.into(), 100 + u128::from(version.unsigned_abs()));
        log.event("user.events", &USER.to_string(), version, id, 9, &event);
    }

    /// A user with one session, which is about version 2.
    fn with_session() -> Log {
        let mut log = Log::default();
        let registered = UserRegistered {
            user_id: USER,
            email: String::new(),
            email_fingerprint: "print".to_owned(),
            name: String::new(),
            role: Role::User,
            registered_at: 0,
        };
        user_event(&mut log, 1, registered);
        let started = SessionStarted {
            user_id: USER,
            session_id: SESSION,
            refresh_hash: "first".to_owned(),
            started_at: 0,
            expires_at: i64::MAX,
        };
        user_event(&mut log, 2, started);
        log
    }

    #[test]
    fn notification_that_was_marked_and_is_unread_is_lost() {
        let (notification_id, user_id) = (NOTIFICATION, USER);
        let raised = NotificationRaised {
            notification_id,
            user_id,
            kind: Kind::Welcome,
            title: String::new(),
            body: String::new(),
            order_id: None,
            raised_at: 0,
        };
        let (mut log, key) = (Log::default(), NOTIFICATION.to_string());
        log.event("notification.events", &key, 1, 10, 9, &raised);
        assert_eq!(unread(&log.ledger), [], "nobody has marked it");
        let name = MarkRead::SCHEMA.name;
        accept(&mut log, "notification.outcomes", 20, name, NOTIFICATION, 1);
        assert_eq!(letters(&unread(&log.ledger)), [('A', Damage::Lost)]);
        let read = NotificationRead { notification_id, user_id, read_at: 1 };
        log.event("notification.events", &key, 2, 11, 20, &read);
        assert_eq!(unread(&log.ledger), []);
    }

    #[test]
    fn session_that_was_ended_and_lives_is_lost() {
        let (mut log, key) = (with_session(), USER.to_string());
        let (user_id, session_id) = (USER, SESSION);
        log.command("user.commands", &key, 20, &EndSession { user_id, session_id });
        assert_eq!(sessions(&log.ledger), [], "it is not decided");
        accept(&mut log, "user.outcomes", 20, EndSession::SCHEMA.name, USER, 2);
        assert_eq!(letters(&sessions(&log.ledger)), [('A', Damage::Lost)]);
        let reason = SessionEnd::LoggedOut;
        user_event(&mut log, 3, SessionEnded { user_id, session_id, reason });
        assert_eq!(sessions(&log.ledger), []);
    }

    #[test]
    fn token_of_a_session_that_has_ended_is_not_accepted() {
        let (user_id, session_id, reason) = (USER, SESSION, SessionEnd::LoggedOut);
        for (version, wanted) in [(2, &[][..]), (3, &[('A', Damage::Torn)])] {
            let (mut log, key) = (with_session(), USER.to_string());
            user_event(&mut log, 3, SessionEnded { user_id, session_id, reason });
            let refresh = RefreshSession {
                user_id,
                session_id,
                generation: 0,
                presented_hash: "first".to_owned(),
                successor_hash: "second".to_owned(),
            };
            log.command("user.commands", &key, 20, &refresh);
            accept(&mut log, "user.outcomes", 20, RefreshSession::SCHEMA.name, USER, version);
            assert_eq!(letters(&sessions(&log.ledger)), wanted, "version {version}");
        }
    }
}
