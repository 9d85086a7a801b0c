//! Signed links: who holds one may open one session's live view or stream, in one role, until a point in time.
//!
//! ```text
//! tenant=acme & name=ann & key=CLOI… & role=view & expires=1767225600 &
//!     signature=base64url(HMAC-SHA256(key of its own, use, session, tenant, name, key, until, role, expires))
//!
//! use "link": made for people by POST /v1/sessions/{id}/live-view; opens the page, its stream and its control
//! use "stream": made for CDP clients that connect to the endpoint in an answer without a header; opens automation only
//! use "page": made for the page when it is opened, and again while it is connected; opens stream and control only
//! ```
//!
//! So a link that has expired opens no page, and who is on the page already stays there. A link names the key of its maker and
//! ends with it (`access.rs`).

use crate::auth::Caller;
use crate::percent::encode_query;
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
    /// Part of the endpoint of a stream.
    Stream,
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
    /// The id of the key that vouches for it; none where no key does.
    pub(crate) key: Option<&'a str>,
    /// When the credential ends that no key stands for: a token of an identity provider. Seconds since 1970.
    pub(crate) until: Option<u64>,
    /// The session.
    pub(crate) session: &'a SessionId,
}

impl<'a> Subject<'a> {
    /// Of a session of the caller's.
    pub(crate) fn of(caller: &'a Caller, session: &'a SessionId) -> Self {
        let Caller { principal: who, key, expires, roles: _, method: _, source: _ } = caller;
        Self { who, key: key.as_deref(), until: expires.filter(|_| key.is_none()), session }
    }
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
    let Principal { tenant, name } = subject.who;
    let key = subject.key.map(|key| format!("&key={}", encode_query(key))).unwrap_or_default();
    let until = subject.until.map(|until| format!("&until={until}")).unwrap_or_default();
    let (tenant, name) = (encode_query(tenant), encode_query(name));
    let (role, tag) = (rights.word(), URL_SAFE_NO_PAD.encode(tag));
    Some(format!("tenant={tenant}&name={name}{key}{until}&role={role}&expires={expires}&signature={tag}"))
}

/// Whether a query tries to be a signed one: it is judged as that then, and by nothing else.
pub(crate) fn is_signed(pairs: &[(String, String)]) -> bool {
    pairs.iter().any(|(name, _)| matches!(name.as_str(), "role" | "expires" | "signature"))
}

/// What a signed query admits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Whose session it is, as its maker said.
    pub(crate) who: Principal,
    /// The key that vouches for the maker.
    pub(crate) key: Option<String>,
    /// When the maker's credential ends, if no key stands for it.
    pub(crate) until: Option<u64>,
    /// What its holder may do.
    pub(crate) rights: Rights,
}

/// What a signed query for `session` admits to at the time `now`, if it was made for one of `uses`.
pub(crate) fn open(
    secret: &[u8; 32],
    session: &SessionId,
    uses: &[Use],
    pairs: &[(String, String)],
    now: u64,
) -> Result<Opened, Bad> {
    let text = |name| one(pairs, name).map(str::to_owned).ok_or(Bad::Wrong);
    let who = Principal { tenant: text("tenant")?, name: text("name")? };
    let there = |wanted: &str| pairs.iter().any(|(name, _)| name == wanted);
    let number = |name| one(pairs, name).and_then(|text| text.parse().ok()).ok_or(Bad::Wrong);
    let key = there("key").then(|| text("key")).transpose()?;
    let until = there("until").then(|| number("until")).transpose()?;
    let subject = Subject { who: &who, key: key.as_deref(), until, session };
    let rights = match one(pairs, "role").ok_or(Bad::Wrong)? {
        "control" => Rights::Control,
        "view" => Rights::View,
        _ => return Err(Bad::Wrong),
    };
    let expires = number("expires")?;
    let tag = one(pairs, "signature").and_then(|tag| URL_SAFE_NO_PAD.decode(tag).ok()).ok_or(Bad::Wrong)?;
    let signed = uses.iter().any(|usage| {
        // Compares in constant time.
        mac(secret, subject, *usage, rights, expires).is_some_and(|mac| mac.verify_slice(&tag).is_ok())
    });
    match signed {
        false => Err(Bad::Wrong),
        true if expires <= now => Err(Bad::Expired),
        true => Ok(Opened { rights, until, key: key.clone(), who: who.clone() }),
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
        Hmac::<Sha256>::new_from_slice(secret).ok()?.chain_update(b"live-view/2").finalize().into_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    let usage = match usage {
        Use::Link => "link",
        Use::Page => "page",
        Use::Stream => "stream",
    };
    let expires = expires.to_string();
    let Principal { tenant, name } = subject.who;
    let key = subject.key.unwrap_or_default();
    let until = subject.until.map(|until| until.to_string()).unwrap_or_default();
    for part in [usage, subject.session.as_str(), tenant, name, key, &until, rights.word(), &expires] {
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
        // A changed escape may be none any more; the door refuses such a query as a whole.
        let pairs = decode_query(query).ok_or(Bad::Wrong)?;
        open(&SECRET, session, uses, &pairs, now).map(|opened| opened.rights)
    }

    fn ann() -> Principal {
        Principal { tenant: "acme & co".into(), name: "ann/ü".into() }
    }

    fn made(session: &SessionId, usage: Use, rights: Rights) -> String {
        query(
            &SECRET,
            Subject { who: &ann(), key: Some("K1"), until: Some(5), session },
            usage,
            rights,
            1_000,
        )
        .unwrap()
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
        let pairs = decode_query(&link).unwrap();
        assert_eq!(open(&[8; 32], &session, &BOTH, &pairs, 0), Err(Bad::Wrong));
    }

    #[test]
    fn a_link_says_who_has_made_it_and_with_which_key() {
        let session = SessionId::random().unwrap();
        let link = made(&session, Use::Link, Rights::View);
        let opened = |query: &str| open(&SECRET, &session, &BOTH, &decode_query(query).unwrap(), 0);
        let (who, key) = (ann(), Some("K1".to_owned()));
        assert_eq!(opened(&link), Ok(Opened { who, key, until: Some(5), rights: Rights::View }));
        for (from, to) in [
            ("until=5", "until=6"),
            ("&until=5", ""),
            ("key=K1", "key=K2"),
            ("&key=K1", ""),
            ("tenant=acme", "tenant=emca"),
            ("name=ann", "name=bob"),
        ] {
            assert!(link.contains(from), "{link}");
            assert_eq!(opened(&link.replace(from, to)), Err(Bad::Wrong), "{to}");
        }
        let none = query(
            &SECRET,
            Subject { who: &ann(), key: None, until: None, session: &session },
            Use::Link,
            Rights::View,
            9,
        )
        .unwrap();
        assert_eq!(opened(&none).unwrap().key, None);
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
