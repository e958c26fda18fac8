//! Where the device may be made to connect to: the public internet, never its own network.
//!
//! A page decides what is fetched, so an address that only this device can reach is an attack on what is behind it. What is
//! refused follows IANA's registries of special-purpose addresses (RFC 6890) and of the IPv6 address space:
//! <https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>,
//! <https://www.iana.org/assignments/ipv6-address-space>, <https://www.iana.org/assignments/multicast-addresses>.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Ports of HTTP and HTTPS; others speak other protocols, or belong to somebody's router.
const PORTS: [u16; 2] = [80, 443];

/// IPv4 that isn't somebody's public address.
const REFUSED_V4: [(Ipv4Addr, u8); 15] = [
    // "This network", RFC 791; on Linux 0.0.0.0 is this machine.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private use, RFC 1918.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Shared address space of carriers, RFC 6598.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback, RFC 1122.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, RFC 3927; clouds have their metadata there.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // IETF protocol assignments, RFC 6890.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation, RFC 5737.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Relays of 6to4, RFC 7526.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks, RFC 2544.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast, RFC 5771.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and the limited broadcast, RFC 1112 and RFC 919.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only block of which unicast addresses are given out, RFC 4291. Loopback, link-local, unique local and IPv4-compatible
/// addresses, multicast and everything that isn't given out yet are outside.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What of that block leads elsewhere.
const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    // IETF protocol assignments, RFC 2928; Teredo among them, which has IPv4 addresses inside.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation, RFC 3849 and RFC 9637.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4 has IPv4 addresses inside, RFC 3056.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];
/// The well-known prefix of translation to IPv4, RFC 6052: the whole IPv4 internet for a network of IPv6.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// A block of addresses, as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// It isn't `<address>/<bits>`, or has bits beyond those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address with the length of its prefix, such as 10.1.0.0/16")
    }
}

impl std::error::Error for NotANetwork {}

impl Network {
    /// The network of `address`.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Self { address, prefix })
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => in_v4((own, self.prefix), other),
            (IpAddr::V6(own), IpAddr::V6(other)) => in_v6((own, self.prefix), other),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
            let network = Self::new(address.parse().ok()?, prefix.parse().ok().filter(|_| digits)?)?;
            // 10.1.2.3/8 is a mistake more often than 10.0.0.0/8.
            let is_first = match network.address {
                IpAddr::V4(first) => u32::from(first) & !mask_v4(network.prefix) == 0,
                IpAddr::V6(first) => u128::from(first) & !mask_v6(network.prefix) == 0,
            };
            is_first.then_some(network)
        };
        parse().ok_or(NotANetwork)
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn in_v4((network, prefix): (Ipv4Addr, u8), address: Ipv4Addr) -> bool {
    (u32::from(network) ^ u32::from(address)) & mask_v4(prefix) == 0
}

fn in_v6((network, prefix): (Ipv6Addr, u8), address: Ipv6Addr) -> bool {
    (u128::from(network) ^ u128::from(address)) & mask_v6(prefix) == 0
}

/// What the device's own policy lets be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Networks that may be reached although they are not public.
    pub networks: Vec<Network>,
    /// Ports besides those of HTTP and HTTPS.
    pub ports: Vec<u16>,
}

impl Guard {
    #[must_use]
    pub fn allows_port(&self, port: u16) -> bool {
        PORTS.contains(&port) || self.ports.contains(&port)
    }

    /// Whether the device may connect to `address`. `on_link` are the networks that the device is in itself: its neighbours there
    /// may have public addresses, and they are its private network all the same.
    #[must_use]
    pub fn allows(&self, address: IpAddr, on_link: &[Network]) -> bool {
        let real = real(address);
        if self.networks.iter().any(|network| network.contains(real)) {
            return true;
        }
        is_public(real) && !on_link.iter().any(|network| network.contains(real) || network.contains(address))
    }
}

/// The address that is reached in the end: the IPv4 inside of a mapped (RFC 4291) or translated (RFC 6052) one.
fn real(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let inside = v6.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = v6.octets();
        in_v6(NAT64, v6).then(|| Ipv4Addr::new(a, b, c, d))
    });
    inside.map_or(address, IpAddr::V4)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !REFUSED_V4.iter().any(|network| in_v4(*network, v4)),
        IpAddr::V6(v6) => in_v6(GLOBAL_V6, v6) && !REFUSED_V6.iter().any(|network| in_v6(*network, v6)),
    }
}

