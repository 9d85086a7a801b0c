//! Where a browser session's streams are, as the client that asks reaches this server.

use crate::config::GatewayConfig;
use crate::percent;
use axum::http::{HeaderMap, header};
use cloister_core::SessionId;
use cloister_core::error::Error;

/// Longest endpoint that the model allows.
const LONGEST: usize = 512;

/// The URLs of one session.
pub(crate) struct Endpoints {
    /// The CDP WebSocket: `ws://HOST/browser-streams/{id}/sessions/{sid}/automation`.
    pub(crate) automation: String,
    /// The page for people.
    pub(crate) live_view: String,
}

impl Endpoints {
    /// From the Host header, which has passed the door: it is how this client reaches the server, through whatever
    /// forwards its port. TLS is somebody else's, who says so in the public URL.
    pub(crate) fn of(
        config: &GatewayConfig,
        headers: &HeaderMap,
        key: &str,
        id: &SessionId,
    ) -> Result<Self, Error> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let tls = config.public_url.starts_with("https://") || is_tls(config, host);
        let s = if tls { "s" } else { "" };
        // The key and not the identifier: an ARN may be longer than an endpoint.
        let base = format!("{host}/browser-streams/{}/sessions/{id}", percent::encode_path(key));
        let endpoints = Self {
            automation: format!("ws{s}://{base}/automation"),
            live_view: format!("http{s}://{base}/live-view"),
        };
        if endpoints.automation.len().max(endpoints.live_view.len()) > LONGEST {
            return Err(Error::field("Host", "is too long for the endpoint of a stream"));
        }
        Ok(endpoints)
    }
}

/// Whether this Host is the TLS door's. A Host without a port means the scheme's own.
fn is_tls(config: &GatewayConfig, host: &str) -> bool {
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    config.tls_port == Some(port.unwrap_or(443))
}
