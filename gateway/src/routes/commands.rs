//! The status of a command, for its sender. The id itself shows who that was, so there is an answer
//! before anything has been projected.

use tokio::time::Instant;
use uuid::Uuid;
use warp::http::{StatusCode, header};

use crate::{
    call::{Answer, Call},
    headers::set,
    outcome,
    problem::Problem,
    submit::for_outcome,
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
