//! Sessions, and the rules of refresh tokens.

use domain::{
    decider::CommandStatus,
    refusals,
    user::{GRACE_MS, SESSIONS_MAX, User},
};
use proptest::prelude::*;
use schemas::user::{
    ChangePassword, DeactivateUser, EndSession, Event, RefreshSession, RehashPassword, SessionEnd,
    SessionRefreshed, SessionStarted, StartSession,
};
use uuid::Uuid;

use crate::{
    aggregate::{Aggregate, START_MS},
    user::{ANN, active, ann, ends},
};

const DAY_MS: i64 = 86_400_000;
const EXPIRES_AT: i64 = START_MS + 30 * DAY_MS;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(100 + number)
}

fn start(number: u128) -> StartSession {
    StartSession {
        user_id: ANN,
        session_id: id(number),
        refresh_hash: "r0".into(),
        credential_version: 1,
        expires_at: EXPIRES_AT,
    }
}

/// Presents the token of `generation`, and requests its successor.
fn refresh(number: u128, generation: i32) -> RefreshSession {
    RefreshSession {
        user_id: ANN,
        session_id: id(number),
        generation,
        presented_hash: format!("r{generation}"),
        successor_hash: format!("r{}", i64::from(generation) + 1),
    }
}

fn logged_in() -> Aggregate<User> {
    let mut user = ann();
    user.command(start(1));
    user
}

#[test]
fn started_session_has_its_first_token() {
    let then = ann().command(start(1));
    let started = SessionStarted {
        user_id: ANN,
        session_id: id(1),
        refresh_hash: "r0".into(),
        started_at: START_MS,
        expires_at: EXPIRES_AT,
    };
    assert_eq!((then.events, then.status), (vec![Event::from(started)], CommandStatus::Accepted));
}

#[test]
fn session_with_a_stale_credential_or_a_used_id_is_refused() {
    let stale = StartSession { credential_version: 2, ..start(1) };
    assert_eq!(ann().command(stale).refused(), refusals::STALE_CREDENTIAL);
    assert_eq!(logged_in().command(start(1)).refused(), refusals::ALREADY_EXISTS);
}

#[test]
fn session_above_the_maximum_ends_the_oldest() {
    let mut user = ann();
    for number in 0..20 {
        assert!(ends(&user.command(start(number))).is_empty());
    }
    assert_eq!(ends(&user.command(start(20))), [(id(0), SessionEnd::Evicted)]);
    assert_eq!(active(&user).sessions.len(), SESSIONS_MAX);
}

#[test]
fn expired_sessions_do_not_count() {
    let mut user = ann();
    for number in 0..20 {
        user.command(start(number));
    }
    user.wait_ms(31 * DAY_MS);
    let expires_at = user.at_ms + DAY_MS;
    let then = user.command(StartSession { expires_at, ..start(20) });
    assert_eq!((ends(&then).len(), active(&user).sessions.len()), (0, 1));
}

#[test]
fn token_is_replaced_by_each_refresh() {
    let mut user = logged_in();
    user.wait_ms(DAY_MS);
    let then = user.command(refresh(1, 0));
    let refreshed = SessionRefreshed {
        user_id: ANN,
        session_id: id(1),
        generation: 1,
        refresh_hash: "r1".into(),
        refreshed_at: START_MS + DAY_MS,
    };
    assert_eq!((then.events, then.status), (vec![Event::from(refreshed)], CommandStatus::Accepted));
    assert_eq!(user.command(refresh(1, 1)).status, CommandStatus::Accepted);
}

#[test]
fn repeated_token_gets_the_same_successor_for_ten_seconds() {
    let mut user = logged_in();
    user.command(refresh(1, 0));
    user.command(refresh(1, 0)).nothing();
    user.wait_ms(GRACE_MS);
    user.command(refresh(1, 0)).nothing();
    user.wait_ms(1);
    assert_eq!(user.command(refresh(1, 0)).refused(), refusals::TOKEN_REUSED);
}

