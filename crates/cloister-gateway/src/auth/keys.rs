//! The keys that this server has issued, as the door sees them. What keeps them is elsewhere (`cloister/src/keys/`).

use cloister_core::Principal;
use cloister_core::error::Error;

/// What a principal may do. Each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look: list and read sessions, their files, pages and recordings.
    Viewer,
    /// Use: start and stop sessions, run code, drive browsers.
    User,
    /// Decide about others. No route needs it yet; keys are issued on the server's own machine.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::User, Self::Admin];

    /// The word on the command line, in the store and in claims.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role with this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The key's public id; for AWS clients, the access key id.
    pub id: String,
    /// Whom it speaks for. Several keys may speak for one principal.
    pub principal: Principal,
    /// What it lets the principal do.
    pub roles: Vec<Role>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    /// What it stands for.
    pub grant: Grant,
    secret: String,
}

impl SigningKey {
    /// A key with its secret access key.
    pub fn new(grant: Grant, secret: String) -> Self {
        Self { grant, secret }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret may not reach a log.
        f.debug_struct("SigningKey").field("grant", &self.grant).finish_non_exhaustive()
    }
}

/// Looks keys up, at every request, so that a key that is revoked ends at once. Answers in microseconds and without waiting for
/// other requests. A revoked key is not found; an expired one may be.
///
/// Errors: `Internal` when the store cannot be read, and then nobody is let in.
pub trait Keys: Send + Sync + 'static {
    /// The key that signs under this access key id.
    fn signing(&self, id: &str) -> Result<Option<SigningKey>, Error>;
    /// The key whose bearer secret has this SHA-256.
    fn bearer(&self, digest: &[u8; 32]) -> Result<Option<Grant>, Error>;
    /// What the key with this id stands for, whatever it can do.
    fn grant(&self, id: &str) -> Result<Option<Grant>, Error>;
}
