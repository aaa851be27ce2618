//! What may happen to an address.

use schemas::{
    Never,
    email::{
        EmailClaimed, EmailReleased, Event, FollowUp, State,
        state::{Claimed, Free},
    },
};

use super::policy;
use crate::{
    Out,
    decider::{Context, Decider, Decision, Input, Reaction},
};

/// An address, keyed by its fingerprint.
#[derive(Debug)]
pub struct Email;

impl Decider for Email {
    const CONTEXT: &'static str = "email";
    const COMMANDS: bool = false;
    type Command = Never;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Member = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _member: Option<&Never>,
        input: &Input<Never, FollowUp>,
        _context: &Context<'_>,
    ) -> Decision<Event, Out> {
        let owner = match state {
            Some(State::Claimed(claimed)) => Some(claimed.user_id),
            Some(State::Free(_)) | None => None,
        };
        match input {
            Input::FollowUp(FollowUp::ClaimEmail(claim)) => match owner {
                None => Decision::accept([EmailClaimed {
                    email_fingerprint: claim.email_fingerprint.clone(),
                    user_id: claim.user_id,
                }
                .into()])
                .with(policy::answer(claim, true)),
                // Asked again by its owner: it is granted, and nothing changes.
                Some(owner) => {
                    Decision::nothing().with(policy::answer(claim, owner == claim.user_id))
                }
            },
            Input::FollowUp(FollowUp::ReleaseEmail(release)) if owner == Some(release.user_id) => {
                Decision::accept([EmailReleased {
                    email_fingerprint: release.email_fingerprint.clone(),
                    user_id: release.user_id,
                }
                .into()])
            }
            Input::FollowUp(FollowUp::ReleaseEmail(_)) | Input::Timer(_) => Decision::nothing(),
            Input::Command(never) => match *never {},
        }
    }

    fn evolve(_state: Option<State>, event: &Event) -> Option<State> {
        Some(match event.clone() {
            Event::EmailClaimed(EmailClaimed { email_fingerprint, user_id }) => {
                Claimed { email_fingerprint, user_id }.into()
            }
            Event::EmailReleased(EmailReleased { email_fingerprint, .. }) => {
                Free { email_fingerprint }.into()
            }
        })
    }

    fn is_finished(state: &State) -> bool {
        matches!(state, State::Free(_))
    }

    fn react(_state: Option<&State>, _event: &Event, _context: &Context<'_>) -> Vec<Reaction<Out>> {
        Vec::new()
    }
}
