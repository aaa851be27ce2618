//! The gate before the broker, which makes Kafka answer as Redpanda does. It listens where clients look for the broker, with the
//! cluster settings of `redpanda/broker.yaml`.

use std::ffi::OsString;

use super::Context;
use crate::stack::ports::local;
use crate::stack::{Kind, Part, Ready, StackError};

/// The cluster settings that are settings of the gate too, by the same names.
const SETTINGS: [&str; 3] =
    ["transaction_max_timeout_ms", "group_min_session_timeout_ms", "group_max_session_timeout_ms"];

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let ports = &context.ports;
    let address = local(ports.outer.broker_port);
    let mut command = crate::command![context.layout.bin("gate")?];
    command.extend(crate::command!["--listen", format!("{address}={}", ports.at("broker behind gate"))]);
    if let (Some((at, _)), Some(behind)) = (ports.proxied(), ports.proxied_behind_gate()) {
        command.extend(crate::command!["--listen", format!("{at}={behind}")]);
    }
    command.extend(cluster_settings(context)?);
    // It is ready when the broker names itself to a client through it.
    let question = format!("kcat -b {address} -L -m 2 | grep -q 'broker 1 at {address}'");
    let ready = Ready::Command(crate::command!["sh", "-c", question]);
    Ok(Part::new("gate", Kind::Server, 2, command, ready).at(address))
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
    known.map(|(name, value)| format!("--{}={}", name.replace('_', "-"), value.trim()).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_cluster_become_options() {
        let text = "# group_min_session_timeout_ms: 1\nother: 3\ngroup_max_session_timeout_ms: 300000\n";
        assert_eq!(options(text), ["--group-max-session-timeout-ms=300000"]);
    }

    #[test]
    fn the_projects_cluster_settings_name_every_one() {
        let all = options(include_str!("../../../../redpanda/broker.yaml"));
        assert_eq!(all.len(), SETTINGS.len(), "{all:?}");
    }
}
