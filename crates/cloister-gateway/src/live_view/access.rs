//! Who may open a live view: the paths below `/live-view`, and the credentials that they take.
//!
//! ```text
//! ?role=…&expires=…&signature=…   page: a link        stream, control: a link, or what the page holds
//! ?X-Amz-Algorithm=…              page only: the access key id is the token
//! none of them                    the Authorization header, as everywhere
//! ```
//!
//! A query that carries a signature is judged by it, even where no token is configured: a link for watching stays one.

use super::presigned;
use super::signature::{self, Bad, Rights, Subject, Use};
use crate::auth;
use crate::config::GatewayConfig;
use crate::percent;
use crate::wire_error::Refusal;
use axum::http::{HeaderMap, StatusCode, Uri};
use cloister_core::error::{Error, Kind};
use cloister_core::{Principal, SessionId};
use std::time::{SystemTime, UNIX_EPOCH};

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
pub(crate) fn admit(
    config: &GatewayConfig,
    (place, session): (Place, &str),
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(Principal, Access), Refusal> {
    let pairs = percent::decode_query(uri.query().unwrap_or_default()).ok_or_else(|| denied(Bad::Wrong))?;
    let who = Principal::local();
    if signature::is_signed(&pairs) {
        let session = percent::decode(session).and_then(|id| SessionId::parse(&id));
        let session = session.ok_or_else(|| denied(Bad::Wrong))?;
        let uses: &[Use] = if place == Place::Page { &[Use::Link] } else { &[Use::Link, Use::Page] };
        let subject = Subject { who: &who, session: &session };
        let rights = signature::open(&config.cursor_key, subject, uses, &pairs, now()).map_err(denied)?;
        return Ok((who, Access { rights }));
    }
    let who = if place == Place::Page && presigned::is_presigned(&pairs) {
        let id = presigned::access_key(&pairs, now()).map_err(denied)?;
        auth::holder(config, id).map_err(|auth::Unauthenticated| denied(Bad::Wrong))?
    } else {
        auth::principal(config, headers).map_err(|auth::Unauthenticated| unauthenticated())?
    };
    Ok((who, Access { rights: Rights::Control }))
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
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

fn unauthenticated() -> Refusal {
    let text = "the request carries no valid credential; POST /v1/sessions/{id}/live-view makes a link that needs none";
    Refusal::http(StatusCode::UNAUTHORIZED, "AccessDeniedException", Error::new(Kind::AccessDenied, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    fn path(session: &SessionId, rest: &str) -> String {
        format!("/browser-streams/aws.browser.v1/sessions/{session}/live-view{rest}")
    }

    fn status(token: Option<&str>, path: &str, authorization: Option<&str>) -> Result<Rights, u16> {
        let mut config = GatewayConfig::new([1; 32]);
        config.token = token.map(str::to_owned);
        let uri: Uri = path.parse().unwrap();
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        match admit(&config, place(uri.path()).unwrap(), &uri, &headers) {
            Ok((_, access)) => Ok(access.rights),
            Err(refusal) => Err(refusal.status().as_u16()),
        }
    }

    fn signed(session: &SessionId, usage: Use, rights: Rights, expires: u64) -> String {
        let who = Principal::local();
        signature::query(&[1; 32], Subject { who: &who, session }, usage, rights, expires).unwrap()
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

    #[test]
    fn a_signature_admits_without_a_token_and_a_wrong_one_does_not_admit_even_where_no_token_is_needed() {
        let (session, later) = (SessionId::random().unwrap(), now() + 60);
        let link = signed(&session, Use::Link, Rights::View, later);
        let held = signed(&session, Use::Page, Rights::Control, later);
        let old = signed(&session, Use::Link, Rights::View, 1);
        for token in [None, Some("correct-horse")] {
            for rest in ["", "/stream", "/control"] {
                assert_eq!(status(token, &path(&session, &format!("{rest}?{link}")), None), Ok(Rights::View));
                assert_eq!(status(token, &path(&session, &format!("{rest}?{old}")), None), Err(403));
                assert_eq!(status(token, &path(&session, &format!("{rest}?role=control")), None), Err(403));
            }
            assert_eq!(status(token, &path(&session, &format!("/stream?{held}")), None), Ok(Rights::Control));
            assert_eq!(status(token, &path(&session, &format!("?{held}")), None), Err(403));
        }
    }

    #[test]
    fn without_a_signature_the_token_decides() {
        let session = SessionId::random().unwrap();
        for rest in ["", "/stream", "/control"] {
            let path = path(&session, rest);
            assert_eq!(status(None, &path, None), Ok(Rights::Control));
            assert_eq!(status(Some("correct-horse"), &path, None), Err(401));
            assert_eq!(
                status(Some("correct-horse"), &path, Some("Bearer correct-horse")),
                Ok(Rights::Control)
            );
        }
    }

    #[test]
    fn a_presigned_url_opens_the_page_when_its_access_key_is_the_token() {
        let session = SessionId::random().unwrap();
        let date = crate::timestamp::iso8601(SystemTime::now());
        let date: String = date.split('.').next().unwrap().replace(['-', ':'], "") + "Z";
        let query = |key: &str| {
            format!(
                "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={key}%2F20260131%2Fus-west-2%2Fbedrock-agentcore%2Faws4_request\
                 &X-Amz-Date={date}&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
            )
        };
        let right = query("correct-horse");
        assert_eq!(status(Some("correct-horse"), &path(&session, &right), None), Ok(Rights::Control));
        assert_eq!(status(None, &path(&session, &right), None), Ok(Rights::Control));
        assert_eq!(status(Some("correct-horse"), &path(&session, &query("wrong")), None), Err(403));
        assert_eq!(
            status(Some("correct-horse"), &path(&session, &format!("/stream{right}")), None),
            Err(401)
        );
    }
}
