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
use crate::policy::Policy;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

/// What the programs of a sandbox are given so that they use its way out as the policy means it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisions {
    /// Variables of their environment. No value of a secret is ever among them.
    pub env: Vec<(String, String)>,
    /// A certificate (PEM) of an authority that they trust beside those of the image.
    pub trust: Option<String>,
    /// Secrets that they may use, as far as they may know them.
    pub secrets: Vec<LentSecret>,
    /// Programs on the server's own machine that they may reach through the proxy: `localhost:8000`.
    pub loopback: Vec<String>,
}

/// What a session may know of a secret that it may use: not its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LentSecret {
    /// Its name, which is also the variable that holds the placeholder.
    pub name: String,
    /// The hosts that get it.
    pub hosts: Vec<String>,
    /// The header that the proxy sets by itself; without one, the placeholder becomes the value in any header.
    pub header: Option<String>,
}

/// Serves the egress listeners of sandboxes.
pub trait EgressFactory: Send + Sync {
    /// What sandboxes of `policy` need beside the listener. The same for all of them as long as the server runs: a zygote has it
    /// before its sandboxes are known.
    fn provisions(&self, policy: &Policy) -> Provisions {
        let _ = policy;
        Provisions::default()
    }

    /// Serve `listener`, which is bound inside the sandbox's network namespace, by the rules of `policy`, until the
    /// returned handle is dropped. What `proxies` names goes through an upstream proxy, after the same rules; code
    /// sessions have none. An error (a rule or a proxy that cannot be read, no descriptor left) means that the sandbox
    /// must not start: never a sandbox with weaker rules.
    fn serve(
        &self,
        sandbox: SandboxId,
        policy: &Policy,
        proxies: Proxies,
        listener: TcpListener,
    ) -> io::Result<Box<dyn EgressHandle>>;
}

/// Knows the values of the secrets that a session may use, to keep them out of what the session says.
pub trait Redaction: Send + Sync {
    /// Puts asterisks over every value in content that is whole. Lengths stay true.
    fn mask(&self, content: &mut [u8]);
    /// Bytes of the longest value, however it is written. Who gives out a part of a file looks so much further on both sides.
    fn longest(&self) -> usize;
    /// The same for a stream that goes on: takes its next bytes, and gives what can be passed on. What may be the beginning of a value
    /// stays in `held` until more is known.
    fn pass(&self, held: &mut Vec<u8>, next: &[u8]) -> Vec<u8>;
}

/// A served listener. Dropping it closes the listener and every connection that came through it.
pub trait EgressHandle: Send + Sync {
    /// What has passed so far.
    fn counters(&self) -> EgressCounters;
    /// The same by host, the one with most bytes first. Bounded: what a session does beyond a few hundred hosts is one entry.
    fn hosts(&self) -> Vec<HostUse>;

    /// What keeps values of secrets out of the session's output; `None` for a session without secrets, which pays nothing for it.
    fn redaction(&self) -> Option<Arc<dyn Redaction>> {
        None
    }

    /// Both, as the native door shows them.
    fn report(&self) -> EgressReport {
        EgressReport { total: self.counters(), hosts: self.hosts() }
    }
}

/// What a session has done with its way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressReport {
    /// Everything together.
    pub total: EgressCounters,
    /// By host.
    pub hosts: Vec<HostUse>,
}

/// What has passed to and from one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUse {
    /// A name or an address, as it was asked for: letters, digits, dots, hyphens, or an address in its canonical form.
    pub host: String,
    /// Bytes to it and from it, connections that were let through, requests that a rule refused.
    pub counters: EgressCounters,
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
