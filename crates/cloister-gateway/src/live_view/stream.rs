//! The live view's WebSocket: the page's CDP client, and between its messages what the page must know of the session.
//!
//! ```text
//! page ◀── bridge ◀──┬── from_browser: CDP, as it comes
//!                    └── {"method": "Cloister.liveView", "params": {automation, access}}
//!                         at once, when control changes hands, and when what the page holds is half used up
//! ```
//!
//! So a person who is on the page stays there after the link has expired, and nobody else comes.

use super::access::Access;
use super::control::{self, state};
use super::{held, role};
use crate::agentcore::stream as streams;
use crate::auth::Caller;
use crate::native::{NativeError, session_id};
use crate::state::Gateway;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::Response;
use cloister_core::browser::{Browser, CdpClient, StreamStatus, ToClient};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How soon a page hears that control has changed hands.
const LOOK: Duration = Duration::from_millis(500);

/// `GET …/live-view/stream`
pub(crate) async fn stream(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(access): Extension<Access>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Response<Body>, NativeError> {
    let browser = control::browser(&gateway, &caller.principal, &path).await?;
    let socket = streams::websocket(&mut request.into_parts().0)?;
    let session = session_id(&path.1)?;
    let role = role(access.rights);
    let asking = streams::Asking::new(&gateway, &caller, &session, browser.as_ref(), role, None);
    let client = asking.connect(browser.as_ref()).await?;
    let (told, who) = (gateway.clone(), caller.clone());
    let renew = move || held(&told, &who, &session, access.rights);
    let renewed = gateway.config().live_view_access / 2;
    let client = telling(client, browser, access, renewed, renew);
    Ok(streams::serve(&gateway, &caller, socket, client, asking))
}

/// The same client, which is also told about the session.
fn telling(
    client: CdpClient,
    browser: Arc<dyn Browser>,
    access: Access,
    renewed: Duration,
    renew: impl Fn() -> Option<String> + Send + 'static,
) -> CdpClient {
    let CdpClient { to_browser, mut from_browser, budget } = client;
    // One place only: how far a page may be behind is the broker's to decide.
    let (to_page, for_page) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Option<(StreamStatus, Instant)> = None;
        loop {
            let message = tokio::select! {
                message = from_browser.recv() => message,
                () = to_page.closed() => return,
                now = look.tick() => {
                    let status = browser.stream();
                    let known = told.filter(|(before, at)| {
                        *before == status && now.duration_since(*at) < renewed
                    });
                    if known.is_some() {
                        continue;
                    }
                    told = Some((status, now));
                    let mut params = state(status, access.rights);
                    params["access"] = json!(renew());
                    let told = json!({ "method": "Cloister.liveView", "params": params });
                    Some(ToClient::Text(told.to_string().into()))
                }
            };
            let Some(message) = message else { return };
            let last = matches!(message, ToClient::Close { .. });
            if to_page.send(message).await.is_err() || last {
                return;
            }
        }
    });
    CdpClient { to_browser, from_browser: for_page, budget }
}
