//! Users: registration, name, address, password and the end.

use domain::{Out, decider::Verdict, refusals, user::User};
use schemas::{
    email::{self, ClaimEmail, ReleaseEmail},
    user::{
        ChangeEmail, ChangeName, ChangePassword, Command, Credential, DeactivateUser, EmailChanged,
        EndSession, Event, NameChanged, PasswordChanged, PasswordRehashed, RecordEmailClaim,
        RefreshSession, RegisterUser, RegistrationRefused, RehashPassword, Role, SessionEnd,
        StartSession, State, UserRegistered, state::Active,
    },
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, START_MS, Then};

pub(crate) const ANN: Uuid = Uuid::from_u128(1);

fn register() -> RegisterUser {
    RegisterUser {
        user_id: ANN,
        email: "ann@example.org".into(),
        email_fingerprint: "f1".into(),
        name: "Ann".into(),
        password_hash: "h1".into(),
        role: Role::User,
    }
}

/// The answer to the first claim of an address in these tests.
pub(crate) fn claim(fingerprint: &str, granted: bool) -> RecordEmailClaim {
    let claim_id = claim_id(fingerprint);
    RecordEmailClaim { user_id: ANN, email_fingerprint: fingerprint.into(), claim_id, granted }
}

/// A claim has the id of the command that made it: the first input registers, the third changes the
/// address.
fn claim_id(fingerprint: &str) -> Uuid {
    Uuid::from_u128(if fingerprint == "f1" { 1 } else { 3 })
}

fn change_email() -> ChangeEmail {
    ChangeEmail {
        user_id: ANN,
        email: "new@example.org".into(),
        email_fingerprint: "f2".into(),
        credential_version: 1,
        expected_version: None,
    }
}

fn change_name(name: &str) -> ChangeName {
    ChangeName { user_id: ANN, name: name.into(), expected_version: None }
}

fn change_password(credential_version: i32) -> ChangePassword {
    ChangePassword { user_id: ANN, password_hash: "h2".into(), credential_version }
}

fn deactivate() -> DeactivateUser {
    DeactivateUser { user_id: ANN, credential_version: 1 }
}

fn registering() -> Aggregate<User> {
    let mut user = Aggregate::new(ANN);
    user.command(register());
    user
}

pub(crate) fn ann() -> Aggregate<User> {
    let mut user = registering();
    user.follow_up(claim("f1", true));
    user
}

pub(crate) fn active(user: &Aggregate<User>) -> &Active {
    match &user.state {
        Some(State::Active(active)) => active,
        state => panic!("not active: {state:?}"),
    }
}

fn claims(fingerprint: &str) -> Out {
    let claim = ClaimEmail {
        email_fingerprint: fingerprint.into(),
        user_id: ANN,
        claim_id: claim_id(fingerprint),
    };
    Out::Email(email::FollowUp::from(claim))
}

fn releases(fingerprint: &str) -> Out {
    let release = ReleaseEmail { email_fingerprint: fingerprint.into(), user_id: ANN };
    Out::Email(email::FollowUp::from(release))
}

fn credential(password_hash: &str, credential_version: i32) -> Out {
    let password_hash = password_hash.to_owned();
    Out::Credential(Credential {
        user_id: ANN,
        password_hash,
        credential_version,
        changed_at: START_MS,
    })
}

fn forgets_credential(then: &Then<Event>) -> bool {
    then.sent.contains(&("user.credentials", ANN.to_string(), None))
}

#[test]
fn registering_claims_the_address_and_keeps_the_hash_out_of_events() {
    let mut user = Aggregate::<User>::new(ANN);
    let then = user.command(register());
    assert_eq!(then.verdict, Verdict::Pending);
    assert_eq!(then.messages(), [claims("f1"), credential("h1", 1)]);
    assert!(
        !format!("{:?}{:?}", then.events, user.state).contains("h1"),
        "no hash in an event or state"
    );
    assert_eq!(user.timers.values().collect::<Vec<_>>(), [&(START_MS + 30_000)]);
}

