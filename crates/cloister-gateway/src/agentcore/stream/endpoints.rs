//! Where a browser session's streams are, as the client that asks reaches this server.

use crate::auth::{Action, Auth, Caller, Resource, may, now};
use crate::config::GatewayConfig;
use crate::live_view::signature::{self, Rights, Subject, Use};
use crate::percent;
use axum::http::{HeaderMap, header};
use cloister_core::SessionId;
use cloister_core::error::Error;

/// How long a ticket is good, in seconds; as long as a presigned URL of AWS's may be. Who connects later asks for the session again.
const TICKET: u64 = 300;
/// Longest endpoint that the model allows.
const LONGEST: usize = 512;

/// The URLs of one session.
pub(crate) struct Endpoints {
    /// The CDP WebSocket: `ws://HOST/browser-streams/{id}/sessions/{sid}/automation`.
    automation: String,
    /// What admits a client that connects without a header, soon: CDP libraries are given a URL and nothing else.
    ticket: Option<String>,
    /// The page for people.
    pub(crate) live_view: String,
}

impl Endpoints {
    /// From the Host header, which has passed the door: it is how this client reaches the server, through whatever
    /// forwards its port. TLS is somebody else's, who says so in the public URL.
    pub(crate) fn of(
        config: &GatewayConfig,
        headers: &HeaderMap,
        caller: &Caller,
        key: &str,
        id: &SessionId,
    ) -> Result<Self, Error> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let tls = config.public_url.starts_with("https://") || is_tls(config, host);
        let s = if tls { "s" } else { "" };
        // The key and not the identifier: an ARN may be longer than an endpoint.
        let base = format!("{host}/browser-streams/{}/sessions/{id}", percent::encode_path(key));
        let endpoints = Self {
            ticket: ticket(config, caller, id),
            automation: format!("ws{s}://{base}/automation"),
            live_view: format!("http{s}://{base}/live-view"),
        };
        if endpoints.automation().len().max(endpoints.live_view.len()) > LONGEST {
            return Err(Error::field("Host", "is too long for the endpoint of a stream"));
        }
        Ok(endpoints)
    }

    /// The URL of the browser's WebSocket.
    pub(crate) fn automation(&self) -> String {
        self.below("")
    }

    /// The URL of the WebSocket whose root is one page.
    pub(super) fn page(&self, target: &str) -> String {
        self.below(&format!("/devtools/page/{target}"))
    }

    fn below(&self, path: &str) -> String {
        let query = self.ticket.as_ref().map(|ticket| format!("?{ticket}")).unwrap_or_default();
        format!("{}{path}{query}", self.automation)
    }
}

/// The query that admits whoever has just asked where the stream is, if it may connect at all.
fn ticket(config: &GatewayConfig, caller: &Caller, id: &SessionId) -> Option<String> {
    let needed = matches!(config.auth, Auth::On(_));
    if !needed || !may(config, caller, Action::CdpCall, Resource::Session(id.as_str())) {
        return None;
    }
    let expires = caller.expires.unwrap_or(u64::MAX).min(now() + TICKET);
    signature::query(&config.cursor_key, Subject::of(caller, id), Use::Stream, Rights::Control, expires)
}

/// Whether this Host is the TLS door's. A Host without a port means the scheme's own.
fn is_tls(config: &GatewayConfig, host: &str) -> bool {
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    config.tls_port == Some(port.unwrap_or(443))
}
