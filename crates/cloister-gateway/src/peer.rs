//! Where a connection comes from, also when a TLS door of the same process stands in between.
//!
//! ```text
//! client ──TLS──▶ TLS door ──TCP──▶ this gateway: the peer is the door's socket ─▶ Relayed::origin ─▶ the client
//!                    └─ Relayed::enter(its socket's address, the client's)
//! ```
//!
//! What a request says of where it comes from (`X-Forwarded-For` and the like) is never looked at: anybody can write that.

use crate::config::GatewayConfig;
use axum::extract::Request;
use cloister_core::lock::lock;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

/// The other end of a connection; in the extensions of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where a request comes from; none where it came over no connection, as in a router that is embedded.
pub(crate) fn source(config: &GatewayConfig, request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| config.relayed.origin(peer.0))
}

/// The connections that a TLS door of this process relays at the moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Relayed(Arc<Mutex<HashMap<SocketAddr, IpAddr>>>);

/// One of them; dropping it forgets it.
#[derive(Debug)]
pub struct RelayedConnection {
    all: Relayed,
    from: SocketAddr,
}

impl Relayed {
    /// Notes that what comes from the door's socket `from` is of `client`. To be called before the first byte is relayed.
    pub fn enter(&self, from: SocketAddr, client: IpAddr) -> RelayedConnection {
        lock(&self.0).insert(from, client.to_canonical());
        RelayedConnection { all: self.clone(), from }
    }

    /// Whose requests come from `peer`.
    pub fn origin(&self, peer: SocketAddr) -> IpAddr {
        let known = lock(&self.0).get(&peer).copied();
        known.unwrap_or_else(|| peer.ip().to_canonical())
    }
}

impl Drop for RelayedConnection {
    fn drop(&mut self) {
        lock(&self.all.0).remove(&self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayed_connection_is_its_clients_as_long_as_it_lasts_and_others_are_their_own() {
        let (door, client): (SocketAddr, IpAddr) =
            ("127.0.0.1:4000".parse().unwrap(), "::ffff:192.0.2.7".parse().unwrap());
        let relayed = Relayed::default();
        let connection = relayed.enter(door, client);
        assert_eq!(relayed.origin(door), "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(relayed.origin("127.0.0.1:4001".parse().unwrap()), IpAddr::from([127, 0, 0, 1]));
        drop(connection);
        assert_eq!(relayed.origin(door), IpAddr::from([127, 0, 0, 1]));
    }
}
