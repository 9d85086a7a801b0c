//! NET: out by the network, under `network.mode = none`. The other modes have their tests where the proxy is.

use super::{Attack, Verdicts, attack, warm};
use cloister_tests::rig::plain;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

const GUEST: &str = include_str!("../guests/net.py");
/// Tunnel devices that the kernel puts into every new network namespace where their modules are loaded. They are down.
const FALLBACKS: [&str; 9] =
    ["tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip6gre0", "ip_vti0", "ip6_vti0"];
/// No way there.
const UNREACHABLE: &[&str] = &["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EINVAL", "EPERM", "EACCES"];

/// Listeners of the host on all of its addresses, which must not hear anything.
struct Ears {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Ears {
    fn open() -> Self {
        let ears = Self {
            tcp: TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap(),
            udp: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap(),
        };
        ears.tcp.set_nonblocking(true).unwrap();
        ears.udp.set_nonblocking(true).unwrap();
        ears
    }

    fn ports(&self) -> [u16; 2] {
        [self.tcp.local_addr().unwrap().port(), self.udp.local_addr().unwrap().port()]
    }

    fn heard_nothing(&self) {
        assert!(self.tcp.accept().is_err(), "a connection came out");
        assert!(self.udp.recv(&mut [0; 64]).is_err(), "a packet came out");
    }
}

async fn guest(attack: &Attack, ears: &Ears, function: &str) -> Verdicts {
    let addresses = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|i| i.address);
    let host: Vec<String> = addresses
        .filter_map(|a| a.as_sockaddr_in().map(|a| a.ip()))
        .filter(|ip| !ip.is_loopback())
        .map(|ip| ip.to_string())
        .collect();
    let v = attack
        .verdicts(&format!("HOST = {host:?}\nPORTS = {:?}\n{GUEST}\n{function}()\nverdicts()", ears.ports()))
        .await;
    ears.heard_nothing();
    v
}

/// Nobody has to wait for a network that is not there. Measured where the packets are made; generous, for a loaded machine.
fn fast(v: &Verdicts, seconds: f64) {
    for (name, took) in v.0.iter().filter(|(name, _)| name.starts_with("seconds")) {
        assert!(took.parse::<f64>().is_ok_and(|took| took < seconds), "{name}: {took}");
    }
}

/// NET-03: the host's loopback and its own addresses, by every spelling.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn loopback_is_the_sandboxes_own_and_the_hosts_addresses_lead_nowhere() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let ears = Ears::open();
            let v = guest(a, &ears, "loopback").await;
            // -3: a name that even the table of hosts does not know.
            let closed = [UNREACHABLE, &["ECONNREFUSED", "-3"]].concat();
            v.refused("tcp", &closed);
            v.done("own");
            fast(&v, 5.0);
        })
        .await;
    }
}

/// NET-04: metadata, private, shared, special, multicast and public addresses.
#[tokio::test(flavor = "multi_thread")]
async fn no_address_outside_is_reached_and_each_fails_at_once() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let ears = Ears::open();
            let v = guest(a, &ears, "forward").await;
            v.refused("tcp", UNREACHABLE);
            v.refused("udp", UNREACHABLE);
            fast(&v, 5.0);
        })
        .await;
    }
}

/// NET-05: names, by the library and by programs; the system resolver of AgentCore's own sandbox mode answered them.
#[tokio::test(flavor = "multi_thread")]
async fn no_name_is_resolved_and_nobody_is_asked() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let ears = Ears::open();
            let v = guest(a, &ears, "names").await;
            // EAI_NONAME, EAI_AGAIN, EAI_NODATA: numbers that are no errno.
            v.refused("name", &["gaierror", "-2", "-3", "-5", "EPERM", "ENOENT", "EIO", "ESRCH"]);
            v.refused("reverse", &["gaierror", "herror", "EPERM", "-2", "-3", "1", "2", "ENOENT"]);
            v.refused("program", &["ENETUNREACH"]);
            assert!(!v.get("resolvers").contains("nameserver"), "{v:?}");
            fast(&v, 60.0);
            for (name, took) in v.0.iter().filter(|(name, _)| name.starts_with("seconds name")) {
                assert!(took.parse::<f64>().is_ok_and(|took| took < 5.0), "{name}: {took}");
            }
        })
        .await;
    }
}

/// NET-18: a network configured by the guest.
#[tokio::test(flavor = "multi_thread")]
async fn the_network_cannot_be_configured_from_inside() {
    attack(plain(), async |a| {
        let ears = Ears::open();
        let v = guest(a, &ears, "configure").await;
        v.refused("set", &["EPERM", "EACCES"]);
        for name in ["bind host", "device", "mark", "transparent"] {
            v.refused(name, &["EPERM", "EADDRNOTAVAIL", "ENODEV", "EACCES"]);
        }
        v.refused("bind low", &["EACCES"]);
        let others = v.get("interfaces").split(',').filter(|i| *i != "lo" && !FALLBACKS.contains(i)).count();
        assert_eq!(others, 0, "{v:?}");
    })
    .await;
}
