//! Which notifications the commands of the stream raise.
//!
//! The services derive the id of each record from the id of the record that it follows from, so the
//! ids of notifications follow from the ids of the commands. If this were not the services' way,
//! commands about these notifications would only be refused.

use uuid::Uuid;

/// A notification that a command raises if it is accepted.
#[derive(Clone, Copy)]
pub(super) struct Notice {
    pub(super) notification_id: Uuid,
    pub(super) user_id: Uuid,
    /// The number of commands that the stream had sent before that command.
    pub(super) since: usize,
}

/// The id of the notification that an order is cancelled, by the command that cancels it.
pub(super) fn of_cancellation(command: Uuid) -> Uuid {
    derived(derived(command, "event 0"), "notification")
}

/// The id of the notification that welcomes a user, by the command that registers the user.
pub(super) fn of_registration(command: Uuid) -> Uuid {
    let started = derived(command, "event 0");
    let claim = derived(started, "effect 0");
    let granted = derived(claim, "effect 0");
    let registered = derived(granted, "event 0");
    derived(registered, "notification")
}

fn derived(from: Uuid, word: &str) -> Uuid {
    Uuid::new_v5(&from, word.as_bytes())
}

#[cfg(test)]
mod tests {
    use domain::{
        Out,
        decider::{Decider as _, Input, InputInfo, Reaction},
        email::Email,
        notification::policy::{from_order_event, from_user_event},
        policy::Policy as _,
        user::User,
    };
    use schemas::{
        order::OrderCancelled,
        user::{RegisterUser, Role, UserRegistered},
    };

    use super::*;
    use crate::load::register;

    /// The place of the first record that these reactions send, with its topic and key.
    fn sent<M>(reactions: &[Reaction<M>]) -> Option<(usize, &str, &str)> {
        reactions.iter().enumerate().find_map(|(place, reaction)| match reaction {
            Reaction::Send { topic, key, .. } => Some((place, *topic, key.as_str())),
            _ => None,
        })
    }

    fn info(key: &str) -> InputInfo<'_> {
        let (input_id, principal) = (Uuid::from_u128(7), "faults");
        InputInfo { key, at_ms: 1, input_id, version: 0, principal }
    }

    #[test]
    fn notification_has_the_id_that_the_domain_derives_from_the_event() {
        let (command, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let cancelled = OrderCancelled {
            order_id: Uuid::from_u128(3),
            user_id,
            reason: "by_customer".to_owned(),
            cancelled_at: 1,
        };
        let event_id = derived(command, "event 0");
        let reactions = from_order_event(&cancelled.into(), event_id, true);
        let key = of_cancellation(command).to_string();
        assert_eq!(sent(&reactions), Some((0, "notification.followups", key.as_str())));
    }

    #[test]
    fn welcome_follows_from_a_registration_by_the_first_effect_of_each_step() {
        let (command, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let register: RegisterUser = register(user_id, "ada".to_owned());
        let key = user_id.to_string();
        let decided = User::decide(None, None, &Input::Command(register.into()), &info(&key));
        let started = decided.expect("a registration").events.remove(0);
        let reactions = User::react(None, &started, &info(&key));
        assert_eq!(sent(&reactions), Some((0, "email.followups", "ada")));

        let Some(Reaction::Send { message: Some(Out::Email(claim)), .. }) =
            reactions.into_iter().next()
        else {
            panic!("the first reaction is no claim")
        };
        let granted = Email::decide(None, None, &Input::FollowUp(claim), &info("ada"));
        let granted = granted.expect("a reply");
        assert_eq!(sent(&granted.reactions), Some((0, "user.followups", key.as_str())));

        let registered = UserRegistered {
            user_id,
            email: String::new(),
            email_fingerprint: "ada".to_owned(),
            name: "Ada".to_owned(),
            role: Role::User,
            registered_at: 1,
        };
        let claim_id = derived(derived(command, "event 0"), "effect 0");
        let event_id = derived(derived(claim_id, "effect 0"), "event 0");
        let reactions = from_user_event(&registered.into(), event_id, true);
        let welcome = of_registration(command).to_string();
        assert_eq!(sent(&reactions), Some((0, "notification.followups", welcome.as_str())));
    }
}
