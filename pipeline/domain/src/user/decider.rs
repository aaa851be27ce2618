//! What may happen to a user.

use schemas::{
    Never,
    user::{
        ChangeEmail, ChangeName, ChangePassword, Command, Credential, DeactivateUser,
        EmailChangeRefused, EmailChangeStarted, EmailChanged, EndSession, Event, FollowUp,
        NameChanged, PasswordChanged, PasswordRehashed, PendingEmail, RecordEmailClaim,
        RegisterUser, RegistrationRefused, RegistrationStarted, RehashPassword, SessionEnd,
        SessionEnded, State, UserDeactivated, UserRegistered,
        state::{Active, Deactivated, Registering},
    },
};

use uuid::Uuid;

use super::{policy, sessions};
use crate::{
    Out,
    decider::{Context, Decider, Decision, Input, Reaction},
    refusals, rules,
};

/// A user, keyed by its id.
#[derive(Debug)]
pub struct User;

impl Decider for User {
    const CONTEXT: &'static str = "user";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Member = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _member: Option<&Never>,
        input: &Input<Command, FollowUp>,
        context: &Context<'_>,
    ) -> Decision<Event, Out> {
        if let Input::Command(command) = input
            && let Err(refusal) = rules::key("user_id", &id_of(command).to_string(), context.key)
        {
            return Decision::refuse(refusal.code, refusal.detail);
        }
        match input {
            Input::Command(Command::RegisterUser(register)) => {
                register_user(state, register, context)
            }
            Input::Command(command) => match state {
                Some(State::Active(user)) => active(user, command, context),
                _ => Decision::refuse(refusals::NOT_FOUND, "there is no such user"),
            },
            Input::FollowUp(FollowUp::RecordEmailClaim(claim)) => match claim.granted {
                true => granted(state, claim, context),
                false if is_of_another(state, claim) => Decision::nothing(),
                false => refused(state, &claim.email_fingerprint, refusals::ADDRESS_TAKEN),
            },
            Input::Timer(name) => match policy::fingerprint_of(name) {
                Some(fingerprint) => refused(state, fingerprint, refusals::CLAIM_TIMED_OUT),
                None => Decision::nothing(),
            },
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

    fn react(_state: Option<&State>, event: &Event, context: &Context<'_>) -> Vec<Reaction<Out>> {
        policy::react(event, context)
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

fn register_user(
    state: Option<&State>,
    register: &RegisterUser,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if state.is_some() {
        return Decision::refuse(refusals::ALREADY_EXISTS, "there is a user with this id already");
    }
    if let Err(refusal) = rules::email(&register.email).and(rules::name(&register.name)) {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    let RegisterUser { user_id, email, email_fingerprint, name, password_hash, role } =
        register.clone();
    let started_at = context.at_ms;
    let started = RegistrationStarted { user_id, email_fingerprint, email, name, role, started_at };
    let credential =
        Credential { user_id, password_hash, credential_version: 1, changed_at: context.at_ms };
    Decision::pending([started.into()]).with(policy::publish(credential))
}

/// A command to a user that there is.
fn active(user: &Active, command: &Command, context: &Context<'_>) -> Decision<Event, Out> {
    match command {
        Command::StartSession(start) => sessions::start(user, start, context),
        Command::RefreshSession(refresh) => sessions::refresh(user, refresh, context),
        Command::EndSession(end) => end_session(user, end),
        Command::ChangeName(change) => change_name(user, change, context),
        Command::ChangeEmail(change) => change_email(user, change, context),
        Command::ChangePassword(change) => change_password(user, change, context),
        Command::RehashPassword(rehash) => rehash_password(user, rehash, context),
        Command::DeactivateUser(deactivate) => deactivate_user(user, deactivate, context),
        Command::RegisterUser(_) => {
            Decision::refuse(refusals::ALREADY_EXISTS, "there is a user with this id already")
        }
    }
}

fn end_session(user: &Active, end: &EndSession) -> Decision<Event, Out> {
    let EndSession { user_id, session_id } = *end;
    match user.sessions.iter().any(|session| session.session_id == session_id) {
        true => {
            Decision::accept([
                SessionEnded { user_id, session_id, reason: SessionEnd::LoggedOut }.into()
            ])
        }
        // Ended already: what was wished for is so.
        false => Decision::nothing(),
    }
}

fn version_differs(expected: Option<i64>, context: &Context<'_>) -> Option<Decision<Event, Out>> {
    expected.filter(|expected| *expected != context.version).map(|_| {
        Decision::refuse(
            refusals::VERSION_MISMATCH,
            format!("the user has version {}", context.version),
        )
    })
}

fn change_name(user: &Active, change: &ChangeName, context: &Context<'_>) -> Decision<Event, Out> {
    if let Some(refused) = version_differs(change.expected_version, context) {
        return refused;
    }
    if let Err(refusal) = rules::name(&change.name) {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    match change.name == user.name {
        true => Decision::nothing(),
        false => {
            Decision::accept([
                NameChanged { user_id: user.user_id, name: change.name.clone() }.into()
            ])
        }
    }
}

fn change_email(
    user: &Active,
    change: &ChangeEmail,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if change.credential_version != user.credential_version {
        return sessions::stale();
    }
    if let Some(refused) = version_differs(change.expected_version, context) {
        return refused;
    }
    if let Err(refusal) = rules::email(&change.email) {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    if user.pending_email.is_some() {
        return Decision::refuse(
            refusals::IN_PROGRESS,
            "another change of the address is under way",
        );
    }
    let user_id = user.user_id;
    let (email, email_fingerprint) = (change.email.clone(), change.email_fingerprint.clone());
    if email == user.email {
        return Decision::nothing();
    }
    // The same address in other capitals is claimed already.
    if email_fingerprint == user.email_fingerprint {
        let former_fingerprint = email_fingerprint.clone();
        return Decision::accept([EmailChanged {
            user_id,
            email,
            email_fingerprint,
            former_fingerprint,
        }
        .into()]);
    }
    let claim_id = context.input_id;
    Decision::pending([EmailChangeStarted { user_id, email, email_fingerprint, claim_id }.into()])
}

fn change_password(
    user: &Active,
    change: &ChangePassword,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if change.credential_version != user.credential_version {
        return sessions::stale();
    }
    let user_id = user.user_id;
    let credential_version = user.credential_version + 1;
    let mut events = vec![PasswordChanged { user_id, credential_version }.into()];
    events.extend(sessions::end_all(user, SessionEnd::PasswordChanged));
    let password_hash = change.password_hash.clone();
    let credential =
        Credential { user_id, password_hash, credential_version, changed_at: context.at_ms };
    Decision::accept(events).with(policy::publish(credential))
}

fn rehash_password(
    user: &Active,
    rehash: &RehashPassword,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if rehash.credential_version != user.credential_version {
        return sessions::stale();
    }
    let user_id = user.user_id;
    let credential_version = user.credential_version + 1;
    let password_hash = rehash.password_hash.clone();
    let credential =
        Credential { user_id, password_hash, credential_version, changed_at: context.at_ms };
    Decision::accept([PasswordRehashed { user_id, credential_version }.into()])
        .with(policy::publish(credential))
}

fn deactivate_user(
    user: &Active,
    deactivate: &DeactivateUser,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if deactivate.credential_version != user.credential_version {
        return sessions::stale();
    }
    let mut events: Vec<_> = sessions::end_all(user, SessionEnd::Deactivated).collect();
    if let Some(pending) = &user.pending_email {
        // Its claim, if it is granted later, is released then.
        let reason = refusals::CANCELLED.to_owned();
        let email_fingerprint = pending.email_fingerprint.clone();
        events.push(EmailChangeRefused { user_id: user.user_id, email_fingerprint, reason }.into());
    }
    let email_fingerprint = user.email_fingerprint.clone();
    events.push(
        UserDeactivated { user_id: user.user_id, email_fingerprint, deactivated_at: context.at_ms }
            .into(),
    );
    Decision::accept(events)
}

/// Whether an answer comes to an earlier claim than the one under way on the same address.
fn is_of_another(state: Option<&State>, claim: &RecordEmailClaim) -> bool {
    let Some(State::Active(Active { pending_email: Some(pending), .. })) = state else {
        return false;
    };
    pending.email_fingerprint == claim.email_fingerprint && pending.claim_id != claim.claim_id
}

/// An address is this user's.
fn granted(
    state: Option<&State>,
    claim: &RecordEmailClaim,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    let fingerprint = &claim.email_fingerprint;
    match state {
        Some(State::Registering(registering)) if registering.email_fingerprint == *fingerprint => {
            let Registering { user_id, email, email_fingerprint, name, role, .. } =
                registering.clone();
            let registered_at = context.at_ms;
            let registered =
                UserRegistered { user_id, email, email_fingerprint, name, role, registered_at };
            Decision::accept([registered.into()])
        }
        Some(State::Active(user)) if user.email_fingerprint == *fingerprint => Decision::nothing(),
        Some(State::Active(_)) if is_of_another(state, claim) => Decision::nothing(),
        Some(State::Active(user)) => match &user.pending_email {
            Some(pending) if pending.email_fingerprint == *fingerprint => {
                Decision::accept([EmailChanged {
                    user_id: user.user_id,
                    email: pending.email.clone(),
                    email_fingerprint: fingerprint.clone(),
                    former_fingerprint: user.email_fingerprint.clone(),
                }
                .into()])
            }
            _ => Decision::nothing().with(policy::release(claim.user_id, fingerprint)),
        },
        // Too late: nobody wants it any more.
        _ => Decision::nothing().with(policy::release(claim.user_id, fingerprint)),
    }
}

/// An address is not this user's, or was not claimed in time.
fn refused(state: Option<&State>, fingerprint: &str, reason: &str) -> Decision<Event, Out> {
    match state {
        Some(State::Registering(registering)) if registering.email_fingerprint == fingerprint => {
            let user_id = registering.user_id;
            Decision::accept([RegistrationRefused { user_id, reason: reason.to_owned() }.into()])
                .with(policy::stop(fingerprint))
                .with(policy::forget_credential(user_id))
        }
        Some(State::Active(user)) => match &user.pending_email {
            Some(pending) if pending.email_fingerprint == fingerprint => {
                Decision::accept([EmailChangeRefused {
                    user_id: user.user_id,
                    email_fingerprint: fingerprint.to_owned(),
                    reason: reason.to_owned(),
                }
                .into()])
            }
            _ => Decision::nothing(),
        },
        _ => Decision::nothing(),
    }
}
