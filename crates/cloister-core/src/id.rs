//! Identifiers: made by the server from 128 random bits, never by a client or a guest, and never used again.

use std::fmt;

/// Crockford's alphabet, as ULIDs use it: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 128 random bits as 26 characters of Crockford's base 32 (the shape of a ULID, without its guessable timestamp).
pub(crate) fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)?;
    let mut value = u128::from_be_bytes(bytes);
    let mut text = [0u8; 26];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    Ok(text.iter().map(|&b| char::from(b)).collect())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// A fresh id from the kernel's random source.
            pub fn random() -> Result<Self, getrandom::Error> {
                random_id().map(Self)
            }

            /// Accepts 1 to 40 characters of `[0-9a-zA-Z]` (the service model's pattern for session ids); `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                let ok = (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
                ok.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_type! {
    /// A session, as clients name it.
    SessionId
}
id_type! {
    /// A sandbox: one set of namespaces and cgroups. A pooled sandbox has an id before it has a session.
    SandboxId
}

/// Who is calling: everything that a session owns belongs to a principal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The tenant; one for a single-user installation.
    pub tenant: String,
    /// The caller within the tenant.
    pub name: String,
}

impl Principal {
    /// The principal of an installation without authentication.
    pub fn local() -> Self {
        Self { tenant: "local".into(), name: "local".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ten_thousand_ids_are_distinct_and_match_the_service_models_pattern() {
        let ids: HashSet<_> = (0..10_000).map(|_| SessionId::random().unwrap()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.as_str().len() == 26 && SessionId::parse(id.as_str()).is_some()));
    }

    #[test]
    fn a_path_is_no_id() {
        for bad in ["", "../x", "a/b", "a b", "a\0", &"x".repeat(41), "é"] {
            assert!(SessionId::parse(bad).is_none(), "{bad:?}");
        }
    }
}
