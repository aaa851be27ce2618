//! What the gateway answers: a document, a problem, or nothing in time.

use std::time::Duration;

use reqwest::{Response, StatusCode, Url, header::RETRY_AFTER};
use serde_json::Value;

use crate::failure::{Failure, chain};

/// The most bytes of an answer. A trace of 2,000 records has about 2 MiB.
const BODY_BYTES_MAX: usize = 32 << 20;

/// An answer that is no problem.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The document; null if there is none.
    pub(crate) body: Value,
}

/// Reads an answer.
///
/// # Errors
/// If it is a problem, no JSON, too long, or does not end in time.
pub(super) async fn read(
    mut response: Response,
    url: &Url,
    deadline: Duration,
) -> Result<Answer, Failure> {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| unanswered(url, deadline, error))?
    {
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            let text = format!("the answer of {url} is longer than {BODY_BYTES_MAX} bytes");
            return Err(Failure::Failed(text));
        }
        bytes.extend_from_slice(&chunk);
    }
    let body: Option<Value> = match bytes.is_empty() {
        true => Some(Value::Null),
        false => serde_json::from_slice(&bytes).ok(),
    };
    match (status.is_success(), body) {
        (true, Some(body)) => Ok(Answer { status, body }),
        (true, None) => Err(Failure::Failed(format!(
            "{url} answered with something else than JSON: expected a Millrace gateway there \
             (--url or MILLRACE_URL)"
        ))),
        (false, body) => {
            let retry_after = seconds.map(Duration::from_secs);
            Err(Failure::refused(status.as_u16(), retry_after, body.unwrap_or_default()))
        }
    }
}

/// The failure of a request without an answer.
pub(super) fn unanswered(url: &Url, deadline: Duration, error: reqwest::Error) -> Failure {
    if error.is_timeout() && !error.is_connect() {
        return Failure::Unanswered(format!("{url} has not answered in {} s", deadline.as_secs()));
    }
    let cause = chain(&error.without_url());
    let text = format!(
        "no answer from {url}: expected a Millrace gateway there (--url or MILLRACE_URL): {cause}"
    );
    Failure::Unanswered(text)
}
