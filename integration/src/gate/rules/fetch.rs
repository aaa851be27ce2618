//! The rule `committed-fetch-wait`: a fetch of committed records may return new ones only after its
//! whole maximum wait. It is off by default, because Redpanda does so sometimes and the gate does
//! so always.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::Rule;
use crate::gate::plan::{Exchange, Next, Plan};
use crate::gate::settings::Settings;
use crate::gate::wire::Request;

pub(super) const RULE: Rule = Rule {
    name: "committed-fetch-wait",
    does: "A fetch of committed records that finds none waits for its whole maximum wait, whatever is committed meanwhile, and \
           then gets what there is. Redpanda wakes such a fetch when records become visible, before the last stable offset \
           moves, so it can find nothing and wait on; the gate imitates the worst case of it.",
    source: "src/v/raft/consensus.cc, the visible offset monitor; src/v/kafka/server/handlers/fetch.cc",
};

/// The isolation level READ_COMMITTED.
const COMMITTED: i8 = 1;
/// The epoch of a fetch outside of a session. A fetch of a session cannot be sent twice.
const NO_SESSION: i32 = -1;

pub(super) fn fetch(settings: &Settings, request: &Request) -> anyhow::Result<Plan> {
    if !settings.committed_fetch_wait {
        return Ok(Plan::Pass);
    }
    let mut body: FetchRequest = request.decode()?;
    let in_session = body.session_id != 0 || body.session_epoch != NO_SESSION;
    let wait_ms = u64::try_from(body.max_wait_ms).unwrap_or(0);
    if body.isolation_level != COMMITTED || in_session || wait_ms == 0 {
        return Ok(Plan::Pass);
    }
    body.max_wait_ms = 0;
    let at_once = request.with(&body)?;
    let wait = Some(Duration::from_millis(wait_ms));
    let exchange = Box::new(Wait { request: request.clone(), at_once: at_once.clone(), wait });
    Ok(Plan::Exchange { request: at_once, exchange, alone: true })
}

struct Wait {
    request: Request,
    at_once: Bytes,
    wait: Option<Duration>,
}

impl Exchange for Wait {
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
        let Some(after) = self.wait.take() else { return Ok(Next::Respond(response)) };
        let body: FetchResponse = self.request.read_response(&response)?;
        let mut partitions = body.responses.iter().flat_map(|topic| &topic.partitions);
        let something = partitions.any(|partition| {
            partition.error_code != 0
                || partition.records.as_ref().is_some_and(|records| !records.is_empty())
        });
        if something || body.error_code != 0 {
            return Ok(Next::Respond(response));
        }
        Ok(Next::Ask { request: self.at_once.clone(), after })
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};

    use super::super::tests::{asked, request, responded};
    use super::*;
    use crate::gate::Gate;

    fn plan(isolation_level: i8, session_epoch: i32) -> (Request, Plan) {
        let settings = Settings { committed_fetch_wait: true, ..Settings::default() };
        let body = FetchRequest::default()
            .with_isolation_level(isolation_level)
            .with_session_epoch(session_epoch)
            .with_max_wait_ms(500);
        let request = request(ApiKey::Fetch, 11, &body);
        let plan = Gate::new(settings).plan(&request).expect("a plan");
        (request, plan)
    }

    fn response(request: &Request, records: &'static [u8]) -> Bytes {
        let partition = PartitionData::default().with_records(Some(Bytes::from_static(records)));
        let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
        let body = FetchResponse::default().with_responses(vec![topic]);
        request.response(&body).expect("a response")
    }

    #[test]
    fn committed_fetch_that_finds_nothing_is_repeated_once_after_its_whole_wait() {
        let (request, plan) = plan(COMMITTED, NO_SESSION);
        let (frame, mut exchange) = asked(plan);
        let of_kafka: FetchRequest =
            Request::of(frame.clone()).expect("a request").decode().expect("a body");
        assert_eq!(of_kafka.max_wait_ms, 0);
        let Next::Ask { request: again, after } =
            exchange.answered(response(&request, b"")).expect("next")
        else {
            panic!("it is answered early");
        };
        assert_eq!((again, after), (frame, Duration::from_millis(500)));
        let _: FetchResponse =
            responded(exchange.answered(response(&request, b"")).expect("next"), 11);
    }

    #[test]
    fn committed_fetch_that_finds_records_is_answered_at_once() {
        let (request, plan) = plan(COMMITTED, NO_SESSION);
        let (_, mut exchange) = asked(plan);
        let _: FetchResponse =
            responded(exchange.answered(response(&request, b"batch")).expect("next"), 11);
    }

    #[test]
    fn fetches_of_uncommitted_records_and_of_sessions_pass() {
        assert!(matches!(plan(0, NO_SESSION).1, Plan::Pass));
        assert!(matches!(plan(COMMITTED, 0).1, Plan::Pass));
        let body = FetchRequest::default().with_isolation_level(COMMITTED).with_max_wait_ms(500);
        let off = Gate::default().plan(&request(ApiKey::Fetch, 11, &body)).expect("a plan");
        assert!(matches!(off, Plan::Pass));
    }
}
