//! Registration: it claims the address first.

use super::*;

#[test]
fn registration_claims_the_address_and_keeps_the_hash_out_of_events() {
    let mut user = Aggregate::<User>::new(ANN);
    let then = user.command(register());
    assert_eq!(then.status, CommandStatus::Pending);
    assert_eq!(then.messages(), [claims("f1", 0), credential("h1", 1)]);
    assert!(
        !format!("{:?}{:?}", then.events, user.state).contains("h1"),
        "no hash in an event or state"
    );
    assert_eq!(user.timers.values().collect::<Vec<_>>(), [&(START_MS + 30_000)]);
}

#[test]
fn granted_claim_completes_the_registration() {
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
    assert_eq!(then.concluded, Some(Ok(())));
    assert!(user.timers.is_empty());
    user.follow_up(claim("f1", true)).nothing();
}

#[test]
fn refused_claim_ends_the_registration() {
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
fn registration_times_out_and_a_late_grant_is_released() {
    let mut user = registering();
    let then = user.fire();
    assert_eq!(then.concluded_refused(), refusals::CLAIM_TIMED_OUT);
    assert!(forgets_credential(&then));

    let late = user.follow_up(claim("f1", true));
    assert_eq!((late.events.len(), late.messages()), (0, vec![releases("f1", 2)]));
    user.follow_up(claim("f1", false)).nothing();
}

#[test]
fn claim_timer_after_the_end_changes_nothing() {
    ann().timer("claim f1").nothing();
    ann().timer("claim f9").nothing();
    ann().timer("something else").nothing();
    Aggregate::<User>::new(ANN).timer("claim f1").nothing();
}

#[test]
fn replies_about_other_addresses_change_nothing() {
    let mut user = registering();
    user.follow_up(claim("f9", false)).nothing();
    assert_eq!(user.follow_up(claim("f9", true)).messages(), [releases("f9", 1)]);
    assert_eq!(ann().follow_up(claim("f9", true)).messages(), [releases("f9", 2)]);
    ann().follow_up(claim("f1", false)).nothing();
    let unknown = Aggregate::<User>::new(ANN).follow_up(claim("f1", true));
    assert_eq!(unknown.messages(), [releases("f1", None)]);
}

#[test]
fn registration_outside_its_bounds_is_refused() {
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
fn second_registration_of_one_id_is_refused() {
    let mut gone = ann();
    gone.command(deactivate());
    let mut refused = registering();
    refused.fire();
    for mut user in [registering(), ann(), gone, refused] {
        assert_eq!(user.command(register()).refused(), refusals::ALREADY_EXISTS);
    }
}
