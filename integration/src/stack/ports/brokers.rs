//! The listeners of each broker, and the addresses that clients begin with.

use std::collections::BTreeMap;

use super::{Ports, local};

/// The ports of each broker after the first, by the names of the first one's.
pub(super) const OF_BROKER: [&str; 7] = [
    "broker",
    "broker behind gate",
    "broker internal",
    "controller",
    "proxied",
    "proxied behind gate",
    "proxy",
];

/// Where one broker listens, and which addresses it advertises.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its number in the cluster, from 1 on.
    pub id: usize,
    /// The address that clients connect to.
    pub advertised: String,
    /// Where it listens when the gate listens at `advertised`.
    pub behind_gate: String,
    /// For the other brokers and the stack's requests.
    pub internal: String,
    /// For the quorum of controllers.
    pub controller: String,
    /// Its listener for clients behind a test's proxy; only in `run`.
    pub proxied: Option<ProxiedListener>,
}

/// A listener that advertises the address of a test's proxy.
#[derive(Clone, Debug)]
pub struct ProxiedListener {
    /// The address that the proxy forwards to.
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
pub(in crate::stack) fn numbered(name: &str, id: usize) -> String {
    if id == 1 { name.to_owned() } else { format!("{name}-{id}") }
}

impl Ports {
    /// Every broker, the first one first.
    pub fn brokers(&self) -> Vec<Broker> {
        let first = OF_BROKER
            .iter()
            .filter_map(|name| Some((*name, *self.internal.get(*name)?)))
            .chain([("broker", self.public.broker_port)])
            .collect();
        let all = std::iter::once(&first).chain(&self.further);
        all.zip(1..)
            .map(|(ports, id)| Broker {
                id,
                advertised: local(ports["broker"]),
                behind_gate: local(ports["broker behind gate"]),
                internal: local(ports["broker internal"]),
                controller: local(ports["controller"]),
                proxied: proxied(ports),
            })
            .collect()
    }

    /// The addresses that clients of the brokers begin with, comma separated.
    pub fn bootstrap(&self) -> String {
        self.brokers().iter().map(|broker| broker.advertised.as_str()).collect::<Vec<_>>().join(",")
    }
}

fn proxied(ports: &BTreeMap<&'static str, u16>) -> Option<ProxiedListener> {
    Some(ProxiedListener {
        at: local(*ports.get("proxied")?),
        behind_gate: local(*ports.get("proxied behind gate")?),
        proxy: local(*ports.get("proxy")?),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

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
            let Broker { advertised, behind_gate, internal, controller, .. } = broker;
            [
                advertised,
                behind_gate,
                internal,
                controller,
                &proxied.at,
                &proxied.behind_gate,
                &proxied.proxy,
            ]
        });
        assert_eq!(all.collect::<HashSet<_>>().len(), 21, "{brokers:?}");
        assert_eq!(ports.bootstrap().split(',').count(), 3);
    }
}
