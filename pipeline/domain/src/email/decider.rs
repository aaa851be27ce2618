//! Decides on the claims on an address. It never looks at who is logged in.

use schemas::{
    Never,
    email::{
        EmailClaimed, EmailReleased, Event, FollowUp, ReleaseEmail, State,
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
        let claimed = match state {
            Some(State::Claimed(claimed)) => Some(claimed),
            Some(State::Free(_)) | None => None,
        };
        Ok(match input {
            Input::FollowUp(FollowUp::ClaimEmail(claim)) => match claimed {
                Some(claimed) if claimed.user_id != claim.user_id => {
                    Decision::nothing().with(policy::reply(claim, false))
                }
                // A repeated claim of the owner is granted without an event.
                Some(claimed) if claimed.user_version >= claim.user_version => {
                    Decision::nothing().with(policy::reply(claim, true))
                }
                _ => Decision::event(EmailClaimed {
                    email_fingerprint: claim.email_fingerprint.clone(),
                    user_id: claim.user_id,
                    user_version: claim.user_version,
                })
                .with(policy::reply(claim, true)),
            },
            Input::FollowUp(FollowUp::ReleaseEmail(release)) => match claimed {
                Some(claimed) if releases(release, claimed) => Decision::event(EmailReleased {
                    email_fingerprint: release.email_fingerprint.clone(),
                    user_id: release.user_id,
                }),
                _ => Decision::nothing(),
            },
            Input::Timer(_) => Decision::nothing(),
            Input::Command(never) => match *never {},
        })
    }

    fn evolve(_state: Option<State>, event: &Event) -> Option<State> {
        Some(match event.clone() {
            Event::EmailClaimed(EmailClaimed { email_fingerprint, user_id, user_version }) => {
                Claimed { email_fingerprint, user_id, user_version }.into()
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

/// Whether a release ends this claim: it is the owner's, and the owner has not claimed the address
/// again since. An operator can send a release again long after it was a dead letter.
fn releases(release: &ReleaseEmail, claimed: &Claimed) -> bool {
    release.user_id == claimed.user_id
        && release.user_version.is_none_or(|version| Some(version) >= claimed.user_version)
}
