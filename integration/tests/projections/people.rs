//! Users, sessions and outcomes in PostgreSQL.

use std::time::Duration;

use projections::{Projection, projection::Retention};
use schemas::user;

use crate::stories::{outcome, registered, uuid};
use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test"]
fn log_in_uses_the_projection_until_the_account_is_deactivated() {
    let bench = Bench::new(1);
    let (users, credentials) = (bench.one("users"), bench.one("credentials"));
    let mut members = [bench.member("u", &*users), bench.member("c", &*credentials)];
    let (id, session) = (uuid(1), uuid(2));
    // given a user who has registered and logged in
    registered(&bench, id, "f1");
    let credential = |hash: &str, credential_version| user::Credential {
        user_id: id,
        password_hash: hash.to_owned(),
        credential_version,
        changed_at: 1,
    };
    let key = id.to_string();
    bench.append("user.credentials", &key, 0, &credential("old", 1));
    bench.append("user.credentials", &key, 0, &credential("new", 2));
    let started = user::SessionStarted {
        user_id: id,
        session_id: session,
        refresh_hash: "r".to_owned(),
        started_at: 5,
        expires_at: 50,
    };
    bench.append("user.events", &key, 3, &started);
    // then
    let login = bench.until(&mut members, "a log-in", || {
        bench.wait(bench.people.login("f1")).expect("an answer")
    });
    assert_eq!(
        (login.user_id, &*login.password_hash, login.credential_version, login.active),
        (id, "new", 2, true)
    );
    bench.until(&mut members, "a session", || {
        bench.wait(bench.people.session(session)).expect("an answer")
    });
    // when the address changes, and another user registers the old one before that is projected
    registered(&bench, uuid(9), "f1");
    let (email, email_fingerprint) = ("b@example.org".to_owned(), "f2".to_owned());
    let former_fingerprint = "f1".to_owned();
    let changed = user::EmailChanged { user_id: id, email, email_fingerprint, former_fingerprint };
    bench.append("user.events", &key, 4, &changed);
    bench.append(
        "user.credentials",
        &uuid(9).to_string(),
        0,
        &user::Credential { user_id: uuid(9), ..credential("x", 1) },
    );
    // then
    bench.until(&mut members, "the new owner", || {
        bench
            .wait(bench.people.login("f1"))
            .expect("an answer")
            .filter(|login| login.user_id == uuid(9))
    });
    bench.until(&mut members, "the new address", || {
        bench.wait(bench.people.login("f2")).expect("an answer")
    });
    // when the account is deactivated
    let left = user::UserDeactivated {
        user_id: id,
        email_fingerprint: "f2".to_owned(),
        deactivated_at: 9,
    };
    bench.append("user.events", &key, 5, &left);
    // then nothing personal is left
    let row = bench.until(&mut members, "a deactivated user", || {
        bench.wait(bench.people.user(id)).expect("an answer").filter(|user| !user.is_active())
    });
    assert_eq!((&*row.email, &*row.name, row.version, &*row.status), ("", "", 5, "deactivated"));
    assert_eq!(bench.wait(bench.people.login("f2")).expect("an answer"), None);
    assert_eq!(bench.wait(bench.people.session(session)).expect("an answer"), None);
    bench.log.append("user.credentials", &key, None, redpanda::log::Headers::default());
    bench.until(&mut members, "no credential", || {
        bench.wait(bench.people.credential(id)).expect("an answer").is_none().then_some(())
    });
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn credential_whose_deletion_was_missed_is_removed_a_week_after_its_user_has_left() {
    let bench = Bench::new(14);
    let (users, credentials) = (bench.one("users"), bench.one("credentials"));
    let mut members = [bench.member("u", &*users), bench.member("c", &*credentials)];
    // given two users with credentials, of whom one leaves, and no tombstone
    for (user, fingerprint) in [(1, "f1"), (2, "f2")] {
        registered(&bench, uuid(user), fingerprint);
        let credential = user::Credential {
            user_id: uuid(user),
            password_hash: "hash".to_owned(),
            credential_version: 1,
            changed_at: 1,
        };
        bench.append("user.credentials", &uuid(user).to_string(), 0, &credential);
    }
    let left = user::UserDeactivated {
        user_id: uuid(1),
        email_fingerprint: "f1".to_owned(),
        deactivated_at: 9,
    };
    bench.append("user.events", &uuid(1).to_string(), 3, &left);
    let credential = |user| bench.wait(bench.people.credential(uuid(user))).expect("an answer");
    bench.until(&mut members, "both users", || {
        (!credential(1)?.active && credential(2)?.active).then_some(())
    });
    // when days pass
    let remove = |projection: &dyn Projection, days: i64| {
        let now_ms = bench.now() + days * 24 * 3_600_000;
        let retention = Retention { now_ms, before_ms: Some(now_ms) };
        bench.wait(projection.remove(retention)).expect("removed")
    };
    assert_eq!((remove(&*credentials, 6), remove(&*users, 6)), (0, 0));
    // then the credential is removed, and its user after it
    assert_eq!((remove(&*credentials, 8), remove(&*users, 8)), (1, 1));
    assert_eq!(credential(1), None);
    assert!(credential(2).is_some_and(|login| login.active));
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn first_outcome_of_a_command_stays_and_waiting_readers_are_notified() {
    let bench = Bench::new(2);
    let outcomes = bench.one("order-outcomes");
    let mut members = [bench.member("o", &*outcomes)];
    // A notification may be lost, above all before the listener is connected, but not all of
    // twenty.
    let is_notified = (1..=20).any(|number| {
        let mut notice = bench.notices.subscribe(uuid(number));
        outcome(&bench, uuid(number), None);
        let found = bench.until(&mut members, "an outcome", || {
            bench.wait(bench.people.outcome(uuid(number))).expect("an answer")
        });
        assert_eq!(found.verdict, schemas::Verdict::Accepted);
        let notified = bench.wait(within(notice.wait()));
        if let Some(outcome) = &notified {
            assert_eq!(outcome.as_ref(), Some(&found), "the notice has what is stored");
        }
        notified.is_some()
    });
    assert!(is_notified);
    let mut late = bench.notices.subscribe(uuid(1));
    outcome(&bench, uuid(1), Some("too_late"));
    outcome(&bench, uuid(100), Some("no"));
    let refused = bench.until(&mut members, "the refusal", || {
        bench.wait(bench.people.outcome(uuid(100))).expect("an answer")
    });
    assert_eq!(refused.code.as_deref(), Some("no"));
    let first = bench.wait(bench.people.outcome(uuid(1))).expect("an answer").expect("an outcome");
    assert_eq!(first.code, None);
    let notified = bench.wait(within(late.wait()));
    assert_eq!(notified.flatten(), None, "a notice has no outcome that is not stored");
}

async fn within<T>(notice: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(500), notice).await.ok()
}
