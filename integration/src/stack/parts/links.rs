//! The links between several brokers. Each broker has a relay process for all connections to and
//! from the other brokers and controllers. A test that stops this process cuts the broker off from
//! its peers, while clients still reach it. Each broker finds the others by names, which its own
//! hosts file maps to addresses of its relay.

use super::{Setup, write};
use crate::gate::Listener;
use crate::stack::ports::{Broker, numbered};
use crate::stack::{Part, PartKind, Ready, StackError};

/// The host name of broker `id`, which only brokers know.
pub(super) fn host(id: usize) -> String {
    format!("broker-{id}.peers")
}

/// The relays of all brokers.
pub(super) fn parts(setup: &Setup) -> Result<Vec<Part>, StackError> {
    let brokers = setup.ports.brokers();
    brokers.iter().map(|broker| part(setup, broker, &brokers)).collect()
}

fn part(setup: &Setup, broker: &Broker, all: &[Broker]) -> Result<Part, StackError> {
    let mut command = crate::command![setup.layout.bin("gate")?];
    let relays = relays(broker, all);
    let first = relays.first().map(|relay| relay.listen.to_string()).unwrap_or_default();
    for Listener { listen, upstream } in &relays {
        command.extend(crate::command!["--relay", format!("{listen}={upstream}")]);
    }
    let ready = Ready::Tcp(first);
    let peers = format!("between {} and the other brokers", broker.name());
    Ok(Part::new(numbered("link", broker.id), PartKind::Server, 0, command, ready).at(peers))
}

/// Writes the hosts file of a broker and returns its path. The broker's own name is loopback; the
/// names of the others are its relay.
pub(super) fn hosts(setup: &Setup, broker: &Broker, all: &[Broker]) -> Result<String, StackError> {
    let address = |other: &Broker| match other.id == broker.id {
        true => "127.0.0.1".to_owned(),
        false => out_of(broker, other),
    };
    let lines: String =
        all.iter().map(|other| format!("{} {}\n", address(other), host(other.id))).collect();
    let path = setup.layout.configs().join(numbered("kafka", broker.id) + ".hosts");
    write(&path, &format!("127.0.0.1 localhost\n{lines}"))?;
    Ok(path.display().to_string())
}

/// The address of the relay of `from` for connections to `to`.
fn out_of(from: &Broker, to: &Broker) -> String {
    format!("127.1.{}.{}", from.id, to.id)
}

/// The address of the relay of `to` for connections from the relay of `from`.
fn into(from: &Broker, to: &Broker) -> String {
    format!("127.2.{}.{}", from.id, to.id)
}

fn relays(broker: &Broker, all: &[Broker]) -> Vec<Listener> {
    let others = all.iter().filter(|other| other.id != broker.id);
    let pairs = others.flat_map(|other| {
        let own = "127.0.0.1".to_owned();
        [(other, out_of(broker, other), into(broker, other)), (broker, into(other, broker), own)]
    });
    pairs
        .flat_map(|(to, listen, upstream)| {
            [&to.internal, &to.controller].map(|address| {
                let port = address.rsplit(':').next().unwrap_or_default();
                (format!("{listen}:{port}"), format!("{upstream}:{port}"))
            })
        })
        .filter_map(|(listen, upstream)| Some(Listener { listen: listen.parse().ok()?, upstream }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Ports;

    #[test]
    fn every_way_between_two_brokers_goes_through_both_their_links() {
        let all = Ports::anywhere_with(3).brokers();
        let links: Vec<_> = all.iter().map(|broker| relays(broker, &all)).collect();
        for from in &all {
            for to in all.iter().filter(|to| to.id != from.id) {
                for address in [&to.internal, &to.controller] {
                    let port = address.rsplit(':').next().expect("a port");
                    let upstream_of = |link: &[Listener], at: &str| {
                        let found = link.iter().find(|relay| relay.listen.to_string() == at);
                        found.map(|relay| relay.upstream.clone()).expect("a relay")
                    };
                    let middle =
                        upstream_of(&links[from.id - 1], &format!("{}:{port}", out_of(from, to)));
                    assert_eq!(upstream_of(&links[to.id - 1], &middle), **address);
                }
            }
        }
    }
}
