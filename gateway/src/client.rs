//! Client address resolution: which address a request comes from, through trusted proxies and no
//! others.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use warp::http::HeaderMap;

/// The address of the connection's other end, which the server adds to each request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// The peer's address, or an unspecified one when the server added none.
    pub fn address(peer: Option<Self>) -> IpAddr {
        peer.map_or(IpAddr::from([0, 0, 0, 0]), |Self(address)| address)
    }
}

/// Networks of IP addresses, separated by commas; there may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A text that names no network.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct NetworkError {
    text: String,
    source: ipnet::AddrParseError,
}

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse().map_err(|source| NetworkError { text: text.to_owned(), source }),
        };
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        texts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl Networks {
    /// Whether one of the networks contains `address`. A network of IPv6 addresses, such as `::/0`,
    /// contains the IPv4 addresses that are mapped into it.
    pub fn contain(&self, address: IpAddr) -> bool {
        let mapped = match address {
            IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
            IpAddr::V6(_) => address,
        };
        self.0.iter().any(|network| network.contains(&address) || network.contains(&mapped))
    }
}

/// The client's address: the peer's, or when that is a trusted proxy, the rightmost address in
/// `X-Forwarded-For` that is not a trusted proxy. All to the left of it is the client's own claim
/// and is ignored.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let chain = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    for hop in chain {
        if !trusted.contain(address) {
            break;
        }
        // A hop that is no address ends the chain at the last trusted proxy.
        let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

/// The name under which a client's requests are counted: an IPv4 address, or the /64 that one IPv6
/// customer has.
pub fn bucket(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// The names of the wider networks of an IPv6 client: the /56 that one customer may have, and the
/// /48 of a site. IPv4 has none: neighbouring addresses belong to other people.
pub fn networks(address: IpAddr) -> Option<[String; 2]> {
    let IpAddr::V6(v6) = address.to_canonical() else { return None };
    let [a, b, c, d, ..] = v6.segments();
    Some([format!("{a:x}:{b:x}:{c:x}:{:x}::/56", d & 0xff00), format!("{a:x}:{b:x}:{c:x}::/48")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(peer: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        address(peer, &headers, &trusted.parse().expect("networks")).to_string()
    }

    #[test]
    fn untrusted_peer_cannot_forward_an_address() {
        assert_eq!(resolved("203.0.113.9", &["198.51.100.1"], "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(resolved("203.0.113.9", &["198.51.100.1"], ""), "203.0.113.9");
    }

    #[test]
    fn client_is_the_rightmost_address_that_is_no_trusted_proxy() {
        let chain = ["6.6.6.6, 198.51.100.1", "10.1.1.1"];
        assert_eq!(resolved("10.0.0.1", &chain, "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(resolved("::ffff:10.0.0.1", &chain, "10.0.0.0/8"), "198.51.100.1");
        let broken = ["6.6.6.6, nonsense, 10.1.1.1"];
        assert_eq!(resolved("10.0.0.1", &broken, "10.0.0.0/8"), "10.1.1.1");
    }

    #[test]
    fn network_contains_the_addresses_of_its_prefix_and_no_others() {
        let contains = |networks: &str, address: &str| {
            let networks: Networks = networks.parse().expect("networks");
            networks.contain(address.parse().expect("an address"))
        };
        assert!(contains("192.0.2.0/25", "192.0.2.127"));
        assert!(!contains("192.0.2.0/25", "192.0.2.128"));
        assert!(contains("::1, 192.0.2.1", "192.0.2.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4"));
        assert!(contains("::/0", "1.2.3.4"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!("10.0.0.0/33".parse::<Networks>().is_err());
        assert!("example.org".parse::<Networks>().is_err());
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_first_64_bits() {
        let bucket = |text: &str| bucket(text.parse().expect("an address"));
        assert_eq!(bucket("2001:db8:1:2:3:4:5:6"), bucket("2001:db8:1:2:ffff::1"));
        assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
        assert_eq!(bucket("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn only_ipv6_clients_have_wider_networks() {
        let networks = |text: &str| networks(text.parse().expect("an address"));
        let names = ["2001:db8:1:1200::/56", "2001:db8:1::/48"].map(str::to_owned);
        assert_eq!(networks("2001:db8:1:12ff::1"), Some(names));
        assert_eq!(networks("::ffff:192.0.2.1"), None);
    }
}
