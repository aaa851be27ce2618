//! Repeats a request to the transaction coordinator while the transaction before it ends, because
//! Redpanda makes such a request wait where Kafka answers CONCURRENT_TRANSACTIONS.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use crate::gate::plan::{Exchange, Next, Plan};
use crate::gate::wire::Request;

/// How long a request is repeated. Redpanda's lock has no bound of its own, but its holder ends
/// within a few calls of create_topic_timeout_ms (2 s).
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// The first pause: Kafka ends a transaction in milliseconds.
const AGAIN_AFTER_MIN: Duration = Duration::from_millis(1);

/// The longest pause, for a transaction that takes longer to end.
const AGAIN_AFTER_MAX: Duration = Duration::from_millis(10);

pub(super) const CONCURRENT: i16 = ResponseError::ConcurrentTransactions.code();

/// Repeats a request to the transaction coordinator while the previous transaction ends, then
/// passes its error code to `seen`.
pub(super) fn when_ended<T: Decodable + HeaderVersion + 'static>(
    request: &Request,
    error_code: impl Fn(&T) -> i16 + Send + Sync + 'static,
    mut seen: impl FnMut(i16) + Send + Sync + 'static,
) -> anyhow::Result<Plan> {
    let begun = Instant::now();
    let mut pause = AGAIN_AFTER_MIN;
    let look = move |request: &Request, response: &Bytes| {
        let error_code = error_code(&request.read_response::<T>(response)?);
        if error_code == CONCURRENT && begun.elapsed() < AGAIN_MAX {
            let after = pause;
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
            return Ok(Some(after));
        }
        seen(error_code);
        Ok(None)
    };
    let exchange = Box::new(Inspected(request.clone(), look));
    Ok(Plan::Exchange { request: request.frame(), exchange, alone: true })
}

/// Passes a request to the transaction coordinator and its response, then passes the response's
/// error code to `seen`.
pub(super) fn passed<T: Decodable + HeaderVersion + 'static>(
    request: &Request,
    error_code: impl Fn(&T) -> i16 + Send + Sync + 'static,
    mut seen: impl FnMut(i16) + Send + Sync + 'static,
) -> anyhow::Result<Plan> {
    let look = move |request: &Request, response: &Bytes| {
        seen(error_code(&request.read_response::<T>(response)?));
        Ok(None)
    };
    let exchange = Box::new(Inspected(request.clone(), look));
    Ok(Plan::Exchange { request: request.frame(), exchange, alone: true })
}

/// Passes a request and its response unchanged, and lets a rule look at the response before the
/// client gets it. If the rule returns a pause, the request is repeated after it.
pub(super) struct Inspected<F>(pub(super) Request, pub(super) F);

impl<F> Exchange for Inspected<F>
where
    F: FnMut(&Request, &Bytes) -> anyhow::Result<Option<Duration>> + Send + Sync,
{
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
        Ok(match (self.1)(&self.0, &response)? {
            Some(after) => Next::Ask { request: self.0.frame(), after },
            None => Next::Respond(response),
        })
    }
}
