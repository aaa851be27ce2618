//! What became of a command, for whoever sent it. The id itself shows who that was, so there is an
//! answer before anything has been projected.

use tokio::time::Instant;
use uuid::Uuid;
use warp::http::{StatusCode, header};

use crate::{
    call::{Answer, Call, set},
    outcome,
    problem::Problem,
    submit::wait_for,
};

/// GET /v1/commands/{id}
pub(super) async fn read(call: Call, id: String) -> Answer {
    // A registration is asked for without a token; a token that is there must be good.
    let asker = match call.headers.contains_key(header::AUTHORIZATION) {
        true => Some(call.caller()?.user_id),
        false => None,
    };
    let id = Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
    if !call.state.ids.may_ask(asker, id) {
        return Err(Problem::not_found().into());
    }
    let found = match call.wait() {
        Some(wait) => {
            let notice = call.state.reads.notice(id).await;
            wait_for(&call, id, Some(notice), Instant::now() + wait).await
        }
        None => call.state.reads.outcome(id).await?,
    };
    let pending = found.is_none();
    let body = found.as_ref().map_or_else(|| outcome::pending(id), outcome::ended);
    let mut response = call.representation(StatusCode::OK, &body, None);
    if pending {
        set(&mut response, header::RETRY_AFTER, "1");
    }
    Ok(response)
}
