//! Decides on the claims on an address. It never looks at who is logged in.

use schemas::{
    Never,
    email::{
        EmailClaimed, EmailReleased, Event, FollowUp, State,
        state::{Claimed, Free},
    },
};

use super::{Email, policy};
use crate::{
    Out,
    decider::{Decider, Decision, DecisionResult, Input, InputInfo},
};

impl Decider for Email {
    const CONTEXT: &'static str = "email";
    const COMMANDS: bool = false;
    type Command = Never;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Child = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _child: Option<&Never>,
        input: &Input<Never, FollowUp>,
        _info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        let owner = match state {
            Some(State::Claimed(claimed)) => Some(claimed.user_id),
            Some(State::Free(_)) | None => None,
        };
        Ok(match input {
            Input::FollowUp(FollowUp::ClaimEmail(claim)) => match owner {
                None => Decision::event(EmailClaimed {
                    email_fingerprint: claim.email_fingerprint.clone(),
                    user_id: claim.user_id,
                })
                .with(policy::reply(claim, true)),
                // A repeated claim of the owner is granted without an event.
                Some(owner) => {
                    Decision::nothing().with(policy::reply(claim, owner == claim.user_id))
                }
            },
            Input::FollowUp(FollowUp::ReleaseEmail(release)) if owner == Some(release.user_id) => {
                Decision::event(EmailReleased {
                    email_fingerprint: release.email_fingerprint.clone(),
                    user_id: release.user_id,
                })
            }
            Input::FollowUp(FollowUp::ReleaseEmail(_)) | Input::Timer(_) => Decision::nothing(),
            Input::Command(never) => match *never {},
        })
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
}
