//! Browser sessions: what a browser can be asked, and the traits of what answers.
//!
//! ```text
//!   gateway ──StartBrowser──▶ SessionManager ──▶ driver ──▶ BrowserBackend::start ──▶ dyn Browser
//!      ├── Action (eight, of the AWS service) ─────────────▶ Browser::act
//!      ├── Step (the native door's page actions) ──────────▶ Browser::perform
//!      ├── CDP WebSocket ──▶ Browser::connect ──▶ two bounded queues (cdp.rs)
//!      └── file tools (ToolCall) ──────────────────────────▶ Browser::files
//! ```
//!
//! The backend gets its Chromium from a [`BrowserHost`], which alone knows how to jail one: a browser backend speaks CDP over two
//! descriptors and makes no process.

pub mod action;
pub mod backend;
pub mod budget;
pub mod cdp;
pub mod host;
pub mod page;

pub use action::{Action, ActionResult, Button};
pub use backend::{Browser, BrowserBackend, BrowserError, BrowserSpec, Engine, StreamStatus};
pub use budget::{Budget, Exhausted, Held};
pub use cdp::{CdpClient, Role, Text, ToClient};
pub use host::{BrowserHost, Chromium};
pub use page::Step;

/// Size of the page area in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewport {
    /// 320 to 3840.
    pub width: u32,
    /// 240 to 2160.
    pub height: u32,
}

impl Default for Viewport {
    /// What the AWS service gives is not documented; this is what its console shows.
    fn default() -> Self {
        Self { width: 1456, height: 819 }
    }
}

/// What a start says in addition when it is a browser's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartBrowser {
    /// Size of the page area.
    pub viewport: Viewport,
    /// Upstream proxies.
    pub proxies: Proxies,
}

/// One upstream proxy of a session (`proxyConfiguration`), chained behind the server's own egress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamProxy {
    /// Host name or address.
    pub server: String,
    /// TCP port.
    pub port: u16,
    /// Domains that go through it: `.example.com` is its subdomains, `example.com` exactly that. Empty: all.
    pub domains: Vec<String>,
}

/// The proxies of a session, and what goes around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// The first whose domains match is used; none of them: direct.
    pub upstream: Vec<UpstreamProxy>,
    /// Domains that never go through one; the same patterns.
    pub bypass: Vec<String>,
}