#[test]
fn reused_token_ends_the_session() {
    // Its successor was used.
    let mut user = logged_in();
    user.command(refresh(1, 0));
    user.command(refresh(1, 1));
    let then = user.command(refresh(1, 0));
    assert_eq!(then.refused(), refusals::TOKEN_REUSED);
    assert_eq!(ends(&then), [(id(1), SessionEnd::Reused)]);
    // The newest token does not work any more either.
    assert_eq!(user.command(refresh(1, 2)).refused(), refusals::SESSION_ENDED);
}

#[test]
fn forged_token_ends_the_session() {
    let forged = [
        RefreshSession { presented_hash: "forged".into(), ..refresh(1, 0) },
        RefreshSession { generation: 1, ..refresh(1, 0) },
        RefreshSession { generation: -1, ..refresh(1, 0) },
        refresh(1, i32::MAX),
        refresh(1, i32::MIN),
    ];
    for forged in forged {
        let then = logged_in().command(forged);
        assert_eq!((then.refused(), ends(&then).len()), (refusals::TOKEN_REUSED, 1));
    }
}

#[test]
fn repeated_token_with_another_successor_is_reuse() {
    let mut user = logged_in();
    user.command(refresh(1, 0));
    let other = RefreshSession { successor_hash: "other".into(), ..refresh(1, 0) };
    assert_eq!(user.command(other).refused(), refusals::TOKEN_REUSED);
}

#[test]
fn ended_or_expired_session_is_not_refreshed() {
    assert_eq!(ann().command(refresh(1, 0)).refused(), refusals::SESSION_ENDED);
    let mut user = logged_in();
    user.wait_ms(30 * DAY_MS);
    assert_eq!(user.command(refresh(1, 0)).refused(), refusals::SESSION_ENDED);
}

#[test]
fn second_log_out_changes_nothing() {
    let mut user = logged_in();
    let end = || EndSession { user_id: ANN, session_id: id(1) };
    assert_eq!(ends(&user.command(end())), [(id(1), SessionEnd::LoggedOut)]);
    user.command(end()).nothing();
}

#[test]
fn new_password_and_deactivation_end_all_sessions_but_a_rehash_none() {
    let two = || {
        let mut user = logged_in();
        user.command(start(2));
        user
    };
    let both = |reason| vec![(id(1), reason), (id(2), reason)];
    let (user_id, credential_version, password_hash) = (ANN, 1, "h2".to_owned());
    let change =
        ChangePassword { user_id, password_hash: password_hash.clone(), credential_version };
    assert_eq!(ends(&two().command(change)), both(SessionEnd::PasswordChanged));
    let deactivate = DeactivateUser { user_id, credential_version };
    assert_eq!(ends(&two().command(deactivate)), both(SessionEnd::Deactivated));
    let mut user = two();
    user.command(RehashPassword { user_id, password_hash, credential_version });
    assert_eq!(active(&user).sessions.len(), 2);
}

proptest! {
    #[test]
    fn sessions_are_bounded_and_have_distinct_ids(
        steps in prop::collection::vec((0..40_u128, 0..4_i32, -2..30_i64, 0..DAY_MS), 1..200)
    ) {
        let mut user = ann();
        for (number, kind, days, pause_ms) in steps {
            user.wait_ms(pause_ms);
            let expires_at = user.at_ms + days * DAY_MS;
            match kind {
                0 => drop(user.command(refresh(number, 0))),
                1 if number < 4 => {
                    drop(user.command(EndSession { user_id: ANN, session_id: id(number) }));
                }
                _ => drop(user.command(StartSession { expires_at, ..start(number) })),
            }
            let sessions = &active(&user).sessions;
            prop_assert!(sessions.len() <= SESSIONS_MAX);
            let ids = sessions.iter().map(|session| session.session_id);
            let ids: std::collections::BTreeSet<_> = ids.collect();
            prop_assert_eq!(ids.len(), sessions.len());
        }
    }
}