#[test]
fn a_granted_claim_ends_the_registration_well() {
    let mut user = registering();
    user.wait_ms(5);
    let then = user.follow_up(claim("f1", true));
    let registered = UserRegistered {
        user_id: ANN,
        email: "ann@example.org".into(),
        email_fingerprint: "f1".into(),
        name: "Ann".into(),
        role: Role::User,
        registered_at: START_MS + 5,
    };
    assert_eq!((then.events, then.sent.len()), (vec![Event::from(registered)], 0));
    assert_eq!(then.concluded, Some(Verdict::Accepted));
    assert!(user.timers.is_empty());
    user.follow_up(claim("f1", true)).nothing();
}

#[test]
fn an_address_of_another_ends_the_registration() {
    let mut user = registering();
    let then = user.follow_up(claim("f1", false));
    let reason = refusals::ADDRESS_TAKEN.to_owned();
    assert_eq!(then.events, [Event::from(RegistrationRefused { user_id: ANN, reason })]);
    assert_eq!(then.concluded_refused(), refusals::ADDRESS_TAKEN);
    assert!(forgets_credential(&then));
    assert!(user.timers.is_empty(), "there is nothing left to wait for");
    user.follow_up(claim("f1", false)).nothing();
}

#[test]
fn a_claim_that_takes_too_long_ends_the_registration_and_is_let_go_when_it_comes() {
    let mut user = registering();
    let then = user.fire();
    assert_eq!(then.concluded_refused(), refusals::CLAIM_TIMED_OUT);
    assert!(forgets_credential(&then));

    let late = user.follow_up(claim("f1", true));
    assert_eq!((late.events.len(), late.messages()), (0, vec![releases("f1")]));
    user.follow_up(claim("f1", false)).nothing();
}

#[test]
fn a_claim_s_timer_after_the_end_is_no_event() {
    ann().timer("claim f1").nothing();
    ann().timer("claim f9").nothing();
    ann().timer("something else").nothing();
    Aggregate::<User>::new(ANN).timer("claim f1").nothing();
}

#[test]
fn answers_about_other_addresses_change_nothing() {
    let mut user = registering();
    user.follow_up(claim("f9", false)).nothing();
    assert_eq!(user.follow_up(claim("f9", true)).messages(), [releases("f9")]);
    assert_eq!(ann().follow_up(claim("f9", true)).messages(), [releases("f9")]);
    ann().follow_up(claim("f1", false)).nothing();
    let unknown = Aggregate::<User>::new(ANN).follow_up(claim("f1", true));
    assert_eq!(unknown.messages(), [releases("f1")]);
}

#[test]
fn registrations_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut RegisterUser)| {
        let mut command = register();
        change(&mut command);
        let mut user = Aggregate::<User>::new(ANN);
        let then = user.command(command);
        assert!(then.events.is_empty() && then.sent.is_empty());
        then.refused()
    };
    assert_eq!(
        refused(|r| r.user_id = Uuid::from_u128(2)),
        refusals::INVALID,
        "not the record's key"
    );
    assert_eq!(refused(|r| r.name = "\n".into()), refusals::INVALID);
    assert_eq!(refused(|r| r.name = "n".repeat(101)), refusals::INVALID);
    for email in [
        "",
        "ann",
        "@example.org",
        "ann@example",
        "ann@.org",
        "ann@org.",
        "a@b@c.org",
        "a nn@b.org",
    ] {
        let mut user = Aggregate::<User>::new(ANN);
        let then = user.command(RegisterUser { email: email.into(), ..register() });
        assert_eq!(then.refused(), refusals::INVALID, "{email}");
    }
    assert_eq!(
        refused(|r| r.email = format!("{}@example.org", "a".repeat(243))),
        refusals::INVALID
    );
}

#[test]
fn an_id_is_registered_once() {
    let mut gone = ann();
    gone.command(deactivate());
    let mut refused = registering();
    refused.fire();
    for mut user in [registering(), ann(), gone, refused] {
        assert_eq!(user.command(register()).refused(), refusals::ALREADY_EXISTS);
    }
}

