//! Who is at the other end: the client's address, told through balancers that are ours and no
//! others.

use std::{net::IpAddr, str::FromStr};

use warp::http::HeaderMap;

/// The other end of a connection, which the server puts into each request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// The peer's address; an unspecified one where the server did not tell.
    pub fn address(peer: Option<Self>) -> IpAddr {
        peer.map_or(IpAddr::from([0, 0, 0, 0]), |Self(address)| address)
    }
}

/// An address or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    /// Bits that count, of 128.
    bits: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither an address nor a CIDR such as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let (width, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        Ok(Self { address: wide(address), bits: before + bits })
    }
}

/// Some of them, comma separated; none is fine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Networks {
    /// Whether `address` is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        wide(address) & mask == self.address & mask
    }
}

/// IPv4 as the IPv6 addresses that stand for it.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The client's address: the peer's, or if that is a balancer of ours the nearest one in
/// `X-Forwarded-For` that is none, from right to left. What stands left of that is the client's own
/// claim and is not looked at.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let chain = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    for hop in chain {
        if !trusted.contain(address) {
            break;
        }
        // Something unreadable ends the chain at the last balancer that could be believed.
        let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

/// Under what a client's requests are counted: an IPv4 address, or the /64 that one IPv6 customer
/// has.
pub fn bucket(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let networks: Networks = trusted.join(",").parse().expect("networks");
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        address(peer, &headers, &networks).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
    }

    #[test]
    fn the_chain_is_read_from_right_to_left_up_to_the_first_stranger() {
        let chain = ["6.6.6.6, 198.51.100.1", "10.1.1.1"];
        assert_eq!(seen("10.0.0.1", &chain, &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &chain, &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, nonsense, 10.1.1.1"], &["10.0.0.0/8"]), "10.1.1.1");
    }

    #[test]
    fn networks_are_told_apart() {
        let network: Network = "192.0.2.0/25".parse().expect("a network");
        assert!(network.contains("192.0.2.127".parse().expect("an address")));
        assert!(!network.contains("192.0.2.128".parse().expect("an address")));
        assert!("0.0.0.0/0".parse::<Network>().expect("all of IPv4").contains([1, 2, 3, 4].into()));
        assert!("::/0".parse::<Network>().expect("everything").contains([1, 2, 3, 4].into()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("example.org".parse::<Network>().is_err());
    }

    #[test]
    fn ipv6_counts_by_64_bits() {
        let bucket = |text: &str| bucket(text.parse().expect("an address"));
        assert_eq!(bucket("2001:db8:1:2:3:4:5:6"), bucket("2001:db8:1:2:ffff::1"));
        assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
        assert_eq!(bucket("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
