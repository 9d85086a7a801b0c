//! What an installation decides about its doors.

use crate::auth::{Access, Auth, Issuer};
use crate::peer::Relayed;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a gateway. [`GatewayConfig::new`] gives the defaults.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Seals pagination cursors and links to live views. Random, one per server; a restart with
    /// another key makes old cursors invalid and nothing else.
    pub cursor_key: [u8; 32],
    /// Names besides loopback ones that may stand in a Host header, without a port (`cloister.example.com`).
    /// Stops DNS rebinding: a web page whose name resolves to this server.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call (`https://console.example.com`). Default none: a web page has no
    /// business here.
    pub allowed_origins: Vec<String>,
    /// Whether every request but the health checks needs a credential, and which are good. Default off.
    pub auth: Auth,
    /// Whose tokens are good besides keys that were issued here. Default nobody's; without [`Auth::On`] it does not count.
    pub issuer: Option<Arc<Issuer>>,
    /// Who decides what callers may do, and what becomes of it. Default by roles alone, enforced.
    pub access: Access,
    /// Connections of a TLS door in this process, so that its clients are seen with their own addresses.
    pub relayed: Relayed,
    /// The URL under which clients reach this server, without a slash at the end. Used in advice and in
    /// native `url` members; empty makes those relative.
    pub public_url: String,
    /// The port of a TLS door in front of this server. A request whose Host has it came through that door, and is told of
    /// streams with `wss://`.
    pub tls_port: Option<u16>,
    /// `/version` shows it.
    pub version: Version,
    /// How long an invocation may take before its answer begins, so that errors can still have a status of
    /// their own. Default 10 s: well below every client's read timeout.
    pub first_byte: Duration,
    /// Between heartbeats after that. Default 15 s; plain boto3 gives up after 60 s of silence.
    pub heartbeat: Duration,
    /// How long a client may take no byte of its answer before it is given up. Default 60 s.
    pub stall: Duration,
    /// How long requests may take to finish after the server was told to stop. Default 10 s.
    pub drain: Duration,
    /// How long what a page of the live view holds is good, in whole seconds. A page that is connected gets a new one at half of
    /// it. Default 300 s.
    pub live_view_access: Duration,
    /// Connections at once. Default 4,096. Stops a client from using up the server's descriptors with idle
    /// connections.
    pub connections: usize,
}

/// Which build this is.
#[derive(Clone, Debug, Default)]
pub struct Version {
    /// `0.1.0`
    pub version: String,
    /// The commit it was built from, if known.
    pub commit: Option<String>,
}

impl GatewayConfig {
    /// The defaults, with a key for cursors.
    pub fn new(cursor_key: [u8; 32]) -> Self {
        Self {
            cursor_key,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            auth: Auth::Off,
            issuer: None,
            access: Access::default(),
            relayed: Relayed::default(),
            public_url: String::new(),
            tls_port: None,
            version: Version { version: env!("CARGO_PKG_VERSION").into(), commit: None },
            first_byte: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            live_view_access: Duration::from_secs(300),
            connections: 4_096,
        }
    }
}

impl std::fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key may not reach a log.
        f.debug_struct("GatewayConfig").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}
