//! The status of a command, and its trace, for its sender; an admin reads every trace. The id
//! itself shows who the sender was, so there is an answer before anything has been projected.

use tokio::time::Instant;
use uuid::Uuid;
use warp::http::{StatusCode, header};

use crate::{
    auth::Role,
    call::{Answer, Call},
    headers::set,
    outcome,
    problem::Problem,
    submit::for_outcome,
    trace::{Seen, Trace},
};

/// GET /v1/commands/{id}
pub(super) async fn read(call: Call, id: String) -> Answer {
    // The status of a registration is read without a token; a token that is sent must be valid.
    let user = match call.headers.contains_key(header::AUTHORIZATION) {
        true => Some(call.caller()?.user_id),
        false => None,
    };
    let id = Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
    if !call.state.ids.may_read(user, id) {
        return Err(Problem::not_found().into());
    }
    let reads = &*call.state.reads;
    // When too many reads wait already, this one is answered with what is known.
    let waiting = call.wait().and_then(|wait| Some((wait, call.begin_wait()?)));
    let outcome = match &waiting {
        Some((wait, _slot)) => {
            for_outcome(reads, id, Some(reads.notice(id)), Instant::now() + *wait).await
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
    let caller = match call.headers.contains_key(header::AUTHORIZATION) {
        true => Some(call.caller()?),
        false => None,
    };
    let id = Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
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
    let seen = Seen::read(reads, view).await?;
    let trace = Trace::of_command(id, outcome.as_ref(), seen);
    Ok(call.representation(StatusCode::OK, &trace, None))
}
