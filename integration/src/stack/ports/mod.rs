//! Which port serves what. The public ports are the well-known ones and never move silently. The
//! internal ones are on loopback and move to the next free port. All are below the range that the
//! kernel gives to outgoing connections, so that none is taken between choosing and binding it.
//! This file binds nothing for good.

mod brokers;

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::StackError;
use super::programs::{INSTANCES, PROGRAMS};

use brokers::OF_BROKER;
pub(super) use brokers::numbered;
pub use brokers::{Broker, ProxiedListener};

/// The ports that people use.
#[derive(Clone, Debug, clap::Args)]
pub struct PublicPorts {
    /// Port of the balancer in front of the gateways
    #[arg(long, default_value_t = 3000, value_name = "PORT")]
    pub http_port: u16,
    /// Port of the broker (Kafka API)
    #[arg(long, default_value_t = 9092, value_name = "PORT")]
    pub broker_port: u16,
    /// Port of the schema registry
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    pub registry_port: u16,
    /// Port of Prometheus
    #[arg(long, default_value_t = 9090, value_name = "PORT")]
    pub prometheus_port: u16,
}

/// Internal ports of the servers, with the port that each gets in `up` if it is free.
const SERVERS: [(&str, u16); 7] = [
    // The broker's own ports: one behind the gate, one for itself and the stack's requests.
    ("broker behind gate", 19092),
    ("broker internal", 19091),
    ("postgres", 15432),
    ("redis", 16379),
    ("mongo", 17017),
    ("controller", 19093),
    ("apicurio", 18081),
];

/// Every port of one stack.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The ones that people use.
    pub public: PublicPorts,
    internal: BTreeMap<String, u16>,
    /// The ports of each broker after the first.
    further: Vec<BTreeMap<&'static str, u16>>,
}

impl Ports {
    /// The ports of `up`: the public ones as given, each internal one at its usual port or the next
    /// free one.
    ///
    /// # Errors
    /// When a public port is in use.
    pub fn well_known(public: PublicPorts) -> Result<Self, StackError> {
        for (port, what, option) in [
            (public.http_port, "the balancer", "--http-port"),
            (public.broker_port, "the broker", "--broker-port"),
            (public.registry_port, "the schema registry", "--registry-port"),
            (public.prometheus_port, "Prometheus", "--prometheus-port"),
        ] {
            if !free(port) {
                return Err(StackError::PortInUse { port, what, option });
            }
        }
        let mut taken = HashSet::from([
            public.http_port,
            public.broker_port,
            public.registry_port,
            public.prometheus_port,
        ]);
        Ok(Self::assign(public, &mut taken, None))
    }

    /// The ports of `run` with one broker: any free ones, searched from a random start so that two
    /// runs rarely meet.
    pub fn anywhere() -> Self {
        Self::anywhere_with(1)
    }

    /// The ports of `run` with this many brokers.
    pub fn anywhere_with(brokers: usize) -> Self {
        let start = rand::random_range(20_000..30_000);
        let mut taken = HashSet::new();
        let mut next = || pick(start, &mut taken);
        let public = PublicPorts {
            http_port: next(),
            broker_port: next(),
            registry_port: next(),
            prometheus_port: next(),
        };
        let mut ports = Self::assign(public, &mut taken, Some(start));
        // Nothing of the stack listens at "mail" and "proxy": a test does that wants to. The broker
        // advertises "proxy" for its second listener, and the test's proxy forwards to "proxied".
        for name in ["mail", "proxied", "proxied behind gate", "proxy"] {
            ports.internal.insert(name.to_owned(), pick(start, &mut taken));
        }
        for _ in 1..brokers {
            ports.further.push(OF_BROKER.map(|name| (name, pick(start, &mut taken))).into());
        }
        ports
    }

    /// Gives each internal listener its usual port, or one from `start` on, or the next free one.
    fn assign(public: PublicPorts, taken: &mut HashSet<u16>, start: Option<u16>) -> Self {
        let mut usual: Vec<(String, u16)> =
            SERVERS.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        for program in PROGRAMS {
            for (number, offset) in (0..INSTANCES).zip(0_u16..) {
                let instance = program.instance(number);
                usual.push((internal(&instance), program.internal_port + offset));
                usual.extend(program.public_port.map(|port| (instance, port + offset)));
            }
        }
        let assigned =
            usual.into_iter().map(|(name, port)| (name, pick(start.unwrap_or(port), taken)));
        Self { public, internal: assigned.collect(), further: Vec::new() }
    }

    /// The port of the internal listener `name`.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn of(&self, name: &str) -> u16 {
        self.internal
            .get(name)
            .copied()
            .unwrap_or_else(|| unreachable!("no internal port is called {name}"))
    }

    /// The loopback address of the internal listener `name`.
    pub fn at(&self, name: &str) -> String {
        local(self.of(name))
    }

    /// The mail server that the notification service sends to; only in `run`, where a test may
    /// listen there.
    pub fn mail_url(&self) -> Option<String> {
        self.internal.get("mail").map(|port| format!("smtp://{}", local(*port)))
    }

    /// The internal HTTP listener (metrics, health) of `instance`.
    pub fn internal_http(&self, instance: &str) -> String {
        self.at(&internal(instance))
    }
}

/// The name of the internal HTTP listener of `instance`.
fn internal(instance: &str) -> String {
    format!("internal {instance}")
}

/// `port` on loopback.
pub(super) fn local(port: u16) -> String {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()
}

fn pick(from: u16, taken: &mut HashSet<u16>) -> u16 {
    let port = (from..32_000)
        .chain(10_000..from)
        .find(|port| !taken.contains(port) && free(*port))
        .unwrap_or(from);
    taken.insert(port);
    port
}

/// Whether no program listens on `port`, on all addresses or on loopback alone.
fn free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .all(|at| TcpListener::bind((at, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_port_that_is_in_use_is_named_with_its_option() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = held.local_addr().expect("its number").port();
        let mut public = Ports::anywhere().public;
        public.registry_port = port;
        let message = Ports::well_known(public).expect_err("the port is taken").to_string();
        assert!(
            message.contains(&port.to_string()) && message.contains("--registry-port"),
            "{message}"
        );
    }

    #[test]
    fn every_instance_of_every_program_has_an_internal_listener() {
        let ports = Ports::anywhere();
        let listeners: HashSet<_> = PROGRAMS
            .iter()
            .flat_map(crate::stack::Program::instances)
            .map(|instance| ports.internal_http(&instance))
            .collect();
        assert_eq!(listeners.len(), PROGRAMS.len() * INSTANCES);
    }

    #[test]
    fn internal_port_that_is_in_use_is_replaced_by_another() {
        let mut taken = HashSet::new();
        let first = pick(21_000, &mut taken);
        let _held = TcpListener::bind(("127.0.0.1", first)).expect("it was free");
        assert_ne!(first, pick(first, &mut HashSet::new()));
        assert_ne!(first, pick(first, &mut taken));
    }
}
