//! Claims on addresses: at most one user holds an address.

use domain::{Out, email::Email};
use schemas::{
    email::{ClaimEmail, EmailClaimed, EmailReleased, Event, ReleaseEmail, State},
    user::{self, RecordEmailClaim},
};
use uuid::Uuid;

use crate::aggregate::Aggregate;

const ANN: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);
const CLAIM: Uuid = Uuid::from_u128(3);

/// A claim of a user that has version 4.
fn claim(user_id: Uuid) -> ClaimEmail {
    let email_fingerprint = "f1".into();
    ClaimEmail { email_fingerprint, user_id, claim_id: CLAIM, user_version: Some(4) }
}

/// A release by a user that has version 5.
fn release(user_id: Uuid) -> ReleaseEmail {
    ReleaseEmail { email_fingerprint: "f1".into(), user_id, user_version: Some(5) }
}

fn claimed(user_version: i64) -> Event {
    let (email_fingerprint, user_version) = ("f1".into(), Some(user_version));
    EmailClaimed { email_fingerprint, user_id: ANN, user_version }.into()
}

fn answer(user_id: Uuid, granted: bool) -> (&'static str, String, Option<Out>) {
    let answer =
        RecordEmailClaim { user_id, email_fingerprint: "f1".into(), claim_id: CLAIM, granted };
    ("user.followups", user_id.to_string(), Some(Out::User(user::FollowUp::from(answer))))
}

fn anns() -> Aggregate<Email> {
    let mut address = Aggregate::new("f1");
    address.follow_up(claim(ANN));
    address
}

#[test]
fn first_claim_is_granted_and_a_second_one_refused() {
    let mut address = Aggregate::<Email>::new("f1");
    let then = address.follow_up(claim(ANN));
    assert_eq!((then.events, then.sent), (vec![claimed(4)], vec![answer(ANN, true)]));

    let then = address.follow_up(claim(BOB));
    assert_eq!((then.events, then.sent), (Vec::new(), vec![answer(BOB, false)]));
}

#[test]
fn repeated_claim_of_the_owner_is_granted_without_an_event() {
    let then = anns().follow_up(claim(ANN));
    assert_eq!((then.events, then.sent), (Vec::new(), vec![answer(ANN, true)]));
}

#[test]
fn released_address_can_be_claimed_by_another_user() {
    let mut address = anns();
    let then = address.follow_up(release(ANN));
    let released = EmailReleased { email_fingerprint: "f1".into(), user_id: ANN };
    assert_eq!((then.events, then.sent.len()), (vec![Event::from(released)], 0));
    assert_eq!(address.follow_up(claim(BOB)).sent, [answer(BOB, true)]);
}

#[test]
fn release_by_another_user_or_of_a_free_address_is_ignored() {
    let mut address = anns();
    address.follow_up(release(BOB)).nothing();
    assert!(matches!(address.state, Some(State::Claimed(_))));
    address.follow_up(release(ANN));
    address.follow_up(release(ANN)).nothing();
    Aggregate::<Email>::new("f1").follow_up(release(ANN)).nothing();
    address.timer("any").nothing();
}

#[test]
fn release_that_is_sent_again_does_not_end_a_later_claim() {
    // Given an owner that needs the address no more; the release became a dead letter
    let mut address = anns();
    let dead = release(ANN);

    // When the owner claims the address again, and an operator sends the release again
    let again = ClaimEmail { user_version: Some(7), ..claim(ANN) };
    let then = address.follow_up(again);
    address.follow_up(dead).nothing();

    // Then the owner has it, until it is released by a later version
    assert_eq!((then.events, then.sent), (vec![claimed(7)], vec![answer(ANN, true)]));
    let last = ReleaseEmail { user_version: Some(8), ..release(ANN) };
    assert_eq!(address.follow_up(last).events.len(), 1);
}

#[test]
fn releases_and_claims_of_older_programs_have_no_version() {
    let unversioned = ClaimEmail { user_version: None, ..claim(ANN) };
    let mut address = Aggregate::<Email>::new("f1");
    address.follow_up(unversioned.clone());
    assert_eq!(address.follow_up(unversioned).events, []);
    assert_eq!(address.follow_up(release(ANN)).events.len(), 1);

    let release = ReleaseEmail { user_version: None, ..release(ANN) };
    assert_eq!(anns().follow_up(release).events.len(), 1);
}
