//! Apache Kafka (KRaft, one node) in Redpanda's place: it speaks the same protocol. Topics are never created by use, groups form
//! without delay, and the internal topics are as small as one node allows. Behind the gate it listens on an inner port and
//! advertises the gate's; what it asks of itself never goes through the gate.

use super::{Context, java, make, write};
use crate::stack::ports::local;
use crate::stack::{Kind, Part, Ready, StackError, Step};

/// Any 16 bytes in base64; there is one node, so there is nobody to tell apart.
const CLUSTER_ID: &str = "bWlsbHJhY2UtbmF0aXZlMQ";

/// The broker, behind the gate when `gated`.
pub(super) fn part(context: &Context, gated: bool) -> Result<Part, StackError> {
    let data = context.layout.data.join("kafka");
    make(&data)?;
    let config = context.layout.configs().join("kafka.properties");
    let ports = &context.ports;
    let advertised = local(ports.outer.broker_port);
    let address = if gated { ports.at("broker behind gate") } else { advertised.clone() };
    let proxied = ports
        .proxied()
        .map(|(at, proxy)| (ports.proxied_behind_gate().filter(|_| gated).unwrap_or(at), proxy));
    let inner = ports.at("broker inner");
    let listeners = Listeners { address: &address, advertised: &advertised, inner: &inner, proxied };
    write(&config, &properties(&listeners, &ports.at("controller"), &data.display().to_string()))?;

    let mut base = java(768, &[context.layout.jars("kafka").join("*")])?;
    base.extend(crate::command![
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
    ]);
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
    base.extend(crate::command!["kafka.Kafka", &config]);

    // It listens long before it serves: it is ready when it names itself to a client, past the gate.
    let question = format!("kcat -b {inner} -L -m 2 | grep -q 'broker 1 at'");
    let ready = Ready::Command(crate::command!["sh", "-c", question]);
    let mut part = Part::new("broker", Kind::Server, 1, base, ready).at(address);
    part.before = vec![Step {
        what: "format the broker's storage",
        unless: Some(data.join("bootstrap.checkpoint")),
        command: format,
        stdin: String::new(),
    }];
    Ok(part)
}

/// Where the broker listens, and what it advertises.
struct Listeners<'a> {
    address: &'a str,
    advertised: &'a str,
    /// For the broker itself and for asking whether it serves.
    inner: &'a str,
    proxied: Option<(String, String)>,
}

fn properties(listeners: &Listeners, controller: &str, data: &str) -> String {
    let Listeners { address, advertised, inner, proxied } = listeners;
    let (proxied_listener, proxied_advertised) = match proxied {
        Some((at, proxy)) => (format!(",PROXIED://{at}"), format!(",PROXIED://{proxy}")),
        None => (String::new(), String::new()),
    };
    format!(
        "# Written by the stack at each start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address},INNER://{inner},CONTROLLER://{controller}{proxied_listener}
advertised.listeners=PLAINTEXT://{advertised},INNER://{inner}{proxied_advertised}
inter.broker.listener.name=INNER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={data}

# Topics are declared in redpanda/topics.yaml; a name mistyped must not make one.
auto.create.topics.enable=false
# A killed broker is let in again when its old session is over.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=6000
# Positions of groups outlive a long holiday of the developer.
offsets.retention.minutes=525600
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.max.timeout.ms=900000
default.replication.factor=1
num.network.threads=2
num.io.threads=4
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=33554432
"
    )
}
