//! Which port serves what. The outer ones are the well-known ones and are never moved silently; the
//! inner ones listen on loopback only and move aside when taken. All stand below the range that the
//! kernel gives to outgoing connections, so that none is lost between choosing and binding it. It
//! binds nothing for good.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::StackError;

/// The ports that people use.
#[derive(Clone, Debug, clap::Args)]
pub struct Outer {
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

/// Inner ports and where each would like to be.
const INNER: [(&str, u16); 16] = [
    // The broker's own ports: one behind the gate, one for itself and the stack's questions.
    ("broker behind gate", 19092),
    ("broker inner", 19091),
    ("postgres", 15432),
    ("redis", 16379),
    ("mongo", 17017),
    ("controller", 19093),
    ("apicurio", 18081),
    ("gateway-0", 13101),
    ("gateway-1", 13102),
    ("inner user-0", 19100),
    ("inner user-1", 19101),
    ("inner order-0", 19102),
    ("inner order-1", 19103),
    ("inner notification-0", 19104),
    ("inner notification-1", 19105),
    ("inner gateway-0", 19106),
];

/// What each broker after the first has ports for, by the names of the first one's.
const OF_BROKER: [&str; 7] = [
    "broker",
    "broker behind gate",
    "broker inner",
    "controller",
    "proxied",
    "proxied behind gate",
    "proxy",
];

/// Every port of one stack.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The ones that people use.
    pub outer: Outer,
    inner: BTreeMap<&'static str, u16>,
    /// The ports of each broker after the first.
    further: Vec<BTreeMap<&'static str, u16>>,
}

/// Where one broker listens, and where clients look for it.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its number in the cluster, from 1 on.
    pub id: usize,
    /// Where clients look for it.
    pub advertised: String,
    /// Where it listens when the gate listens at `advertised`.
    pub behind_gate: String,
    /// For the other brokers and the stack's questions.
    pub inner: String,
    /// For the quorum of controllers.
    pub controller: String,
    /// Its listener for clients behind a test's proxy; only in `run`.
    pub proxied: Option<ProxiedListener>,
}

/// A listener that advertises the address of a test's proxy.
#[derive(Clone, Debug)]
pub struct ProxiedListener {
    /// Where the proxy forwards to.
    pub at: String,
    /// Where the broker listens when the gate listens at `at`.
    pub behind_gate: String,
    /// Where the proxy listens, which the broker advertises.
    pub proxy: String,
}

impl Broker {
    /// The name of its part: the first is `broker`, the others have a number.
    pub fn name(&self) -> String {
        numbered("broker", self.id)
    }
}

/// `name`, with the number of every broker but the first.
pub(super) fn numbered(name: &str, id: usize) -> String {
    if id == 1 { name.to_owned() } else { format!("{name}-{id}") }
}

impl Ports {
    /// For `up`: the outer ports must be free, the inner ones go where there is room.
    pub fn well_known(outer: Outer) -> Result<Self, StackError> {
        for (port, what, option) in [
            (outer.http_port, "the balancer", "--http-port"),
            (outer.broker_port, "the broker", "--broker-port"),
            (outer.registry_port, "the schema registry", "--registry-port"),
            (outer.prometheus_port, "Prometheus", "--prometheus-port"),
        ] {
            if !free(port) {
                return Err(StackError::PortInUse { port, what, option });
            }
        }
        let mut taken = HashSet::from([
            outer.http_port,
            outer.broker_port,
            outer.registry_port,
            outer.prometheus_port,
        ]);
        Ok(Self::place(outer, &mut taken, 0))
    }

    /// For `run`: all of them wherever there is room, from a random start so that two runs rarely
    /// meet.
    pub fn anywhere() -> Self {
        Self::anywhere_with(1)
    }

    /// The same for so many brokers.
    pub fn anywhere_with(brokers: usize) -> Self {
        let start = rand::random_range(20_000..30_000);
        let mut taken = HashSet::new();
        let mut next = || pick(start, &mut taken);
        let outer = Outer {
            http_port: next(),
            broker_port: next(),
            registry_port: next(),
            prometheus_port: next(),
        };
        let mail = next();
        let mut ports = Self::place(outer, &mut taken, start);
        // Nothing of the stack listens there: a test that wants mail does.
        ports.inner.insert("mail", mail);
        // The broker advertises the proxy of a test for its second listener; the test forwards to
        // "proxied".
        ports.inner.insert("proxied", pick(start, &mut taken));
        ports.inner.insert("proxied behind gate", pick(start, &mut taken));
        ports.inner.insert("proxy", pick(start, &mut taken));
        for _ in 1..brokers {
            ports.further.push(OF_BROKER.map(|name| (name, pick(start, &mut taken))).into());
        }
        ports
    }

