//! Signed links: who holds one may open one session's live view, in one role, until a point in time.
//!
//! ```text
//! role=view & expires=1767225600 & signature=base64url(HMAC-SHA256(key of its own, use, session, owner, role, expires))
//!
//! use "link": made for people by POST /v1/sessions/{id}/live-view; opens the page, its stream and its control
//! use "page": made for the page when it is opened, and again while it is connected; opens stream and control only
//! ```
//!
//! So a link that has expired opens no page, and who is on the page already stays there.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloister_core::{Principal, SessionId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a link lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Watch, take control, use the browser.
    Control,
    /// Watch.
    View,
}

impl Rights {
    /// The word in links and answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::View => "view",
        }
    }
}

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Handed to a person.
    Link,
    /// Held by an open page.
    Page,
}

/// Why a signature does not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Not signed by this server for this session and use, or incomplete.
    Wrong,
    /// It was right once.
    Expired,
}

/// Whose session, and which.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The owner.
    pub(crate) who: &'a Principal,
    /// The session.
    pub(crate) session: &'a SessionId,
}

/// The query that admits until `expires`, in seconds since 1970.
pub(crate) fn query(
    secret: &[u8; 32],
    subject: Subject<'_>,
    usage: Use,
    rights: Rights,
    expires: u64,
) -> Option<String> {
    let tag = mac(secret, subject, usage, rights, expires)?.finalize().into_bytes();
    Some(format!("role={}&expires={expires}&signature={}", rights.word(), URL_SAFE_NO_PAD.encode(tag)))
}

/// Whether a query tries to be a signed one: it is judged as that then, and by nothing else.
pub(crate) fn is_signed(pairs: &[(String, String)]) -> bool {
    pairs.iter().any(|(name, _)| matches!(name.as_str(), "role" | "expires" | "signature"))
}

/// What a signed query admits to at the time `now`, if it was made for one of `uses`.
pub(crate) fn open(
    secret: &[u8; 32],
    subject: Subject<'_>,
    uses: &[Use],
    pairs: &[(String, String)],
    now: u64,
) -> Result<Rights, Bad> {
    let rights = match one(pairs, "role").ok_or(Bad::Wrong)? {
        "control" => Rights::Control,
        "view" => Rights::View,
        _ => return Err(Bad::Wrong),
    };
    let expires = one(pairs, "expires").and_then(|text| text.parse().ok()).ok_or(Bad::Wrong)?;
    let tag = one(pairs, "signature").and_then(|tag| URL_SAFE_NO_PAD.decode(tag).ok()).ok_or(Bad::Wrong)?;
    let signed = uses.iter().any(|usage| {
        // Compares in constant time.
        mac(secret, subject, *usage, rights, expires).is_some_and(|mac| mac.verify_slice(&tag).is_ok())
    });
    match signed {
        false => Err(Bad::Wrong),
        true if expires <= now => Err(Bad::Expired),
        true => Ok(rights),
    }
}

/// A parameter that is given exactly once: of two, a proxy and this server could read different ones.
pub(super) fn one<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

fn mac(
    secret: &[u8; 32],
    subject: Subject<'_>,
    usage: Use,
    rights: Rights,
    expires: u64,
) -> Option<Hmac<Sha256>> {
    // A key of its own: no cursor can ever be taken for a link.
    let key =
        Hmac::<Sha256>::new_from_slice(secret).ok()?.chain_update(b"live-view/1").finalize().into_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    let usage = match usage {
        Use::Link => "link",
        Use::Page => "page",
    };
    let expires = expires.to_string();
    let Principal { tenant, name } = subject.who;
    for part in [usage, subject.session.as_str(), tenant, name, rights.word(), &expires] {
        // The length in front keeps ("ab","c") and ("a","bc") apart.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percent::decode_query;

    const SECRET: [u8; 32] = [7; 32];
    const BOTH: [Use; 2] = [Use::Link, Use::Page];

    fn opened(session: &SessionId, uses: &[Use], query: &str, now: u64) -> Result<Rights, Bad> {
        let who = Principal::local();
        open(&SECRET, Subject { who: &who, session }, uses, &decode_query(query).unwrap(), now)
    }

    fn made(session: &SessionId, usage: Use, rights: Rights) -> String {
        let who = Principal::local();
        query(&SECRET, Subject { who: &who, session }, usage, rights, 1_000).unwrap()
    }

    #[test]
    fn a_link_opens_its_own_session_in_its_own_role_until_it_expires() {
        let (session, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        let link = made(&session, Use::Link, Rights::View);
        assert_eq!(opened(&session, &BOTH, &link, 999), Ok(Rights::View));
        assert_eq!(opened(&session, &BOTH, &link, 1_000), Err(Bad::Expired));
        assert_eq!(opened(&other, &BOTH, &link, 999), Err(Bad::Wrong));
        assert_eq!(opened(&session, &BOTH, &link.replace("view", "control"), 999), Err(Bad::Wrong));
        assert_eq!(opened(&session, &BOTH, &link.replace("=1000", "=9999"), 999), Err(Bad::Wrong));
        let who = Principal { tenant: "local".into(), name: "other".into() };
        let pairs = decode_query(&link).unwrap();
        assert_eq!(
            open(&SECRET, Subject { who: &who, session: &session }, &BOTH, &pairs, 0),
            Err(Bad::Wrong)
        );
        let mine = Principal::local();
        assert_eq!(
            open(&[8; 32], Subject { who: &mine, session: &session }, &BOTH, &pairs, 0),
            Err(Bad::Wrong)
        );
    }

    #[test]
    fn what_a_page_holds_is_no_link() {
        let session = SessionId::random().unwrap();
        let held = made(&session, Use::Page, Rights::Control);
        assert_eq!(opened(&session, &BOTH, &held, 0), Ok(Rights::Control));
        assert_eq!(opened(&session, &[Use::Link], &held, 0), Err(Bad::Wrong));
    }

    #[test]
    fn a_query_with_anything_missing_changed_or_doubled_is_wrong() {
        let session = SessionId::random().unwrap();
        let link = made(&session, Use::Link, Rights::View);
        for (at, letter) in link.char_indices() {
            let other = if letter == 'A' { 'B' } else { 'A' };
            let mut changed = link.clone();
            changed.replace_range(at..=at, &other.to_string());
            assert_eq!(opened(&session, &BOTH, &changed, 0), Err(Bad::Wrong), "{changed}");
        }
        for part in link.split('&') {
            assert_eq!(opened(&session, &BOTH, &format!("{link}&{part}"), 0), Err(Bad::Wrong), "{part}");
            let without: Vec<_> = link.split('&').filter(|other| *other != part).collect();
            assert_eq!(opened(&session, &BOTH, &without.join("&"), 0), Err(Bad::Wrong), "{part}");
        }
    }
}
