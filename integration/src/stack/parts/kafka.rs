//! Apache Kafka (KRaft, one broker or three) instead of Redpanda: it has the same protocol. Topics
//! are never created by use, groups form without delay, and the internal topics have few
//! partitions. Each of three brokers is a controller too and has a replica of everything, and a
//! write is acknowledged when two have it. Behind the gate a broker listens on an internal port and
//! advertises the gate's. Requests between brokers never go through the gate.

use nix::sys::signal::Signal;

use super::{Setup, java, links, make, write};
use crate::stack::ports::{Broker, numbered};
use crate::stack::{Part, PartKind, Ready, StackError, Step};

/// Any 16 bytes in base64: no two clusters ever connect to each other.
const CLUSTER_ID: &str = "bWlsbHJhY2UtbmF0aXZlMQ";

/// The heap of a single broker, and of each of several.
const HEAP_MB: [u32; 2] = [768, 512];

/// Every broker, behind the gate when `gated`. Each is a controller too, and has its own data.
pub(super) fn parts(setup: &Setup, gated: bool) -> Result<Vec<Part>, StackError> {
    let brokers = setup.ports.brokers();
    brokers.iter().map(|broker| part(setup, broker, &brokers, gated)).collect()
}

fn part(setup: &Setup, broker: &Broker, all: &[Broker], gated: bool) -> Result<Part, StackError> {
    let (id, name) = (broker.id, broker.name());
    let data = setup.layout.data.join(numbered("kafka", id));
    make(&data)?;
    let config = setup.layout.configs().join(numbered("kafka", id) + ".properties");
    let address = if gated { &broker.behind_gate } else { &broker.advertised }.clone();
    let proxied = broker.proxied.as_ref().map(|proxied| {
        let at = if gated { &proxied.behind_gate } else { &proxied.at };
        (at.clone(), proxied.proxy.clone())
    });
    // Several brokers find each other by names, so that each can have links to the others.
    let among_peers = |id: usize, address: &str| match (all.len(), address.rsplit_once(':')) {
        (2.., Some((_, port))) => format!("{}:{port}", links::host(id)),
        _ => address.to_owned(),
    };
    let voter =
        |voter: &Broker| format!("{}@{}", voter.id, among_peers(voter.id, &voter.controller));
    let internal = &broker.internal;
    let listeners = Listeners {
        address: &address,
        advertised: &broker.advertised,
        internal: &among_peers(id, internal),
        controller: &among_peers(id, &broker.controller),
        proxied,
    };
    let voters: Vec<_> = all.iter().map(voter).collect();
    let mut text = properties(&listeners, id, &voters, &data.display().to_string());
    if let Some(secured) = &setup.secured {
        text += &secured.broker_properties(&address, internal, &broker.controller)?;
    }
    write(&config, &text)?;

    let heap_mb = HEAP_MB[usize::from(all.len() > 1)];
    let mut base = java(heap_mb, &[setup.layout.jars("kafka").join("*")])?;
    base.extend(crate::command![
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
    ]);
    if all.len() > 1 {
        base.push(format!("-Djdk.net.hosts.file={}", links::hosts(setup, broker, all)?).into());
    }
    let mut format = base.clone();
    format.extend(crate::command![
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        "--cluster-id",
        CLUSTER_ID,
        "--config",
        &config,
    ]);
    if let Some(secured) = &setup.secured {
        let users = setup.layout.configs().join("kafka-users.options");
        write(&users, &secured.scram_users()?)?;
        format.push(format!("@{}", users.display()).into());
    }
    base.extend(crate::command!["kafka.Kafka", &config]);

    // A broker listens long before it serves. It is ready when it gives a client, not through the
    // gate, its own address.
    let question = format!("kcat -b {internal} -L -m 2 | grep -q 'broker {id} at'");
    let ready = Ready::Command(crate::command!["sh", "-c", question]);
    let mut part = Part::new(name, PartKind::Server, 1, base, ready).at(address);
    if all.len() > 1 {
        // Each broker asks the controllers before it stops. When two of three have stopped, the
        // last waits for minutes for a quorum that never comes. Only `run` has several brokers, and
        // it throws their data away.
        part.stop_with_all = Some(Signal::SIGKILL);
    }
    part.before = vec![Step {
        what: "format the broker's storage",
        unless: Some(data.join("bootstrap.checkpoint")),
        command: format,
        stdin: String::new(),
    }];
    Ok(part)
}

/// The addresses at which a broker listens, and those that it advertises.
struct Listeners<'a> {
    address: &'a str,
    advertised: &'a str,
    /// For the other brokers, and for the check whether it serves.
    internal: &'a str,
    controller: &'a str,
    proxied: Option<(String, String)>,
}

fn properties(listeners: &Listeners, id: usize, voters: &[String], data: &str) -> String {
    let replicas = voters.len();
    // With three replicas, what is acknowledged survives any one of them.
    let in_sync_min = if replicas < 3 { 1 } else { 2 };
    let Listeners { address, advertised, internal, controller, proxied } = listeners;
    let voters = voters.join(",");
    let (proxied_listener, proxied_advertised) = match proxied {
        Some((at, proxy)) => (format!(",PROXIED://{at}"), format!(",PROXIED://{proxy}")),
        None => (String::new(), String::new()),
    };
    format!(
        "# Written by the stack at each start.
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address},INTERNAL://{internal},CONTROLLER://{controller}{proxied_listener}
advertised.listeners=PLAINTEXT://{advertised},INTERNAL://{internal}{proxied_advertised}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={data}

# Topics are declared in redpanda/topics.yaml; a mistyped name must not create one.
auto.create.topics.enable=false
# A broker that was killed is admitted again when its old session has ended.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=6000
# Offsets of groups survive weeks without a start.
offsets.retention.minutes=525600
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync_min}
transaction.state.log.num.partitions=4
transaction.max.timeout.ms=900000
default.replication.factor={replicas}
min.insync.replicas={in_sync_min}
# Leaders move when a broker fails or a test moves them, never by themselves.
auto.leader.rebalance.enable=false
num.network.threads=2
num.io.threads=4
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=33554432
"
    )
}
