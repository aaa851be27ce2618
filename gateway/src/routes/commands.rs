//! The status of a command, and its trace, for its sender; an admin reads every trace. The id
//! itself shows who the sender was, so there is an answer before anything has been projected.

use tokio::time::Instant;
use uuid::Uuid;
use warp::http::{StatusCode, header};

use crate::{
    auth::{Caller, Role},
    call::{Answer, Call},
    headers::set,
    outcome,
    problem::Problem,
    record_place::RecordPlace,
    submit::for_outcome,
    trace::{Seen, Trace},
};

/// GET /v1/commands/{id}
pub(super) async fn read(call: Call, id: String) -> Answer {
    // The status of a registration is read without a token.
    let user = caller(&call)?.map(|caller| caller.user_id);
    let id = Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
    if !call.state.ids.may_read(user, id) {
        return Err(Problem::not_found().into());
    }
    let reads = &*call.state.reads;
    // When too many reads wait already, this one is answered with what is known.
    let waiting = call.wait().and_then(|wait| Some((wait, call.begin_wait()?)));
    let outcome = match &waiting {
        Some((wait, _slot)) => {
            let waited = for_outcome(reads, id, Some(reads.notice(id)), Instant::now() + *wait);
            match call.state.before_shutdown(waited).await {
                Some(outcome) => outcome,
                // The wait may have been cut off before the store said what it has.
                None => reads.outcome(id).await?,
            }
        }
        None => reads.outcome(id).await?,
    };
    let body = outcome.as_ref().map_or_else(|| outcome::pending(id), outcome::ended);
    let mut response = call.representation(StatusCode::OK, &body, None);
    if outcome.is_none() {
        set(&mut response, header::RETRY_AFTER, "1");
    }
    Ok(response)
}

/// GET /v1/commands/{id}/trace
pub(super) async fn trace(call: Call, id: String) -> Answer {
    let caller = caller(&call)?;
    let id = Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
    trace_of(&call, caller, id).await
}

/// GET /v1/records/{id}/trace
///
/// The trace of the command that caused the record, for the user who sent it, and for admins.
/// Places of records can be guessed, so a command without a user, such as a log-in, is not found
/// here.
pub(super) async fn trace_by_record(call: Call, id: String) -> Answer {
    let caller = caller(&call)?;
    let place = RecordPlace::parse(&id).ok_or_else(Problem::not_found)?;
    let command = call.state.reads.cause(&place).await?.ok_or_else(Problem::not_found)?;
    let is_allowed = caller.as_ref().is_some_and(|caller| {
        caller.role == Role::Admin || call.state.ids.is_sent_by(caller.user_id, command)
    });
    if !is_allowed {
        return Err(Problem::not_found().into());
    }
    trace_of(&call, caller, command).await
}

/// Who calls, if a token says it. A token that is sent must be valid.
fn caller(call: &Call) -> Result<Option<Caller>, Problem> {
    call.headers.contains_key(header::AUTHORIZATION).then(|| call.caller()).transpose()
}

/// The trace of a command, if the caller is its sender or an admin.
async fn trace_of(call: &Call, caller: Option<Caller>, id: Uuid) -> Answer {
    let is_sender = call.state.ids.may_read(caller.as_ref().map(|caller| caller.user_id), id);
    if !is_sender && caller.is_none_or(|caller| caller.role != Role::Admin) {
        return Err(Problem::not_found().into());
    }
    let reads = &*call.state.reads;
    // The outcome first: the trace of a command that has one is then not older than it.
    let outcome = reads.outcome(id).await?;
    let view = reads.trace(vec![id]).await?;
    // Nothing shows that the id of another sender's command is one.
    if !is_sender && outcome.is_none() && view.entries.is_empty() {
        return Err(Problem::not_found().into());
    }
    let seen = Seen::read(&call.state, view).await?;
    let trace = Trace::of_command(id, outcome.as_ref(), seen);
    Ok(call.representation(StatusCode::OK, &trace, None))
}
