//! The network of a sandbox: a loopback interface and nothing else; with a network policy, one listener that the host serves.

use super::descriptors::errno_of;
use crate::plan::PROXY_PORT;
use crate::spawn::Step;
use crate::sys;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;

/// Brings `lo` up: programs bind to it and talk to themselves.
pub(super) fn loopback() -> Result<(), Step> {
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(Step::at("open a socket"))?;
    sys::loopback_up(any.as_fd()).map_err(Step::at("bring the loopback interface up"))
}

/// The only way out: a socket that was bound in this network namespace keeps belonging to it, so the host can accept connections
/// from inside although no route leads here.
pub(super) fn proxy_listener() -> Result<TcpListener, Step> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT))
        .map_err(|e| Step::at(format!("listen on 127.0.0.1:{PROXY_PORT}"))(errno_of(&e)))
}