#[test]
fn nothing_can_be_asked_of_who_is_not_there() {
    let mut gone = ann();
    gone.command(deactivate());
    for mut user in [Aggregate::<User>::new(ANN), registering(), gone] {
        let commands: [Command; 8] = [
            change_name("Anna").into(),
            change_email().into(),
            change_password(1).into(),
            deactivate().into(),
            RehashPassword { user_id: ANN, password_hash: "h2".into(), credential_version: 1 }
                .into(),
            EndSession { user_id: ANN, session_id: ANN }.into(),
            StartSession {
                user_id: ANN,
                session_id: ANN,
                refresh_hash: "r0".into(),
                credential_version: 1,
                expires_at: i64::MAX,
            }
            .into(),
            RefreshSession {
                user_id: ANN,
                session_id: ANN,
                generation: 0,
                presented_hash: "r0".into(),
                successor_hash: "r1".into(),
            }
            .into(),
        ];
        for command in commands {
            assert_eq!(user.command(command).refused(), refusals::NOT_FOUND);
        }
    }
}

#[test]
fn a_command_for_somebody_else_is_refused() {
    let other = DeactivateUser { user_id: Uuid::from_u128(2), ..deactivate() };
    assert_eq!(ann().command(other).refused(), refusals::INVALID, "not the record's key");
}

#[test]
fn a_name_changes_as_its_owner_saw_it() {
    let mut user = ann();
    let then = user.command(change_name("Anna"));
    assert_eq!(then.events, [Event::from(NameChanged { user_id: ANN, name: "Anna".into() })]);
    assert_eq!(active(&user).name, "Anna");
    user.command(change_name("Anna")).nothing();
    assert_eq!(user.command(change_name("")).refused(), refusals::INVALID);

    let seen = |expected| ChangeName { expected_version: Some(expected), ..change_name("Annie") };
    assert_eq!(user.version, 3);
    assert_eq!(user.command(seen(2)).refused(), refusals::VERSION_MISMATCH);
    assert_eq!(user.command(seen(3)).verdict, Verdict::Accepted);
}

#[test]
fn a_new_address_is_claimed_and_then_the_old_one_let_go() {
    let mut user = ann();
    let then = user.command(change_email());
    assert_eq!((then.verdict.clone(), then.messages()), (Verdict::Pending, vec![claims("f2")]));
    assert_eq!(active(&user).email, "ann@example.org", "the old one holds until then");

    let then = user.follow_up(claim("f2", true));
    let changed = EmailChanged {
        user_id: ANN,
        email: "new@example.org".into(),
        email_fingerprint: "f2".into(),
        former_fingerprint: "f1".into(),
    };
    assert_eq!(
        (&then.events[..], then.messages()),
        (&[Event::from(changed)][..], vec![releases("f1")])
    );
    assert_eq!(then.concluded, Some(Verdict::Accepted));
    assert!(user.timers.is_empty() && active(&user).pending_email.is_none());
    user.follow_up(claim("f2", true)).nothing();
}

#[test]
fn a_new_address_of_another_leaves_the_old_one() {
    let mut user = ann();
    user.command(change_email());
    let then = user.follow_up(claim("f2", false));
    assert_eq!(then.concluded_refused(), refusals::ADDRESS_TAKEN);
    assert!(then.sent.is_empty() && user.timers.is_empty());
    assert_eq!(
        (active(&user).email.as_str(), &active(&user).pending_email),
        ("ann@example.org", &None)
    );
    assert_eq!(user.command(change_email()).verdict, Verdict::Pending, "it may be tried again");
}

#[test]
fn a_new_address_that_is_granted_too_late_is_let_go() {
    let mut user = ann();
    user.command(change_email());
    assert_eq!(user.fire().concluded_refused(), refusals::CLAIM_TIMED_OUT);
    assert_eq!(user.follow_up(claim("f2", true)).messages(), [releases("f2")]);
    assert_eq!(active(&user).email_fingerprint, "f1");
}

#[test]
fn a_late_answer_to_an_earlier_claim_is_not_taken_for_the_later_ones() {
    for granted in [true, false] {
        let mut user = ann();
        user.command(change_email());
        user.fire();
        user.command(change_email());
        user.follow_up(claim("f2", granted)).nothing();
        let later = Uuid::from_u128(5);
        assert_eq!(
            active(&user).pending_email.as_ref().map(|pending| pending.claim_id),
            Some(later)
        );
        let then = user.follow_up(RecordEmailClaim { claim_id: later, ..claim("f2", true) });
        assert_eq!(then.concluded, Some(Verdict::Accepted));
    }
}

