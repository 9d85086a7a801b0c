//! Who may open a live view or a stream: the paths below `/browser-streams`, and the credentials that they take.
//!
//! ```text
//! ?role=…&expires=…&signature=…   page: a link        stream, control: a link, or what the page holds
//!                                 automation: the ticket of its endpoint
//! ?X-Amz-Algorithm=…              page and automation: AWS's presigned form
//! none of them                    the Authorization header, as everywhere
//! ```
//!
//! A query that carries a signature of ours is judged by it, even where no credential is needed: a link for watching stays one.
//! A link ends with the key of whoever made it.

use super::signature::{self, Bad, Opened, Rights, Use};
use crate::auth::{self, Action, Auth, Caller, Denied, Presigned, Resource, Role, may, now};
use crate::config::GatewayConfig;
use crate::peer;
use crate::percent;
use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::extract::Request;
use cloister_core::SessionId;
use cloister_core::audit::Method;
use cloister_core::error::{Error, Kind};

/// Which of the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `…/live-view`
    Page,
    /// `…/live-view/stream`
    Stream,
    /// `…/live-view/control`
    Control,
    /// `…/live-view/recording` and what is below it: a picture, the events.
    Recording,
}

/// What an admitted request may do; in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) rights: Rights,
}

/// The place and the session's segment of a path of the live view.
pub(crate) fn place(path: &str) -> Option<(Place, &str)> {
    let mut parts = path.strip_prefix("/browser-streams/")?.split('/');
    let (_browser, sessions, session) = (parts.next()?, parts.next()?, parts.next()?);
    if sessions != "sessions" || parts.next() != Some("live-view") {
        return None;
    }
    let place = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (None, ..) => Place::Page,
        (Some("stream"), None, ..) => Place::Stream,
        (Some("control"), None, ..) => Place::Control,
        (Some("recording"), None | Some("events"), None, _) => Place::Recording,
        (Some("recording"), Some("frames"), Some(_), None) => Place::Recording,
        _ => return None,
    };
    Some((place, session))
}

/// Judges a request for a place of the live view.
pub(crate) async fn admit(
    gateway: &Gateway,
    place: Place,
    session: &str,
    request: &mut Request,
) -> Result<(Caller, Access), Refusal> {
    let uses: &[Use] = if place == Place::Page { &[Use::Link] } else { &[Use::Link, Use::Page] };
    if let Some((caller, rights)) = linked(gateway.config(), uses, session, request)? {
        let (caller, rights) = allowed(gateway.config(), caller, session, rights, request);
        return Ok((caller, Access { rights }));
    }
    let presigned = if place == Place::Page { Presigned::Accepted } else { Presigned::Refused };
    let caller = auth::identify(gateway, request, presigned).await.map_err(|denied| match denied {
        Denied::Unauthenticated(text) => {
            let advice = "POST /v1/sessions/{id}/live-view makes a link that needs none";
            Denied::Unauthenticated(format!("{text}; {advice}"))
        }
        other => other,
    });
    let caller = caller.map_err(|denied| denied.refusal(true))?;
    let (caller, rights) = allowed(gateway.config(), caller, session, Rights::Control, request);
    Ok((caller, Access { rights }))
}

/// The caller with where it calls from, and the rights that it has of those that its credential speaks of.
fn allowed(
    config: &GatewayConfig,
    caller: Caller,
    session: &str,
    rights: Rights,
    request: &Request,
) -> (Caller, Rights) {
    let caller = Caller { source: peer::source(config, request), ..caller };
    let session = percent::decode(session).unwrap_or_default();
    let rights = match rights {
        Rights::Control if may(config, &caller, Action::ControlBrowser, Resource::Session(&session)) => {
            Rights::Control
        }
        Rights::Control | Rights::View => Rights::View,
    };
    (caller, rights)
}

/// Judges a request for a stream of CDP clients.
pub(crate) async fn admit_client(
    gateway: &Gateway,
    session: &str,
    request: &mut Request,
) -> Result<Caller, Refusal> {
    if let Some((caller, _)) = linked(gateway.config(), &[Use::Stream], session, request)? {
        return Ok(caller);
    }
    auth::identify(gateway, request, Presigned::Accepted).await.map_err(|denied| denied.refusal(false))
}

/// Who has made the link that a request holds, with what it admits to; `None` if there is none in it.
fn linked(
    config: &GatewayConfig,
    uses: &[Use],
    session: &str,
    request: &Request,
) -> Result<Option<(Caller, Rights)>, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    let pairs = percent::decode_query(query).ok_or_else(|| denied(Bad::Wrong))?;
    if !signature::is_signed(&pairs) {
        return Ok(None);
    }
    let session = percent::decode(session).and_then(|id| SessionId::parse(&id));
    let session = session.ok_or_else(|| denied(Bad::Wrong))?;
    let opened = signature::open(&config.cursor_key, &session, uses, &pairs, now()).map_err(denied)?;
    let rights = opened.rights;
    let maker = maker(config, opened)?.ok_or_else(|| denied(Bad::Wrong))?;
    let role = match rights {
        Rights::Control => Role::User,
        Rights::View => Role::Viewer,
    };
    Ok(Some((Caller { roles: vec![role], method: Method::Link, ..maker }, rights)))
}

/// The maker of a link, if its key still vouches for it.
fn maker(config: &GatewayConfig, opened: Opened) -> Result<Option<Caller>, Error> {
    let Opened { who, key, until, rights: _ } = opened;
    match (&config.auth, key) {
        (Auth::Off, _) => Ok(Some(Caller { principal: who, ..Caller::local() })),
        (Auth::On(_), Some(key)) => {
            Ok(auth::vouched(&config.auth, &key)?.filter(|maker| maker.principal == who))
        }
        // Made for the bearer of an issuer's token, and no longer good than that.
        (Auth::On(_), None) if config.issuer.is_some() && until.is_some() => {
            Ok(Some(Caller { principal: who, expires: until, ..Caller::local() }))
        }
        (Auth::On(_), None) => Ok(None),
    }
}

fn denied(bad: Bad) -> Refusal {
    let text = match bad {
        Bad::Wrong => {
            "this link is not valid for this session; ask for a new one with POST /v1/sessions/{id}/live-view"
        }
        Bad::Expired => "this link has expired; ask for a new one with POST /v1/sessions/{id}/live-view",
    };
    Error::new(Kind::AccessDenied, text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(session: &SessionId, rest: &str) -> String {
        format!("/browser-streams/aws.browser.v1/sessions/{session}/live-view{rest}")
    }

    #[test]
    fn only_these_paths_are_places() {
        let session = SessionId::random().unwrap();
        for (rest, expected) in [
            ("", Place::Page),
            ("/stream", Place::Stream),
            ("/control", Place::Control),
            ("/recording", Place::Recording),
            ("/recording/events", Place::Recording),
            ("/recording/frames/0", Place::Recording),
        ] {
            let path = path(&session, rest);
            assert_eq!(place(&path), Some((expected, session.as_str())));
        }
        for other in [
            "/",
            "/stream/",
            "/stream/x",
            "/frames",
            "x",
            "/recording/x",
            "/recording/frames",
            "/recording/frames/0/x",
        ] {
            assert_eq!(place(&path(&session, other)), None, "{other}");
        }
        for other in [
            "/browser-streams/b/sessions/s/automation",
            "/v1/sessions/s/live-view",
            "/live-view/main.js",
            "/",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
