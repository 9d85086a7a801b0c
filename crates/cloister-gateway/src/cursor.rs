//! Pagination cursors that cannot be forged: the place in the list, sealed for one caller, one interpreter
//! and one filter.
//!
//! ```text
//! cursor = base64url(session id) "." base64url(HMAC-SHA256(server key, id, tenant, name, interpreter, status filter))
//! ```
//!
//! A cursor holds nothing that its owner has not seen (the id of the last session of a page); what the seal
//! stops is a cursor of somebody else, of another list, or made up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloister_core::session::Status;
use cloister_core::{Principal, SessionId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a cursor is good for.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Whose list.
    pub(crate) who: &'a Principal,
    /// Of which interpreter; `None` for all.
    pub(crate) key: Option<&'a str>,
    /// Filtered how.
    pub(crate) status: Option<Status>,
}

/// Seals a place in a list.
pub(crate) fn seal(secret: &[u8; 32], scope: Scope<'_>, id: &SessionId) -> Option<String> {
    let tag = mac(secret, scope, id)?.finalize().into_bytes();
    Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(id.as_str()), URL_SAFE_NO_PAD.encode(tag)))
}

/// Opens a cursor; `None` if it was not sealed for this scope with this secret.
pub(crate) fn open(secret: &[u8; 32], scope: Scope<'_>, cursor: &str) -> Option<SessionId> {
    let (id, tag) = cursor.split_once('.')?;
    let id = SessionId::parse(std::str::from_utf8(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()?)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    // Compares in constant time.
    mac(secret, scope, &id)?.verify_slice(&tag).ok()?;
    Some(id)
}

fn mac(secret: &[u8; 32], scope: Scope<'_>, id: &SessionId) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    let status = match scope.status {
        None => "any",
        Some(Status::Ready) => "ready",
        Some(Status::Terminated) => "terminated",
    };
    let every = if scope.key.is_none() { "every interpreter" } else { "one interpreter" };
    let parts = [
        "cursor/1",
        id.as_str(),
        &scope.who.tenant,
        &scope.who.name,
        every,
        scope.key.unwrap_or_default(),
        status,
    ];
    for part in parts {
        // The length in front keeps ("ab","c") and ("a","bc") apart.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_in_its_own_scope_only() {
        let (secret, id) = ([7u8; 32], SessionId::random().unwrap());
        let (me, other) = (Principal::local(), Principal { tenant: "local".into(), name: "other".into() });
        let scope = Scope { who: &me, key: Some("a"), status: None };
        let cursor = seal(&secret, scope, &id).unwrap();
        assert!(cursor.len() <= 2_048 && !cursor.contains(char::is_whitespace));
        assert_eq!(open(&secret, scope, &cursor), Some(id));
        for wrong in [
            Scope { who: &other, ..scope },
            Scope { key: Some("b"), ..scope },
            Scope { key: None, ..scope },
            Scope { status: Some(Status::Ready), ..scope },
        ] {
            assert_eq!(open(&secret, wrong, &cursor), None);
        }
        assert_eq!(open(&[8; 32], scope, &cursor), None);
    }

    #[test]
    fn no_single_changed_character_survives() {
        let (secret, me) = ([7u8; 32], Principal::local());
        let scope = Scope { who: &me, key: Some("a"), status: None };
        let id = SessionId::random().unwrap();
        let cursor = seal(&secret, scope, &id).unwrap();
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(&secret, scope, std::str::from_utf8(&bytes).unwrap()), None, "{at}");
        }
        for bad in ["", ".", "x", "x.y.z"] {
            assert_eq!(open(&secret, scope, bad), None);
        }
    }
}
