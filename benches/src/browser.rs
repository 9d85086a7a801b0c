//! Browser sessions of the server, as clients have them: a start over HTTP, then CDP over the session's stream.

use crate::cdp::{Cdp, Page};
use crate::client::Client;
use crate::failure::Failure;
use crate::server::{READY, Server};
use crate::websocket::WebSocket;
use std::time::{Duration, Instant};

/// The browser that every AWS client names; each of its sessions starts a Chromium.
pub const DEFAULT: &str = "aws.browser.v1";
/// How often a start may meet a pool that is not ready before the bench gives up.
const TRIES: usize = 10;

/// A session and the client that is connected to it.
pub struct Browser {
    /// Its id.
    pub session: String,
    /// The client.
    pub cdp: Cdp,
}

impl Browser {
    /// Starts a session and connects to its stream, until the browser has answered.
    pub fn start(server: &Server, client: &mut Client, name: &str) -> Result<Self, Failure> {
        let session = client.start_browser(name)?;
        let path = format!("/browser-streams/{name}/sessions/{session}/automation");
        let socket = WebSocket::connect(server.host(), &path).map_err(Failure::io(path))?;
        let mut cdp = Cdp::new(socket);
        cdp.version()?;
        Ok(Self { session, cdp })
    }

    /// The same with a page, filled.
    pub fn with_page(server: &Server, client: &mut Client, name: &str) -> Result<(Self, Page), Failure> {
        let mut browser = Self::start(server, client, name)?;
        let page = browser.cdp.first_page()?;
        browser.cdp.fill(&page)?;
        Ok((browser, page))
    }
}

/// From the request that starts a session until `done` is, with a Chromium that is started for it.
pub fn cold(
    server: &Server,
    client: &mut Client,
    done: impl Fn(&mut Browser) -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    server.settle(0)?;
    let begun = Instant::now();
    let mut browser = Browser::start(server, client, DEFAULT)?;
    done(&mut browser)?;
    let took = begun.elapsed();
    drop(browser.cdp);
    client.stop(&browser.session)?;
    Ok(took)
}

/// The same with the ready one. Nothing outside says when the pool's Chromium takes calls: a start that did not get it is no
/// observation, and is repeated.
pub fn warm(
    server: &Server,
    client: &mut Client,
    done: impl Fn(&mut Browser) -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    for _ in 0..TRIES {
        server.settle(0)?;
        let pooled = server.sandbox_names();
        let begun = Instant::now();
        let mut browser = Browser::start(server, client, READY)?;
        done(&mut browser)?;
        let took = begun.elapsed();
        drop(browser.cdp);
        client.stop(&browser.session)?;
        // The session's sandbox has gone with it: the pool's has, if it was that one. Time plays no part, so slow ones stay.
        if server.sandbox_names().is_disjoint(&pooled) {
            return Ok(took);
        }
    }
    Err(Failure::wrong(READY, format!("{TRIES} starts beside the pool").as_bytes(), "a start from it"))
}
