//! Changes of the e-mail address: the user keeps the old one until the new one is claimed.

use super::*;

#[test]
fn new_address_is_claimed_before_the_old_one_is_released() {
    let mut user = ann();
    let then = user.command(change_email());
    assert_eq!(
        (then.status.clone(), then.messages()),
        (CommandStatus::Pending, vec![claims("f2", 2)])
    );
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
        (&[Event::from(changed)][..], vec![releases("f1", 3)])
    );
    assert_eq!(then.concluded, Some(Ok(())));
    assert!(user.timers.is_empty() && active(&user).pending_email.is_none());
    user.follow_up(claim("f2", true)).nothing();
}

#[test]
fn refused_claim_keeps_the_old_address() {
    let mut user = ann();
    user.command(change_email());
    let then = user.follow_up(claim("f2", false));
    assert_eq!(then.concluded_refused(), refusals::ADDRESS_TAKEN);
    assert!(then.sent.is_empty() && user.timers.is_empty());
    assert_eq!(
        (active(&user).email.as_str(), &active(&user).pending_email),
        ("ann@example.org", &None)
    );
    assert_eq!(
        user.command(change_email()).status,
        CommandStatus::Pending,
        "it may be tried again"
    );
}

#[test]
fn grant_after_the_deadline_is_released() {
    let mut user = ann();
    user.command(change_email());
    assert_eq!(user.fire().concluded_refused(), refusals::CLAIM_TIMED_OUT);
    assert_eq!(user.follow_up(claim("f2", true)).messages(), [releases("f2", 4)]);
    assert_eq!(active(&user).email_fingerprint, "f1");
}

#[test]
fn late_reply_to_an_earlier_claim_changes_nothing() {
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
        assert_eq!(then.concluded, Some(Ok(())));
    }
}

#[test]
fn same_address_in_other_letter_case_needs_no_claim() {
    let mut user = ann();
    let same = || ChangeEmail { email_fingerprint: "f1".into(), ..change_email() };
    let then = user.command(ChangeEmail { email: "Ann@example.org".into(), ..same() });
    assert_eq!((then.events.len(), then.sent.len(), then.status), (1, 0, CommandStatus::Accepted));
    assert_eq!(active(&user).email, "Ann@example.org");
    user.command(ChangeEmail { email: "Ann@example.org".into(), ..same() }).nothing();
}

#[test]
fn change_of_the_address_is_refused_if_stale_invalid_or_pending() {
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
fn deactivation_during_a_claim_releases_both_addresses() {
    let mut user = ann();
    user.command(change_email());
    let then = user.command(deactivate());
    assert_eq!(
        (then.status.clone(), then.concluded_refused()),
        (CommandStatus::Accepted, refusals::CANCELLED)
    );
    assert_eq!(then.messages(), [releases("f1", 3)]);
    assert!(user.timers.is_empty());
    assert_eq!(user.follow_up(claim("f2", true)).messages(), [releases("f2", 5)]);
    user.timer("claim f2").nothing();
}