/// The networks that the device is in, from Linux's tables `/proc/net/route` and `/proc/net/if_inet6`. A line that can't be read
/// is left out: the tables are the kernel's, and what is refused by its kind doesn't need them.
#[must_use]
pub fn on_link(route: &str, if_inet6: &str) -> Vec<Network> {
    let v4 = route.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // In the byte order of the machine.
        let field = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let (destination, gateway, mask) = (field(1)?, field(2)?, field(7)?);
        let prefix = u8::try_from(mask.count_ones()).ok().filter(|prefix| *prefix > 0 && gateway == 0)?;
        Network::new(Ipv4Addr::from(destination.to_ne_bytes()).into(), prefix)
    });
    let v6 = if_inet6.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = u128::from_str_radix(fields.first()?, 16).ok()?;
        let prefix = u8::from_str_radix(fields.get(2)?, 16).ok().filter(|prefix| *prefix > 0)?;
        Network::new(Ipv6Addr::from(address).into(), prefix)
    });
    v4.chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(address: &str) -> bool {
        Guard::default().allows(address.parse().unwrap(), &[])
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2000::",
            "2001:200::",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "2003::",
            "2606:4700:4700::1111",
            "2a00::1",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff:1000::",
        ] {
            assert!(allowed(address), "{address}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            // Unspecified, loopback, IPv4-compatible, mapped, translated.
            "::",
            "::1",
            "::7f00:1",
            "::1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:0:1.1.1.1",
            "64:ff9b::192.168.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1.1.1.1",
            "64:ff9b:0:0:1::1.1.1.1",
            // Discard-only, dummy, Teredo, benchmarks, ORCHID, documentation, 6to4, segment routing.
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:101:101::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            // Not given out, unique local, link-local, site-local, multicast.
            "1fff::1",
            "4000::",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ffff::1",
        ] {
            assert!(!allowed(address), "{address}");
        }
    }

    #[test]
    fn an_administrators_networks_are_allowed_and_nothing_beside_them() {
        let networks =
            ["127.0.0.0/8", "fd00:1::/32", "10.1.0.0/16"].map(|text| text.parse().unwrap()).to_vec();
        let guard = Guard { networks, ports: vec![8080] };
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("64:ff9b::10.1.2.3", true),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("::1", false),
            ("fd00:1:2::3", true),
            ("fd00:2::", false),
            ("1.1.1.1", true),
        ] {
            assert_eq!(guard.allows(address.parse().unwrap(), &[]), expected, "{address}");
        }
        assert_eq!(
            [80, 443, 8080, 22, 0].map(|port| guard.allows_port(port)),
            [true, true, true, false, false]
        );
    }

    #[test]
    fn neighbours_with_public_addresses_are_private() {
        let route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t017A0808\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t007A0808\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\nnonsense\n";
        let if_inet6 = "2a020000000100020000000000000005 02 40 00 80 eth0\nfe800000000000000000000000000001 02 40 20 80 eth0\n\n";
        let near = on_link(route, if_inet6);
        assert_eq!(near.len(), 3, "{near:?}");
        let guard = Guard::default();
        for (address, expected) in [
            ("8.8.122.9", false),
            ("8.8.123.9", true),
            ("64:ff9b::8.8.122.9", false),
            ("2a02:0:1:2::99", false),
            ("2a02:0:1:3::99", true),
        ] {
            assert_eq!(guard.allows(address.parse().unwrap(), &near), expected, "{address}");
        }
    }

    #[test]
    fn networks_are_addresses_with_a_prefix() {
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.1.0.0/8",
            "::/129",
            "a/8",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(NotANetwork), "{wrong}");
        }
        for right in ["0.0.0.0/0", "10.1.2.3/32", "::/0", "::1/128"] {
            assert!(right.parse::<Network>().is_ok(), "{right}");
        }
    }

    proptest! {
        /// Std's own predicates, as far as they are stable, and the table agree.
        #[test]
        fn no_address_that_std_knows_as_special_is_allowed(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            let plain = Guard::default().allows(v4.into(), &[]);
            prop_assert!(!(special && plain));
            // However it is written.
            prop_assert_eq!(Guard::default().allows(v4.to_ipv6_mapped().into(), &[]), plain);
            let [a, b, c, d] = v4.octets();
            let pair = |high, low| u16::from_be_bytes([high, low]);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, pair(a, b), pair(c, d));
            prop_assert_eq!(Guard::default().allows(nat64.into(), &[]), plain);
            for inside in [v4.to_ipv6_compatible(), Ipv6Addr::new(0x2002, pair(a, b), pair(c, d), 0, 0, 0, 0, 1)] {
                prop_assert!(!Guard::default().allows(inside.into(), &[]), "{}", inside);
            }
        }

        #[test]
        fn of_ipv6_nothing_is_allowed_but_global_unicast(bits: u128) {
            let v6 = Ipv6Addr::from(bits);
            if Guard::default().allows(v6.into(), &[]) {
                prop_assert!(v6.segments()[0] >> 13 == 1);
                prop_assert!(!v6.is_loopback() && !v6.is_multicast() && !v6.is_unspecified());
                prop_assert!(!v6.is_unique_local() && !v6.is_unicast_link_local());
            }
        }

        #[test]
        fn a_network_has_its_first_and_last_address_and_not_those_beside(bits: u32, prefix in 1_u8..=32) {
            let first = bits & mask_v4(prefix);
            let last = first | !mask_v4(prefix);
            let network: Network = format!("{}/{prefix}", Ipv4Addr::from(first)).parse().unwrap();
            let has = |bits: u32| network.contains(Ipv4Addr::from(bits).into());
            prop_assert!(has(first) && has(last) && has(bits));
            prop_assert!(first.checked_sub(1).is_none_or(|before| !has(before)));
            prop_assert!(last.checked_add(1).is_none_or(|after| !has(after)));
        }

        #[test]
        fn any_text_is_a_network_or_none(text: String, route: String, if_inet6: String) {
            let _parsed = text.parse::<Network>();
            prop_assert!(on_link(&route, &if_inet6).len() <= route.lines().count() + if_inet6.lines().count());
        }
    }
}
