//! What a policy is: it derives follow-ups, timers and the end of pending commands from an
//! aggregate's events (a saga step). Like a decider it is pure, and it changes no state.

use crate::decider::{Decider, InputInfo, Reaction};

/// The policy of one type of aggregate. An aggregate without a policy implements the trait with an
/// empty body.
pub trait Policy: Decider {
    /// The reactions to an event. `state` is the state after the event.
    fn react(
        _state: Option<&Self::State>,
        _event: &Self::Event,
        _info: &InputInfo<'_>,
    ) -> Vec<Reaction<Self::Out>> {
        Vec::new()
    }
}