    fn place(outer: Outer, taken: &mut HashSet<u16>, start: u16) -> Self {
        let mut inner = BTreeMap::new();
        for (name, like) in INNER.into_iter().chain([("inner gateway-1", 19107)]) {
            inner.insert(name, pick(if start == 0 { like } else { start }, taken));
        }
        Self { outer, inner, further: Vec::new() }
    }

    /// The port of the inner server `name`.
    pub fn of(&self, name: &str) -> u16 {
        self.inner
            .get(name)
            .copied()
            .unwrap_or_else(|| unreachable!("no inner port is called {name}"))
    }

    /// The loopback address of the inner server `name`.
    pub fn at(&self, name: &str) -> String {
        local(self.of(name))
    }

    /// The mail server that the notification service is told of; only in `run`, where tests play
    /// it.
    pub fn mail_url(&self) -> Option<String> {
        self.inner.get("mail").map(|port| format!("smtp://{}", local(*port)))
    }

    /// Every broker, the first one first.
    pub fn brokers(&self) -> Vec<Broker> {
        let proxied = |ports: &BTreeMap<&'static str, u16>| {
            Some(ProxiedListener {
                at: local(*ports.get("proxied")?),
                behind_gate: local(*ports.get("proxied behind gate")?),
                proxy: local(*ports.get("proxy")?),
            })
        };
        let first = Broker {
            id: 1,
            advertised: local(self.outer.broker_port),
            behind_gate: self.at("broker behind gate"),
            inner: self.at("broker inner"),
            controller: self.at("controller"),
            proxied: proxied(&self.inner),
        };
        let further = self.further.iter().enumerate().map(|(index, ports)| Broker {
            id: index + 2,
            advertised: local(ports["broker"]),
            behind_gate: local(ports["broker behind gate"]),
            inner: local(ports["broker inner"]),
            controller: local(ports["controller"]),
            proxied: proxied(ports),
        });
        std::iter::once(first).chain(further).collect()
    }

    /// Where clients find the brokers, comma separated.
    pub fn bootstrap(&self) -> String {
        self.brokers().iter().map(|broker| broker.advertised.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The inner HTTP listener (metrics, health) of the process `name`.
    pub fn inner_http(&self, name: &str) -> String {
        self.at(&format!("inner {name}"))
    }
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

/// Someone may listen on all addresses or on loopback alone: either is in the way.
fn free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .all(|at| TcpListener::bind((at, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_outer_port_is_named_with_its_option() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = held.local_addr().expect("its number").port();
        let mut outer = Ports::anywhere().outer;
        outer.registry_port = port;
        let message = Ports::well_known(outer).expect_err("the port is taken").to_string();
        assert!(
            message.contains(&port.to_string()) && message.contains("--registry-port"),
            "{message}"
        );
    }

    #[test]
    fn three_brokers_have_names_and_ports_of_their_own() {
        let ports = Ports::anywhere_with(3);
        let brokers = ports.brokers();
        assert_eq!(
            ["broker", "broker-2", "broker-3"],
            [0, 1, 2].map(|index| brokers[index].name())
        );
        let all = brokers.iter().flat_map(|broker| {
            let proxied = broker.proxied.as_ref().expect("a listener behind a proxy");
            let Broker { advertised, behind_gate, inner, controller, .. } = broker;
            [
                advertised,
                behind_gate,
                inner,
                controller,
                &proxied.at,
                &proxied.behind_gate,
                &proxied.proxy,
            ]
        });
        assert_eq!(all.collect::<HashSet<_>>().len(), 21, "{brokers:?}");
        assert_eq!(ports.bootstrap().split(',').count(), 3);
    }

    #[test]
    fn a_taken_inner_port_is_stepped_aside_from() {
        let mut taken = HashSet::new();
        let first = pick(21_000, &mut taken);
        let _held = TcpListener::bind(("127.0.0.1", first)).expect("it was free");
        assert_ne!(first, pick(first, &mut HashSet::new()));
        assert_ne!(first, pick(first, &mut taken));
    }
}
