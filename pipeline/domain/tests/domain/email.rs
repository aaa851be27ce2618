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

fn claim(user_id: Uuid) -> ClaimEmail {
    ClaimEmail { email_fingerprint: "f1".into(), user_id, claim_id: CLAIM }
}

fn release(user_id: Uuid) -> ReleaseEmail {
    ReleaseEmail { email_fingerprint: "f1".into(), user_id }
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
    let claimed = EmailClaimed { email_fingerprint: "f1".into(), user_id: ANN };
    assert_eq!((then.events, then.sent), (vec![Event::from(claimed)], vec![answer(ANN, true)]));

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
