//! The gate before the broker, which makes Kafka answer as Redpanda does. It listens where clients look for the broker.

use super::Context;
use crate::stack::ports::local;
use crate::stack::{Kind, Part, Ready, StackError};

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let ports = &context.ports;
    let address = local(ports.outer.broker_port);
    let mut command = crate::command![context.layout.bin("gate")?];
    command.extend(crate::command!["--listen", format!("{address}={}", ports.at("broker behind gate"))]);
    if let (Some((at, _)), Some(behind)) = (ports.proxied(), ports.proxied_behind_gate()) {
        command.extend(crate::command!["--listen", format!("{at}={behind}")]);
    }
    // It is ready when the broker names itself to a client through it.
    let question = format!("kcat -b {address} -L -m 2 | grep -q 'broker 1 at {address}'");
    let ready = Ready::Command(crate::command!["sh", "-c", question]);
    Ok(Part::new("gate", Kind::Server, 2, command, ready).at(address))
}
