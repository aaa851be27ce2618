//! The gate in front of the brokers, which makes Kafka answer as Redpanda does. One process serves
//! all brokers, because the rules on transactions need the requests to the coordinators of the
//! transaction and of the group. It listens at the addresses that the brokers advertise, has the
//! cluster settings of `redpanda/broker.yaml`, and rewrites no address.

use std::ffi::OsString;

use super::Setup;
use crate::stack::ports::Broker;
use crate::stack::{Part, PartKind, Ready, StackError};

/// The cluster settings that the gate has too, under the same names.
const SETTINGS: [&str; 3] =
    ["transaction_max_timeout_ms", "group_min_session_timeout_ms", "group_max_session_timeout_ms"];

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let brokers = setup.ports.brokers();
    let mut command = crate::command![setup.layout.bin("gate")?];
    for broker in &brokers {
        let mut pairs = vec![(&broker.advertised, &broker.behind_gate)];
        pairs.extend(broker.proxied.as_ref().map(|proxied| (&proxied.at, &proxied.behind_gate)));
        for (listen, upstream) in pairs {
            command.extend(crate::command!["--listen", format!("{listen}={upstream}")]);
        }
    }
    command.extend(cluster_settings(setup)?);
    let bootstrap = setup.ports.bootstrap();
    Ok(Part::new("gate", PartKind::Server, 2, command, ready(&brokers)).at(bootstrap))
}

/// The gate is ready when a client gets the addresses of all brokers from each of them through it.
fn ready(brokers: &[Broker]) -> Ready {
    let question = |asked: &Broker| {
        let names = brokers
            .iter()
            .map(|broker| format!("grep -q 'broker {} at {}'", broker.id, broker.advertised));
        let grep =
            names.map(|grep| format!("echo \"$all\" | {grep}")).collect::<Vec<_>>().join(" && ");
        format!("all=$(kcat -b {} -L -m 2) && {grep}", asked.advertised)
    };
    let questions = brokers.iter().map(question).collect::<Vec<_>>().join(" && ");
    Ready::Command(crate::command!["sh", "-c", questions])
}

/// The settings of `redpanda/broker.yaml` as options. For the others the gate has Redpanda's
/// defaults.
fn cluster_settings(setup: &Setup) -> Result<Vec<OsString>, StackError> {
    let path = setup.layout.root.join("redpanda/broker.yaml");
    let text = std::fs::read_to_string(&path).map_err(StackError::file("read", &path))?;
    Ok(options(&text))
}

fn options(broker_yaml: &str) -> Vec<OsString> {
    let set = broker_yaml.lines().filter_map(|line| line.split_once(": "));
    let known = set.filter(|(name, _)| SETTINGS.contains(name));
    known
        .map(|(name, value)| format!("--{}={}", name.replace('_', "-"), value.trim()).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_cluster_become_options() {
        let text =
            "# group_min_session_timeout_ms: 1\nother: 3\ngroup_max_session_timeout_ms: 300000\n";
        assert_eq!(options(text), ["--group-max-session-timeout-ms=300000"]);
    }

    #[test]
    fn the_projects_cluster_settings_name_every_one() {
        let all = options(include_str!("../../../../redpanda/broker.yaml"));
        assert_eq!(all.len(), SETTINGS.len(), "{all:?}");
    }
}
