//! How a sandbox with a network policy reaches the outside: a listener inside the sandbox, served from outside it.
//!
//! ```text
//!   guest ──127.0.0.1:3128, in the sandbox's network namespace──▶ listener ──EgressFactory::serve──▶ checked dial, on the host
//! ```
//!
//! A backend makes the listener, because only it can enter the namespace; the binary brings the factory, because only it
//! may dial. The sandbox has no other route: without a running handle, connections are refused by the kernel.

use crate::browser::Proxies;
use crate::id::SandboxId;
use crate::policy::Network;
use std::io;
use std::net::TcpListener;

/// Serves the egress listeners of sandboxes.
pub trait EgressFactory: Send + Sync {
    /// Serve `listener`, which is bound inside the sandbox's network namespace, by the rules of `network`, until the
    /// returned handle is dropped. What `proxies` names goes through an upstream proxy, after the same rules; code
    /// sessions have none. An error (a rule or a proxy that cannot be read, no descriptor left) means that the sandbox
    /// must not start: never a sandbox with weaker rules.
    fn serve(
        &self,
        sandbox: SandboxId,
        network: Network,
        proxies: Proxies,
        listener: TcpListener,
    ) -> io::Result<Box<dyn EgressHandle>>;
}

/// A served listener. Dropping it closes the listener and every connection that came through it.
pub trait EgressHandle: Send + Sync {
    /// What has passed so far.
    fn counters(&self) -> EgressCounters;
}

/// What has passed through a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EgressCounters {
    /// Bytes from the sandbox to the outside.
    pub bytes_out: u64,
    /// Bytes from the outside to the sandbox.
    pub bytes_in: u64,
    /// Connections that were let through.
    pub allowed: u64,
    /// Requests that a rule refused.
    pub refused: u64,
}
