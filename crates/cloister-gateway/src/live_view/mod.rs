//! The live view of a browser session: a page that shows what the browser shows, and lets a person use it.
//!
//! ```text
//!   …/live-view ─────────▶ page.rs     index.html, with an access of its own ──▶ /live-view/*.js, style.css
//!   …/live-view/stream ──▶ stream.rs   WebSocket, raw CDP ──▶ Browser::connect(Human | Observer)
//!   …/live-view/control ─▶ control.rs  who has control; take and release ──▶ Browser::set_stream
//!   …/live-view/recording… ─▶ recording.rs   what the player shows, of a session that lives or has ended
//!        └── access.rs in front of all: signature.rs, or the credential of the request
//! ```
//!
//! INVARIANT: the role comes from the credential. What the page sends is never asked for it, and what an observer may send
//! over CDP is decided by the browser's own filter.

mod access;
mod control;
mod page;
mod recording;
pub(crate) mod signature;
mod stream;

pub(crate) use access::{Place, admit, admit_client, place};
pub(crate) use control::{control, show};
pub(crate) use page::{asset, is_asset, is_recorded, page, place_url, refused};
pub(crate) use recording::{recording, recording_events, recording_frame};
pub(crate) use stream::stream;

use crate::auth::{Caller, now};
use crate::state::Gateway;
use cloister_core::SessionId;
use cloister_core::browser::Role;
use signature::{Rights, Subject, Use};

/// The role of a CDP client with these rights.
fn role(rights: Rights) -> Role {
    match rights {
        Rights::Control => Role::Human,
        Rights::View => Role::Observer,
    }
}

/// The query that a page holds for its stream and its control.
fn held(gateway: &Gateway, caller: &Caller, session: &SessionId, rights: Rights) -> Option<String> {
    let secret = &gateway.config().cursor_key;
    let expires = now() + gateway.config().live_view_access.as_secs();
    signature::query(secret, Subject::of(caller, session), Use::Page, rights, expires)
}
