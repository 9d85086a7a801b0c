//! The canary's resolver: every name has an address, and some have one that nobody may be led to.
//!
//! ```text
//!   metadata.*  private.*    169.254.169.254, 10.0.0.5
//!   rebound.*                public when it is asked for first, the metadata address from then on
//!   mixed.*                  10.0.0.5 and the public address in one answer
//!   six.*                    public, and the metadata service of IPv6
//!   alias-private.*  …       an alias of private.test, metadata.test or elsewhere.test, with that name's address
//!   anything else            public
//! ```

use crate::attacks_canary::PUBLIC;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex};

/// Record types: an address, another name, an address of IPv6.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// Answers the machine's questions, and notes each as `name type`.
pub(crate) fn resolve(names: Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut question) {
            let Some((name, kind, end)) = asked_name(&question[..size]) else { continue };
            let earlier = names.lock().unwrap().iter().any(|known| *known == format!("{name} {A}"));
            names.lock().unwrap().push(format!("{name} {kind}"));
            let records = records(&name, kind, earlier);
            let mut reply = question[..end].to_vec();
            let count = u8::try_from(records.len()).unwrap();
            reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
            for record in records {
                reply.extend(record);
            }
            drop(socket.send_to(&reply, from));
        }
    });
}

fn records(name: &str, kind: u16, earlier: bool) -> Vec<Vec<u8>> {
    let label = name.split('.').next().unwrap_or_default();
    let (alias, label) = match label.strip_prefix("alias-") {
        Some(target) => (Some(format!("{target}.test")), target),
        None => (None, label),
    };
    let public: Ipv4Addr = PUBLIC.parse().unwrap();
    let (private, metadata) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(169, 254, 169, 254));
    let addresses: Vec<Vec<u8>> = match (label, kind) {
        ("private", A) => vec![private.octets().into()],
        ("metadata", A) => vec![metadata.octets().into()],
        ("rebound", A) if earlier => vec![metadata.octets().into()],
        ("mixed", A) => vec![private.octets().into(), public.octets().into(), metadata.octets().into()],
        ("six", AAAA) => vec!["fd00:ec2::254".parse::<Ipv6Addr>().unwrap().octets().into()],
        (_, A) => vec![public.octets().into()],
        _ => vec![],
    };
    // The name in the question, by its place there.
    let asked = [0xc0, 12].to_vec();
    let owner = alias.as_deref().map_or(asked.clone(), wire);
    let alias = alias.map(|target| record(&asked, CNAME, &wire(&target)));
    alias.into_iter().chain(addresses.iter().map(|address| record(&owner, kind, address))).collect()
}

/// A record that nobody may keep.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 0]);
    record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend(data);
    record
}

/// A name as it is sent.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// Name, type, and where the question ends.
fn asked_name(packet: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*packet.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at + 1..at + 1 + length)?).to_ascii_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes(packet.get(at + 1..at + 3)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 5))
}
