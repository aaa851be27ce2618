//! Apache Kafka (KRaft, one node) in Redpanda's place: it speaks the same protocol. Topics are never created by use, groups form without
//! delay, and the internal topics are as small as one node allows.

use super::{Context, java, make, write};
use crate::stack::ports::local;
use crate::stack::{Kind, Part, Ready, StackError, Step};

/// Any 16 bytes in base64; there is one node, so there is nobody to tell apart.
const CLUSTER_ID: &str = "bWlsbHJhY2UtbmF0aXZlMQ";

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let data = context.layout.data.join("kafka");
    make(&data)?;
    let config = context.layout.configs().join("kafka.properties");
    let address = local(context.ports.outer.broker_port);
    let controller = context.ports.at("controller");
    let proxied = context.ports.proxied();
    write(&config, &properties(&address, proxied, &controller, &data.display().to_string()))?;

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

    // It listens long before it serves: it is ready when it names itself to a client.
    let question = format!("kcat -b {address} -L -m 2 | grep -q 'broker 1 at'");
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

fn properties(address: &str, proxied: Option<(String, String)>, controller: &str, data: &str) -> String {
    let (listener, advertised) = match proxied {
        Some((at, proxy)) => (format!(",PROXIED://{at}"), format!(",PROXIED://{proxy}")),
        None => (String::new(), String::new()),
    };
    format!(
        "# Written by the stack at each start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address},CONTROLLER://{controller}{listener}
advertised.listeners=PLAINTEXT://{address}{advertised}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
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
