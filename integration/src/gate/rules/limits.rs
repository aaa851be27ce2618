//! The rules on timeouts, which Redpanda limits by cluster settings. The gate has the same
//! settings.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, ProducerId,
};

use super::Rule;
use crate::gate::plan::Plan;
use crate::gate::settings::Settings;
use crate::gate::wire::Request;

pub(super) const TRANSACTION_TIMEOUT: Rule = Rule {
    name: "transaction-timeout",
    does: "InitProducerId with a transaction timeout above transaction_max_timeout_ms fails with \
           INVALID_TRANSACTION_TIMEOUT.",
    source: "src/v/cluster/tx_gateway_frontend.cc, tx_gateway_frontend::limit_init_tm_tx and init_tm_tx; \
             src/v/kafka/server/errors.h, map_tx_errc",
};

pub(super) const TRANSACTIONAL_ID: Rule = Rule {
    name: "transactional-id",
    does: "InitProducerId of a transactional id with either a producer id or an epoch, but not both, fails with \
           INVALID_REQUEST.",
    source: "src/v/kafka/server/server.cc, init_producer_id_handler::handle",
};

pub(super) const SESSION_TIMEOUT: Rule = Rule {
    name: "session-timeout",
    does: "JoinGroup with a session timeout outside of group_min_session_timeout_ms and group_max_session_timeout_ms fails \
           with INVALID_SESSION_TIMEOUT.",
    source: "src/v/kafka/server/group_manager.cc, group_manager::join_group",
};

/// Returns the refusal of a transactional producer's initialisation, or `None` if Redpanda would
/// accept it.
pub(super) fn refuse_producer(
    settings: &Settings,
    request: &Request,
    body: &InitProducerIdRequest,
) -> anyhow::Result<Option<Plan>> {
    let (rule, error) = if (body.producer_id.0 < 0) != (body.producer_epoch < 0) {
        (TRANSACTIONAL_ID, ResponseError::InvalidRequest)
    } else if body.transaction_timeout_ms > settings.transaction_max_timeout_ms {
        (TRANSACTION_TIMEOUT, ResponseError::InvalidTransactionTimeout)
    } else {
        return Ok(None);
    };
    tell!(
        "gate: {}: {} ms, producer {:?} refused",
        rule.name,
        body.transaction_timeout_ms,
        body.producer_id
    );
    let refused = InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    Ok(Some(Plan::Answer(request.response(&refused)?)))
}

pub(super) fn join_group(settings: &Settings, request: &Request) -> anyhow::Result<Plan> {
    let body: JoinGroupRequest = request.decode()?;
    let allowed = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
    if allowed.contains(&body.session_timeout_ms) {
        return Ok(Plan::Pass);
    }
    tell!(
        "gate: {}: {} ms of {} refused",
        SESSION_TIMEOUT.name,
        body.session_timeout_ms,
        &**body.group_id
    );
    let refused = JoinGroupResponse::default()
        .with_error_code(ResponseError::InvalidSessionTimeout.code())
        .with_member_id(body.member_id);
    Ok(Plan::Answer(request.response(&refused)?))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiKey, TransactionalId};
    use kafka_protocol::protocol::StrBytes;

    use super::super::tests::{answered, request};
    use super::*;
    use crate::gate::Gate;

    fn init(timeout_ms: i32, producer: (i64, i16)) -> Plan {
        let gate =
            Gate::new(Settings { transaction_max_timeout_ms: 60_000, ..Settings::default() });
        let body = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("order-0-0"))))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1);
        gate.plan(&request(ApiKey::InitProducerId, 3, &body)).expect("a plan")
    }

    #[test]
    fn transaction_timeout_above_the_maximum_is_refused() {
        assert!(matches!(init(60_000, (-1, -1)), Plan::Exchange { .. }));
        let response: InitProducerIdResponse = answered(init(60_001, (-1, -1)), 3);
        assert_eq!(response.error_code, ResponseError::InvalidTransactionTimeout.code());
    }

    #[test]
    fn producer_id_without_an_epoch_is_refused() {
        assert!(matches!(init(10_000, (4, 0)), Plan::Exchange { .. }));
        for producer in [(4, -1), (-1, 0)] {
            let response: InitProducerIdResponse = answered(init(10_000, producer), 3);
            assert_eq!(response.error_code, ResponseError::InvalidRequest.code());
        }
    }

    #[test]
    fn session_timeout_outside_of_the_bounds_is_refused() {
        let join = |session_timeout_ms| {
            let body = JoinGroupRequest::default()
                .with_session_timeout_ms(session_timeout_ms)
                .with_member_id(StrBytes::from_static_str("m"));
            Gate::default().plan(&request(ApiKey::JoinGroup, 5, &body)).expect("a plan")
        };
        for allowed in [6000, 10_000, 300_000] {
            assert!(matches!(join(allowed), Plan::Pass));
        }
        for refused in [5999, 300_001] {
            let response: JoinGroupResponse = answered(join(refused), 5);
            assert_eq!(response.error_code, ResponseError::InvalidSessionTimeout.code());
            assert_eq!(&*response.member_id, "m");
        }
    }
}
