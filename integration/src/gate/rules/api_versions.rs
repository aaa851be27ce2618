//! The rule `api-versions`: clients negotiate the versions that they would negotiate with Redpanda.
//! It never offers a version that Kafka does not have.

use anyhow::bail;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::Rule;
use crate::gate::plan::{Exchange, Next, Plan};
use crate::gate::table;
use crate::gate::wire::Request;

pub(super) const RULE: Rule = Rule {
    name: "api-versions",
    does: "ApiVersions offers the APIs and versions that Redpanda has and no features; a request outside of them closes the \
           connection.",
    source: "src/v/kafka/server/handlers/api_versions.cc, api_versions_handler::handle_raw; src/v/kafka/server/requests.cc, \
             process_request and process_generic; src/v/kafka/server/connection_context.cc, process_one_request",
};

/// Returns the API of a request that Redpanda serves, or `None` for an ApiVersions request of a
/// later version, which Redpanda answers nevertheless. Any other request outside of Redpanda's
/// table is an error.
pub(super) fn admitted(request: &Request) -> anyhow::Result<Option<ApiKey>> {
    let (Some(versions), Ok(api)) = (table::versions(request.key), ApiKey::try_from(request.key))
    else {
        bail!("{}: Unsupported API {}", RULE.name, request.key);
    };
    if request.version >= versions.min && request.version <= versions.max {
        return Ok(Some(api));
    }
    if api == ApiKey::ApiVersions {
        return Ok(None);
    }
    bail!("{}: Unsupported version {} for {api:?} API", RULE.name, request.version)
}

/// Asks Kafka for its versions. A version of ApiVersions that Redpanda does not have is answered in
/// version 0 with an error.
pub(super) fn plan(request: &Request) -> anyhow::Result<Plan> {
    let known =
        table::versions(request.key).is_some_and(|versions| request.version <= versions.max);
    let asked = if known {
        request.frame()
    } else {
        request.in_version_0(&ApiVersionsRequest::default())?
    };
    let request_of_kafka = Request::of(asked.clone())?;
    Ok(Plan::Exchange {
        request: asked,
        exchange: Box::new(Intersect { request: request_of_kafka, known }),
        alone: false,
    })
}

struct Intersect {
    request: Request,
    known: bool,
}

impl Exchange for Intersect {
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
        let kafka: ApiVersionsResponse = self.request.read_response(&response)?;
        let mut ours = ApiVersionsResponse::default()
            .with_error_code(kafka.error_code)
            .with_throttle_time_ms(kafka.throttle_time_ms);
        if !self.known {
            ours.error_code = ResponseError::UnsupportedVersion.code();
        }
        for mut api in kafka.api_keys {
            let Some(redpanda) = table::versions(api.api_key) else { continue };
            api.min_version = api.min_version.max(redpanda.min);
            api.max_version = api.max_version.min(redpanda.max);
            if api.min_version <= api.max_version {
                ours.api_keys.push(api);
            }
        }
        Ok(Next::Respond(self.request.response(&ours)?))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey};
    use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
    use kafka_protocol::protocol::StrBytes;

    use super::super::tests::{asked, request, responded};
    use super::*;
    use crate::gate::Gate;

    fn kafka(request: &Request) -> Bytes {
        let api = |key: ApiKey, min, max| {
            ApiVersion::default()
                .with_api_key(key as i16)
                .with_min_version(min)
                .with_max_version(max)
        };
        let feature = FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str("transaction.version"))
            .with_max_version_level(2);
        let all =
            ApiVersionsResponse::default().with_finalized_features_epoch(3).with_api_keys(vec![
                api(ApiKey::Fetch, 4, 17),
                api(ApiKey::ConsumerGroupHeartbeat, 0, 1),
                api(ApiKey::EndTxn, 0, 5),
            ]);
        let all =
            if request.version >= 3 { all.with_finalized_features(vec![feature]) } else { all };
        request.response(&all).expect("a response")
    }

    fn versions(response: &ApiVersionsResponse) -> Vec<(i16, i16, i16)> {
        response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version, api.max_version))
            .collect()
    }

    fn expected() -> Vec<(i16, i16, i16)> {
        [ApiKey::Fetch, ApiKey::EndTxn]
            .map(|api| {
                let redpanda = table::versions(api as i16).expect("Redpanda has it");
                (api as i16, redpanda.min, redpanda.max)
            })
            .to_vec()
    }

    #[test]
    fn api_versions_offers_the_intersection_without_features() {
        let request = request(ApiKey::ApiVersions, 3, &ApiVersionsRequest::default());
        let (frame, mut exchange) = asked(Gate::default().plan(&request).expect("a plan"));
        assert_eq!(request.frame(), frame);
        let next = exchange.answered(kafka(&request)).expect("a response");
        let offered: ApiVersionsResponse = responded(next, 3);

        assert_eq!(versions(&offered), expected());
        assert!(offered.finalized_features.is_empty(), "{offered:?}");
        assert_eq!(offered.finalized_features_epoch, -1);
    }

    #[test]
    fn later_version_of_api_versions_is_answered_in_version_0_with_the_error() {
        // No library encodes a version that does not exist yet; only its header is read.
        let mut frame =
            request(ApiKey::ApiVersions, 4, &ApiVersionsRequest::default()).frame().to_vec();
        frame[7] = 5;
        let request = Request::of(frame.into()).expect("a request");
        let (frame, mut exchange) = asked(Gate::default().plan(&request).expect("a plan"));
        let of_kafka = Request::of(frame).expect("a request");
        assert_eq!((of_kafka.version, of_kafka.correlation_id), (0, request.correlation_id));
        let next = exchange.answered(kafka(&of_kafka)).expect("a response");
        let offered: ApiVersionsResponse = responded(next, 0);

        assert_eq!(offered.error_code, ResponseError::UnsupportedVersion.code());
        assert_eq!(versions(&offered), expected());
    }

    #[test]
    fn request_outside_of_the_table_closes_the_connection() {
        let gate = Gate::default();
        let metadata = request(ApiKey::Metadata, 13, &MetadataRequest::default());
        assert!(gate.plan(&metadata).is_err_and(|error| error.to_string().contains("version 13")));
        let unknown =
            request(ApiKey::ConsumerGroupHeartbeat, 0, &FindCoordinatorRequest::default());
        assert!(
            gate.plan(&unknown)
                .is_err_and(|error| error.to_string().contains("Unsupported API 68"))
        );
        assert!(matches!(
            gate.plan(&request(ApiKey::Metadata, 12, &MetadataRequest::default())).expect("a plan"),
            Plan::Pass
        ));
    }
}
