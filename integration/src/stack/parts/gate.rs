//! The gate before the brokers, which makes Kafka answer as Redpanda does. It is one process for
//! all of them, since the rules on transactions need what was sent to any of them: to each
//! transaction's coordinator and each group's. It listens where clients look for the brokers, with
//! the cluster settings of `redpanda/broker.yaml`, and rewrites no address.

use std::ffi::OsString;

use super::Context;
use crate::stack::ports::Broker;
use crate::stack::{Kind, Part, Ready, StackError};

/// The cluster settings that are settings of the gate too, by the same names.
const SETTINGS: [&str; 3] =
    ["transaction_max_timeout_ms", "group_min_session_timeout_ms", "group_max_session_timeout_ms"];

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let brokers = context.ports.brokers();
    let mut command = crate::command![context.layout.bin("gate")?];
    for broker in &brokers {
        let mut pairs = vec![(&broker.advertised, &broker.behind_gate)];
        pairs.extend(broker.proxied.as_ref().map(|proxied| (&proxied.at, &proxied.behind_gate)));
        for (listen, upstream) in pairs {
            command.extend(crate::command!["--listen", format!("{listen}={upstream}")]);
        }
    }
    command.extend(cluster_settings(context)?);
    let bootstrap = context.ports.bootstrap();
    Ok(Part::new("gate", Kind::Server, 2, command, ready(&brokers)).at(bootstrap))
}

/// It is ready when each broker names all of them to a client through it.
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

/// What `redpanda/broker.yaml` sets, as options; the gate has Redpanda's defaults for the rest.
fn cluster_settings(context: &Context) -> Result<Vec<OsString>, StackError> {
    let path = context.layout.root.join("redpanda/broker.yaml");
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
