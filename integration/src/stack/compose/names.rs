//! The names of parts of the native stack, and those of the services of `compose.yaml` that stand
//! for them. It asks no engine.

use crate::stack::{INSTANCES, PROGRAMS};

/// The brokers' parts and services, in their order.
const BROKERS: [(&str, &str); 3] =
    [("broker", "redpanda"), ("broker-2", "redpanda-1"), ("broker-3", "redpanda-2")];

/// The parts of the native stack that have another name in `compose.yaml`, with that name.
fn renamed() -> impl Iterator<Item = (String, String)> {
    let brokers = BROKERS.map(|(part, service)| (part.to_owned(), service.to_owned()));
    let programs = PROGRAMS.iter().flat_map(|program| {
        (0..INSTANCES).map(|number| (program.instance(number), program.compose_service(number)))
    });
    brokers.into_iter().chain(programs)
}

/// The Compose service of a part of the native stack.
pub(super) fn service(part: &str) -> String {
    renamed().find(|(name, _)| name == part).map_or_else(|| part.to_owned(), |(_, service)| service)
}

/// The part of the native stack that a Compose service stands for.
pub(super) fn part(service: &str) -> String {
    renamed().find(|(_, name)| name == service).map_or_else(|| service.to_owned(), |(part, _)| part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_its_service_name_each_other() {
        for name in [
            "broker",
            "broker-2",
            "broker-3",
            "user-0",
            "order-0",
            "order-1",
            "notification-0",
            "notification-1",
            "gateway-0",
            "gateway-1",
            "postgres",
        ] {
            assert_eq!(part(&service(name)), name);
        }
        assert_eq!(service("broker-2"), "redpanda-1");
    }
}
