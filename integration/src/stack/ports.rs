//! Which port serves what. The outer ones are the well-known ones and are never moved silently; the inner ones listen on loopback only
//! and move aside when taken. All stand below the range that the kernel gives to outgoing connections, so that none is lost between
//! choosing and binding it. It binds nothing for good.

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

/// Every port of one stack.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The ones that people use.
    pub outer: Outer,
    inner: BTreeMap<&'static str, u16>,
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
        let mut taken =
            HashSet::from([outer.http_port, outer.broker_port, outer.registry_port, outer.prometheus_port]);
        Ok(Self::place(outer, &mut taken, 0))
    }

    /// For `run`: all of them wherever there is room, from a random start so that two runs rarely meet.
    pub fn anywhere() -> Self {
        let start = rand::random_range(20_000..30_000);
        let mut taken = HashSet::new();
        let mut next = || pick(start, &mut taken);
        let outer =
            Outer { http_port: next(), broker_port: next(), registry_port: next(), prometheus_port: next() };
        let mail = next();
        let mut ports = Self::place(outer, &mut taken, start);
        // Nothing of the stack listens there: a test that wants mail does.
        ports.inner.insert("mail", mail);
        // The broker advertises the proxy of a test for its second listener; the test forwards to "proxied".
        ports.inner.insert("proxied", pick(start, &mut taken));
        ports.inner.insert("proxied behind gate", pick(start, &mut taken));
        ports.inner.insert("proxy", pick(start, &mut taken));
        ports
    }

    fn place(outer: Outer, taken: &mut HashSet<u16>, start: u16) -> Self {
        let mut inner = BTreeMap::new();
        for (name, like) in INNER.into_iter().chain([("inner gateway-1", 19107)]) {
            inner.insert(name, pick(if start == 0 { like } else { start }, taken));
        }
        Self { outer, inner }
    }

    /// The port of the inner server `name`.
    pub fn of(&self, name: &str) -> u16 {
        self.inner.get(name).copied().unwrap_or_else(|| unreachable!("no inner port is called {name}"))
    }

    /// The loopback address of the inner server `name`.
    pub fn at(&self, name: &str) -> String {
        local(self.of(name))
    }

    /// The mail server that the notification service is told of; only in `run`, where tests play it.
    pub fn mail_url(&self) -> Option<String> {
        self.inner.get("mail").map(|port| format!("smtp://{}", local(*port)))
    }

    /// Where a test's proxy forwards to, and where it listens, which is what the broker advertises there. Only in `run`.
    pub fn proxied(&self) -> Option<(String, String)> {
        Some((local(*self.inner.get("proxied")?), local(*self.inner.get("proxy")?)))
    }

    /// The broker's listener behind the gate's at [`Ports::proxied`]. Only in `run`.
    pub fn proxied_behind_gate(&self) -> Option<String> {
        self.inner.get("proxied behind gate").copied().map(local)
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
    let port =
        (from..32_000).chain(10_000..from).find(|port| !taken.contains(port) && free(*port)).unwrap_or(from);
    taken.insert(port);
    port
}

/// Someone may listen on all addresses or on loopback alone: either is in the way.
fn free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].into_iter().all(|at| TcpListener::bind((at, port)).is_ok())
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
        assert!(message.contains(&port.to_string()) && message.contains("--registry-port"), "{message}");
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