#[test]
fn the_same_address_in_other_capitals_needs_no_claim() {
    let mut user = ann();
    let same = || ChangeEmail { email_fingerprint: "f1".into(), ..change_email() };
    let then = user.command(ChangeEmail { email: "Ann@example.org".into(), ..same() });
    assert_eq!((then.events.len(), then.sent.len(), then.verdict), (1, 0, Verdict::Accepted));
    assert_eq!(active(&user).email, "Ann@example.org");
    user.command(ChangeEmail { email: "Ann@example.org".into(), ..same() }).nothing();
}

#[test]
fn changes_of_the_address_are_refused() {
    let refused = |change: ChangeEmail| ann().command(change).refused();
    assert_eq!(
        refused(ChangeEmail { credential_version: 2, ..change_email() }),
        refusals::STALE_CREDENTIAL
    );
    let unseen = ChangeEmail { expected_version: Some(1), ..change_email() };
    assert_eq!(refused(unseen), refusals::VERSION_MISMATCH);
    assert_eq!(refused(ChangeEmail { email: "new".into(), ..change_email() }), refusals::INVALID);

    let mut user = ann();
    user.command(change_email());
    let another = ChangeEmail { email_fingerprint: "f3".into(), ..change_email() };
    assert_eq!(user.command(another).refused(), refusals::IN_PROGRESS);
}

#[test]
fn a_new_password_needs_the_one_that_was_verified() {
    let mut user = ann();
    let then = user.command(change_password(1));
    assert_eq!(then.events, [Event::from(PasswordChanged { user_id: ANN, credential_version: 2 })]);
    assert_eq!(then.messages(), [credential("h2", 2)]);
    assert_eq!(user.command(change_password(1)).refused(), refusals::STALE_CREDENTIAL);
}

#[test]
fn a_better_hash_of_the_same_password_needs_it_too() {
    let mut user = ann();
    let rehash =
        || RehashPassword { user_id: ANN, password_hash: "h2".into(), credential_version: 1 };
    let then = user.command(rehash());
    assert_eq!(
        then.events,
        [Event::from(PasswordRehashed { user_id: ANN, credential_version: 2 })]
    );
    assert_eq!(then.messages(), [credential("h2", 2)]);
    let again = user.command(rehash());
    assert_eq!((again.events.len(), again.sent.len()), (0, 0));
}

#[test]
fn who_leaves_leaves_no_address_and_no_credential() {
    let mut user = ann();
    let then = user.command(deactivate());
    assert_eq!(then.messages(), [releases("f1")]);
    assert!(forgets_credential(&then));
    let Some(State::Deactivated(_)) = user.state else { panic!("{:?}", user.state) };
    assert!(!format!("{:?}", user.state).contains("ann@"), "nothing personal is kept");

    let stale = DeactivateUser { credential_version: 2, ..deactivate() };
    assert_eq!(ann().command(stale).refused(), refusals::STALE_CREDENTIAL);
}

#[test]
fn who_leaves_while_an_address_is_claimed_lets_go_of_both() {
    let mut user = ann();
    user.command(change_email());
    let then = user.command(deactivate());
    assert_eq!(
        (then.verdict.clone(), then.concluded_refused()),
        (Verdict::Accepted, refusals::CANCELLED)
    );
    assert_eq!(then.messages(), [releases("f1")]);
    assert!(user.timers.is_empty());
    assert_eq!(user.follow_up(claim("f2", true)).messages(), [releases("f2")]);
    user.timer("claim f2").nothing();
}

/// Why each session ended.
pub(crate) fn ends(then: &Then<Event>) -> Vec<(Uuid, SessionEnd)> {
    let ended = |event: &Event| match event {
        Event::SessionEnded(ended) => Some((ended.session_id, ended.reason)),
        _ => None,
    };
    then.events.iter().filter_map(ended).collect()
}
