//! The sessions of a user, and the rules of refresh tokens.
//!
//! A token can be used once. If a client presents it again within ten seconds, and its successor is
//! unused, the client gets the same successor, because the first response may have been lost. Any
//! other reuse ends the session, because the token may be stolen. No token is in here, only hashes.

use schemas::user::{
    Event, RefreshSession, Session, SessionEnd, SessionEnded, SessionRefreshed, SessionStarted,
    StartSession, state::Active,
};

use super::{User, credential::require_current};
use crate::{
    decider::{Decision, DecisionResult, InputInfo, Refusal},
    refusals,
};

/// The most sessions of a user; one more ends the oldest.
pub const SESSIONS_MAX: usize = 20;
/// For how long a repeated token gets the same successor, in milliseconds.
pub const GRACE_MS: i64 = 10_000;

/// Starts a session, and ends the oldest ones above [`SESSIONS_MAX`].
pub(super) fn start(
    user: &Active,
    start: &StartSession,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    require_current(user, start.credential_version)?;
    if user.sessions.iter().any(|session| session.session_id == start.session_id) {
        let detail = "there is a session with this id already";
        return Err(Refusal::new(refusals::ALREADY_EXISTS, detail));
    }
    let alive = user.sessions.iter().filter(|session| session.expires_at > info.at_ms);
    let mut events: Vec<Event> = Vec::new();
    let surplus = (alive.clone().count() + 1).saturating_sub(SESSIONS_MAX);
    events.extend(alive.take(surplus).map(|oldest| ended(user, oldest, SessionEnd::Evicted)));
    events.push(
        SessionStarted {
            user_id: user.user_id,
            session_id: start.session_id,
            refresh_hash: start.refresh_hash.clone(),
            started_at: info.at_ms,
            expires_at: start.expires_at,
        }
        .into(),
    );
    Ok(Decision::events(events))
}

/// Replaces a session's refresh token, or ends a session whose token was reused.
pub(super) fn refresh(
    user: &Active,
    refresh: &RefreshSession,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    let session = user.sessions.iter().find(|session| session.session_id == refresh.session_id);
    let Some(session) = session.filter(|session| session.expires_at > info.at_ms) else {
        let detail = "the session has ended: log in again";
        return Err(Refusal::new(refusals::SESSION_ENDED, detail));
    };
    let current =
        refresh.generation == session.generation && refresh.presented_hash == session.refresh_hash;
    if current {
        return Ok(Decision::event(SessionRefreshed {
            user_id: user.user_id,
            session_id: session.session_id,
            generation: session.generation + 1,
            refresh_hash: refresh.successor_hash.clone(),
            refreshed_at: info.at_ms,
        }));
    }
    // The client presents the token before the current one, and the current one has not been used:
    // the response that carried it may have been lost.
    let lost_response = refresh.generation.checked_add(1) == Some(session.generation)
        && refresh.successor_hash == session.refresh_hash
        && info.at_ms - session.refreshed_at <= GRACE_MS;
    if lost_response {
        return Ok(Decision::nothing());
    }
    let refusal = Refusal::new(
        refusals::TOKEN_REUSED,
        "the token was used before: its session is ended, log in again",
    );
    Ok(Decision::event(ended(user, session, SessionEnd::Reused)).refused(refusal))
}

/// Ends all sessions of a user.
pub(super) fn end_all(user: &Active, reason: SessionEnd) -> impl Iterator<Item = Event> + use<'_> {
    user.sessions.iter().map(move |session| ended(user, session, reason))
}

/// Applies `event` to the sessions.
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
