//! What connects each of several brokers with the others: a process of its own, through which goes
//! all that other brokers and controllers say to it and all that it says to them. Stopped, it cuts
//! the broker off from its peers, while clients still reach it. Each broker finds the others by
//! names that its own hosts file turns into addresses of its own link.

use super::{Context, write};
use crate::gate::Listener;
use crate::stack::ports::{Broker, numbered};
use crate::stack::{Kind, Part, Ready, StackError};

/// The name of broker `id`, for brokers alone.
pub(super) fn host(id: usize) -> String {
    format!("broker-{id}.peers")
}

/// The links of all brokers.
pub(super) fn parts(context: &Context) -> Result<Vec<Part>, StackError> {
    let brokers = context.ports.brokers();
    brokers.iter().map(|broker| part(context, broker, &brokers)).collect()
}

fn part(context: &Context, broker: &Broker, all: &[Broker]) -> Result<Part, StackError> {
    let mut command = crate::command![context.layout.bin("gate")?];
    let relays = relays(broker, all);
    let first = relays.first().map(|relay| relay.listen.to_string()).unwrap_or_default();
    for Listener { listen, upstream } in &relays {
        command.extend(crate::command!["--relay", format!("{listen}={upstream}")]);
    }
    let ready = Ready::Tcp(first);
    let peers = format!("between {} and the other brokers", broker.name());
    Ok(Part::new(numbered("link", broker.id), Kind::Server, 0, command, ready).at(peers))
}

/// Writes the hosts file of a broker and returns its path: its own name is loopback, the others'
/// are its link.
pub(super) fn hosts(
    context: &Context,
    broker: &Broker,
    all: &[Broker],
) -> Result<String, StackError> {
    let address = |other: &Broker| match other.id == broker.id {
        true => "127.0.0.1".to_owned(),
        false => out_of(broker, other),
    };
    let lines: String =
        all.iter().map(|other| format!("{} {}\n", address(other), host(other.id))).collect();
    let path = context.layout.configs().join(numbered("kafka", broker.id) + ".hosts");
    write(&path, &format!("127.0.0.1 localhost\n{lines}"))?;
    Ok(path.display().to_string())
}

/// Where the link of `from` takes what it says to `to`.
fn out_of(from: &Broker, to: &Broker) -> String {
    format!("127.1.{}.{}", from.id, to.id)
}

/// Where the link of `to` takes what `from`'s link has for it.
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
            [&to.inner, &to.controller].map(|address| {
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
                for address in [&to.inner, &to.controller] {
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
