//! Decides on a user's commands, on the replies to its claims and on its timers. Decisions on
//! addresses, passwords and sessions are in files of their own beside this one.

use schemas::{
    Never,
    user::{
        ChangeName, Command, DeactivateUser, EmailChangeRefused, EmailChangeStarted, EndSession,
        Event, FollowUp, NameChanged, PendingEmail, RegistrationStarted, SessionEnd, SessionEnded,
        State, UserDeactivated,
        state::{Active, Deactivated, Registering},
    },
};
use uuid::Uuid;

use super::{User, address, credential::require_current, password, policy, sessions};
use crate::{
    Out,
    decider::{Decider, Decision, DecisionResult, Input, InputInfo, Refusal},
    refusals, rules,
};

impl Decider for User {
    const CONTEXT: &'static str = "user";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Child = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _child: Option<&Never>,
        input: &Input<Command, FollowUp>,
        info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        if let Input::Command(command) = input {
            rules::key("user_id", &id_of(command).to_string(), info.key)?;
        }
        match input {
            Input::Command(Command::RegisterUser(register)) => {
                address::register(state, register, info)
            }
            Input::Command(command) => match state {
                Some(State::Active(user)) => decide_active(user, command, info),
                _ => Err(Refusal::new(refusals::NOT_FOUND, "there is no such user")),
            },
            Input::FollowUp(FollowUp::RecordEmailClaim(claim)) => {
                Ok(address::record_claim(state, claim, info))
            }
            Input::Timer(name) => Ok(match policy::fingerprint_of(name) {
                Some(fingerprint) => {
                    address::claim_refused(state, fingerprint, refusals::CLAIM_TIMED_OUT)
                }
                None => Decision::nothing(),
            }),
        }
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        Some(match (event.clone(), state) {
            (Event::RegistrationStarted(started), _) => {
                let RegistrationStarted {
                    user_id,
                    email_fingerprint,
                    email,
                    name,
                    role,
                    started_at,
                } = started;
                Registering { user_id, email, email_fingerprint, name, role, started_at }.into()
            }
            (Event::UserRegistered(registered), _) => Active {
                user_id: registered.user_id,
                email: registered.email,
                email_fingerprint: registered.email_fingerprint,
                name: registered.name,
                role: registered.role,
                credential_version: 1,
                registered_at: registered.registered_at,
                sessions: Vec::new(),
                pending_email: None,
            }
            .into(),
            (Event::RegistrationRefused(refused), Some(State::Registering(registering))) => {
                Deactivated { user_id: refused.user_id, since_at: registering.started_at }.into()
            }
            (Event::UserDeactivated(event), _) => {
                Deactivated { user_id: event.user_id, since_at: event.deactivated_at }.into()
            }
            (event, Some(State::Active(mut user))) => {
                match &event {
                    Event::NameChanged(changed) => user.name.clone_from(&changed.name),
                    Event::EmailChangeStarted(EmailChangeStarted {
                        email,
                        email_fingerprint,
                        claim_id,
                        ..
                    }) => {
                        let (email, email_fingerprint) = (email.clone(), email_fingerprint.clone());
                        user.pending_email =
                            Some(PendingEmail { email, email_fingerprint, claim_id: *claim_id });
                    }
                    Event::EmailChanged(changed) => {
                        user.email.clone_from(&changed.email);
                        user.email_fingerprint.clone_from(&changed.email_fingerprint);
                        user.pending_email = None;
                    }
                    Event::EmailChangeRefused(_) => user.pending_email = None,
                    Event::PasswordChanged(changed) => {
                        user.credential_version = changed.credential_version
                    }
                    Event::PasswordRehashed(changed) => {
                        user.credential_version = changed.credential_version
                    }
                    event => sessions::evolve(&mut user.sessions, event),
                }
                user.into()
            }
            (_, state) => return state,
        })
    }

    fn is_finished(state: &State) -> bool {
        matches!(state, State::Deactivated(_))
    }
}

fn id_of(command: &Command) -> Uuid {
    match command {
        Command::RegisterUser(command) => command.user_id,
        Command::StartSession(command) => command.user_id,
        Command::RefreshSession(command) => command.user_id,
        Command::EndSession(command) => command.user_id,
        Command::ChangeName(command) => command.user_id,
        Command::ChangeEmail(command) => command.user_id,
        Command::ChangePassword(command) => command.user_id,
        Command::RehashPassword(command) => command.user_id,
        Command::DeactivateUser(command) => command.user_id,
    }
}

/// Decides on a command for an active user.
fn decide_active(user: &Active, command: &Command, info: &InputInfo<'_>) -> DecisionResult<User> {
    match command {
        Command::StartSession(start) => sessions::start(user, start, info),
        Command::RefreshSession(refresh) => sessions::refresh(user, refresh, info),
        Command::EndSession(end) => Ok(end_session(user, end)),
        Command::ChangeName(change) => change_name(user, change, info),
        Command::ChangeEmail(change) => address::change(user, change, info),
        Command::ChangePassword(change) => password::change(user, change, info),
        Command::RehashPassword(rehash) => password::rehash(user, rehash, info),
        Command::DeactivateUser(deactivate) => deactivate_user(user, deactivate, info),
        Command::RegisterUser(_) => Err(address::already_registered()),
    }
}

fn end_session(user: &Active, end: &EndSession) -> Decision<Event, Out> {
    let EndSession { user_id, session_id } = *end;
    match user.sessions.iter().any(|session| session.session_id == session_id) {
        true => {
            Decision::event(SessionEnded { user_id, session_id, reason: SessionEnd::LoggedOut })
        }
        // The session has ended already.
        false => Decision::nothing(),
    }
}

fn change_name(user: &Active, change: &ChangeName, info: &InputInfo<'_>) -> DecisionResult<User> {
    info.require_version(change.expected_version, "user")?;
    rules::name(&change.name)?;
    Ok(match change.name == user.name {
        true => Decision::nothing(),
        false => Decision::event(NameChanged { user_id: user.user_id, name: change.name.clone() }),
    })
}

fn deactivate_user(
    user: &Active,
    deactivate: &DeactivateUser,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    require_current(user, deactivate.credential_version)?;
    let mut events: Vec<_> = sessions::end_all(user, SessionEnd::Deactivated).collect();
    if let Some(pending) = &user.pending_email {
        // If the claim is granted later, the address is released then.
        let reason = refusals::CANCELLED.to_owned();
        let email_fingerprint = pending.email_fingerprint.clone();
        events.push(EmailChangeRefused { user_id: user.user_id, email_fingerprint, reason }.into());
    }
    let email_fingerprint = user.email_fingerprint.clone();
    let deactivated_at = info.at_ms;
    events
        .push(UserDeactivated { user_id: user.user_id, email_fingerprint, deactivated_at }.into());
    Ok(Decision::events(events))
}
