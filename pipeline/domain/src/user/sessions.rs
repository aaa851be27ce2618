//! The sessions of a user, and the rules of refresh tokens.
//!
//! A token is good once. The same token again within ten seconds, its successor unused, gets the
//! same successor: an answer may have been lost. Anything else ends the session, because somebody
//! may have stolen a token.

use schemas::user::{
    Event, RefreshSession, Session, SessionEnd, SessionEnded, SessionRefreshed, SessionStarted,
    StartSession, state::Active,
};

use crate::{
    Out,
    decider::{Context, Decision, Refusal, Verdict},
    refusals,
};

/// How many sessions a user may have; a further one ends the oldest.
pub const SESSIONS_MAX: usize = 20;
/// For how long a token's successor is given again, in milliseconds.
pub const GRACE_MS: i64 = 10_000;

pub(super) fn start(
    user: &Active,
    start: &StartSession,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if start.credential_version != user.credential_version {
        return stale();
    }
    if user.sessions.iter().any(|session| session.session_id == start.session_id) {
        return Decision::refuse(
            refusals::ALREADY_EXISTS,
            "there is a session with this id already",
        );
    }
    let alive = user.sessions.iter().filter(|session| session.expires_at > context.at_ms);
    let mut events: Vec<Event> = Vec::new();
    let surplus = (alive.clone().count() + 1).saturating_sub(SESSIONS_MAX);
    events.extend(alive.take(surplus).map(|oldest| ended(user, oldest, SessionEnd::Evicted)));
    events.push(
        SessionStarted {
            user_id: user.user_id,
            session_id: start.session_id,
            refresh_hash: start.refresh_hash.clone(),
            started_at: context.at_ms,
            expires_at: start.expires_at,
        }
        .into(),
    );
    Decision::accept(events)
}

pub(super) fn refresh(
    user: &Active,
    refresh: &RefreshSession,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    let session = user.sessions.iter().find(|session| session.session_id == refresh.session_id);
    let Some(session) = session.filter(|session| session.expires_at > context.at_ms) else {
        return Decision::refuse(refusals::SESSION_ENDED, "the session has ended: log in again");
    };
    let current =
        refresh.generation == session.generation && refresh.presented_hash == session.refresh_hash;
    if current {
        return Decision::accept([SessionRefreshed {
            user_id: user.user_id,
            session_id: session.session_id,
            generation: session.generation + 1,
            refresh_hash: refresh.successor_hash.clone(),
            refreshed_at: context.at_ms,
        }
        .into()]);
    }
    // The successor of what was presented is the token that is valid now: it has not been used.
    let lost_answer = refresh.generation.checked_add(1) == Some(session.generation)
        && refresh.successor_hash == session.refresh_hash
        && context.at_ms - session.refreshed_at <= GRACE_MS;
    if lost_answer {
        return Decision::nothing();
    }
    Decision {
        events: vec![ended(user, session, SessionEnd::Reused)],
        reactions: Vec::new(),
        verdict: Verdict::Refused(Refusal::new(
            refusals::TOKEN_REUSED,
            "the token was used before: its session is ended, log in again",
        )),
    }
}

/// Ends all sessions of a user.
pub(super) fn end_all(user: &Active, reason: SessionEnd) -> impl Iterator<Item = Event> + use<'_> {
    user.sessions.iter().map(move |session| ended(user, session, reason))
}

pub(super) fn stale() -> Decision<Event, Out> {
    Decision::refuse(
        refusals::STALE_CREDENTIAL,
        "the password was changed meanwhile: try again with the new one",
    )
}

/// The sessions after `event`.
pub(super) fn evolve(sessions: &mut Vec<Session>, event: &Event) {
    match event {
        Event::SessionStarted(started) => {
            sessions.retain(|session| session.expires_at > started.started_at);
            sessions.push(Session {
                session_id: started.session_id,
                generation: 0,
                refresh_hash: started.refresh_hash.clone(),
                started_at: started.started_at,
                refreshed_at: started.started_at,
                expires_at: started.expires_at,
            });
        }
        Event::SessionRefreshed(refreshed) => {
            if let Some(session) =
                sessions.iter_mut().find(|s| s.session_id == refreshed.session_id)
            {
                session.generation = refreshed.generation;
                session.refresh_hash.clone_from(&refreshed.refresh_hash);
                session.refreshed_at = refreshed.refreshed_at;
            }
        }
        Event::SessionEnded(ended) => {
            sessions.retain(|session| session.session_id != ended.session_id)
        }
        _ => {}
    }
}

fn ended(user: &Active, session: &Session, reason: SessionEnd) -> Event {
    SessionEnded { user_id: user.user_id, session_id: session.session_id, reason }.into()
}
