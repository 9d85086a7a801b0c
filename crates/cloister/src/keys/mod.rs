//! The keys that this installation has issued: made and revoked by `cloister token`, looked up by the server at every request.
//!
//! ```text
//! cloister token create ─▶ KeyStore::create ─┐                        ┌─ row: id, whom it speaks for, roles, times
//! cloister serve, first start ─▶ first.rs ───┴─▶ keys.db (0600, WAL) ─┤
//! cloister serve ─▶ impl Keys: a look at the file per request ────────┘─ bearer: SHA-256 only   sigv4: nothing
//!
//! secret access key = base64url(HMAC-SHA256(keys.key, id))            keys.key: 256 random bits, 0600, beside the file
//! ```
//!
//! A bearer secret is stored as its hash. The secret of an access key cannot be: to verify a signature the server must have it. It
//! is not stored either but derived from the id by a key that lies in a file of its own, so that `keys.db` alone, a backup of it or a
//! row that is read by mistake, is worth nothing (docs/adr/0014-keys.md). The server and the command line share the file, so a
//! revocation counts from the next request on.

mod first;
mod issuer;

pub(crate) use first::{Credentials, First, FirstError, first_key};
pub(crate) use issuer::{IssuerError, Source};

use crate::data_dir::{DataDir, DataDirError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloister_core::Principal;
use cloister_core::error::Error;
use cloister_core::lock::lock;
use cloister_gateway::{Grant, Keys, Role, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, Params, Row, named_params, params};
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The layout below, as `user_version` in the file.
const VERSION: i64 = 1;

const LAYOUT: &str = "
    CREATE TABLE keys (
        id        TEXT PRIMARY KEY NOT NULL,
        tenant    TEXT NOT NULL,
        principal TEXT NOT NULL,
        roles     TEXT NOT NULL,
        signs     INTEGER NOT NULL,
        bearer    BLOB UNIQUE,
        created   INTEGER NOT NULL,
        expires   INTEGER,
        revoked   INTEGER
    ) STRICT, WITHOUT ROWID;
";

/// The start of every access key id. AWS's begin with AKIA; these must not be taken for one.
const ID_PREFIX: &str = "CLOI";
/// The start of every bearer secret, by which scanners for leaked secrets know it.
const BEARER_PREFIX: &str = "cloister_";
/// Longest tenant and name.
const LONGEST_NAME: usize = 64;
/// How long another process may hold the file before a call fails.
const BUSY: Duration = Duration::from_secs(5);

/// What a key can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyKind {
    /// Sign requests as AWS clients do.
    Sigv4,
    /// Be sent as it is.
    Bearer,
    /// Either.
    #[default]
    Both,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    /// Whom it speaks for.
    pub(crate) principal: Principal,
    /// What it may.
    pub(crate) roles: Vec<Role>,
    /// What it can do.
    pub(crate) kind: KeyKind,
    /// How long it is good; for ever without.
    pub(crate) life: Option<Duration>,
}

/// A key just made: the only moment at which its secrets are known.
#[derive(Clone)]
pub(crate) struct IssuedKey {
    /// Its public id.
    pub(crate) id: String,
    /// The secret access key, of one that signs.
    pub(crate) secret: Option<String>,
    /// The bearer secret, of one that is sent.
    pub(crate) bearer: Option<String>,
}

/// A key as it is listed. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) principal: Principal,
    pub(crate) roles: Vec<Role>,
    pub(crate) kind: KeyKind,
    pub(crate) created: u64,
    pub(crate) expires: Option<u64>,
    pub(crate) revoked: Option<u64>,
}

/// Why keys cannot be made, read or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// The data folder or a secret in it.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// The file cannot be made.
    #[error("key store {path}: {source}; check the folder's owner and free space")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No database, damaged, busy, or the disk is full.
    #[error("key store: {0}")]
    Database(#[from] rusqlite::Error),
    /// Written by a later release.
    #[error("key store {path} has layout {found} and this program knows {VERSION}; use a newer cloister")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// A tenant or a name that could be taken for another one, or for something else in a log.
    #[error("{0:?}: a tenant or a name is 1 to {LONGEST_NAME} letters, digits, '.', '_', '-', '@' and '+'")]
    Name(String),
    /// No random bits.
    #[error("no random source: {0}")]
    Random(getrandom::Error),
    /// Not a key of this store.
    #[error("{0}: there is no such key; `cloister token list` shows those that there are")]
    Unknown(String),
}

/// The keys of one data folder.
pub(crate) struct KeyStore {
    connection: Mutex<Connection>,
    secret: [u8; 32],
}

impl KeyStore {
    /// Opens the store of a data folder, or makes it.
    pub(crate) fn open(data: &DataDir) -> Result<Self, KeysError> {
        let path = data.keys();
        // Made here and not by SQLite, for the mode; the journal files take it over from the database.
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        made.map_err(|source| KeysError::File { path: path.clone(), source })?;
        let mut connection = Connection::open(&path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A key that was issued or revoked stays so through a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        match migrate(&mut connection)? {
            VERSION => Ok(Self { connection: Mutex::new(connection), secret: data.keys_key()? }),
            found => Err(KeysError::TooNew { path, found }),
        }
    }

    /// Makes a key.
    pub(crate) fn create(&self, key: &NewKey) -> Result<IssuedKey, KeysError> {
        let connection = lock(&self.connection);
        self.insert(&connection, key)
    }

    fn insert(&self, connection: &Connection, key: &NewKey) -> Result<IssuedKey, KeysError> {
        let NewKey { principal, roles, kind, life } = key;
        for name in [&principal.tenant, &principal.name] {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@+".contains(&b));
            if !plain || !(1..=LONGEST_NAME).contains(&name.len()) {
                return Err(KeysError::Name(name.clone()));
            }
        }
        let id = new_id()?;
        let bearer = match kind {
            KeyKind::Sigv4 => None,
            KeyKind::Bearer | KeyKind::Both => {
                let bits = random::<32>()?;
                Some(format!("{BEARER_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
            }
        };
        let signs = *kind != KeyKind::Bearer;
        let now = now();
        connection.execute(
            "INSERT INTO keys (id, tenant, principal, roles, signs, bearer, created, expires)
             VALUES (:id, :tenant, :principal, :roles, :signs, :bearer, :created, :expires)",
            named_params! {
                ":id": id,
                ":tenant": principal.tenant,
                ":principal": principal.name,
                ":roles": roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(","),
                ":signs": signs,
                ":bearer": bearer.as_ref().map(|bearer| Sha256::digest(bearer.as_bytes()).to_vec()),
                ":created": now,
                ":expires": life.map(|life| now.saturating_add(life.as_secs().try_into().unwrap_or(i64::MAX))),
            },
        )?;
        let secret = signs.then(|| self.secret_of(&id)).flatten();
        Ok(IssuedKey { id, secret, bearer })
    }

    /// Ends a key. Ending one that has ended is no error.
    pub(crate) fn revoke(&self, id: &str) -> Result<(), KeysError> {
        let connection = lock(&self.connection);
        let changed = connection
            .execute("UPDATE keys SET revoked = coalesce(revoked, ?2) WHERE id = ?1", params![id, now()])?;
        if changed == 0 { Err(KeysError::Unknown(id.to_owned())) } else { Ok(()) }
    }

    /// Every key, the oldest first.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, KeysError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached("SELECT * FROM keys ORDER BY created, id")?;
        let listed = statement.query_map([], |row| {
            let signs: bool = row.get("signs")?;
            let bearer: Option<Vec<u8>> = row.get("bearer")?;
            let Grant { id, principal, roles, expires } = grant(row)?;
            Ok(Listed {
                id,
                principal,
                roles,
                kind: match (signs, bearer) {
                    (true, Some(_)) => KeyKind::Both,
                    (true, None) => KeyKind::Sigv4,
                    (false, _) => KeyKind::Bearer,
                },
                created: seconds(row.get("created")?),
                expires,
                revoked: row.get::<_, Option<i64>>("revoked")?.map(seconds),
            })
        })?;
        Ok(listed.collect::<Result<_, _>>()?)
    }

    /// The secret access key that belongs to an id. One-way: an id says nothing of it, and neither do other secrets.
    fn secret_of(&self, id: &str) -> Option<String> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        let mac = mac.chain_update(b"cloister/sigv4/1\0").chain_update(id.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn one(&self, sql: &str, params: impl Params) -> Result<Option<Grant>, Error> {
        let failed = |error| Error::internal("the keys of this server cannot be read", error);
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        statement.query_row(params, grant).optional().map_err(failed)
    }
}

impl Keys for KeyStore {
    fn signing(&self, id: &str) -> Result<Option<SigningKey>, Error> {
        let found =
            self.one("SELECT * FROM keys WHERE id = ?1 AND signs AND revoked IS NULL", params![id])?;
        Ok(found.and_then(|grant| {
            let secret = self.secret_of(&grant.id)?;
            Some(SigningKey::new(grant, secret))
        }))
    }

    fn bearer(&self, digest: &[u8; 32]) -> Result<Option<Grant>, Error> {
        self.one("SELECT * FROM keys WHERE bearer = ?1 AND revoked IS NULL", params![&digest[..]])
    }

    fn grant(&self, id: &str) -> Result<Option<Grant>, Error> {
        self.one("SELECT * FROM keys WHERE id = ?1 AND revoked IS NULL", params![id])
    }
}

/// A word that no release knows is no role: a newer release may have narrower ones.
fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let roles: String = row.get("roles")?;
    Ok(Grant {
        id: row.get("id")?,
        principal: Principal { tenant: row.get("tenant")?, name: row.get("principal")? },
        roles: roles.split(',').filter_map(Role::of).collect(),
        expires: row.get::<_, Option<i64>>("expires")?.map(seconds),
    })
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    // Two processes may make the file at once.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != 0 {
        return Ok(found);
    }
    transaction.execute_batch(LAYOUT)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(VERSION)
}

/// `CLOI` and 80 random bits: 20 characters, like AWS's, which some clients expect.
fn new_id() -> Result<String, KeysError> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = random::<16>()?;
    let letters = bits.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    Ok(ID_PREFIX.chars().chain(letters).collect())
}

fn random<const N: usize>() -> Result<[u8; N], KeysError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(KeysError::Random)?;
    Ok(bytes)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn seconds(at: i64) -> u64 {
    u64::try_from(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir, KeyStore) {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::open(parent.path()).unwrap();
        let store = KeyStore::open(&data).unwrap();
        (parent, data, store)
    }

    fn key(name: &str, kind: KeyKind) -> NewKey {
        let principal = Principal { tenant: "acme".into(), name: name.into() };
        NewKey { principal, roles: vec![Role::User], kind, life: None }
    }

    fn by_bearer(store: &KeyStore, bearer: &str) -> Option<Grant> {
        store.bearer(&Sha256::digest(bearer.as_bytes()).into()).unwrap()
    }

    #[test]
    fn each_kind_of_key_is_found_in_its_own_way_only() {
        let (_parent, _, store) = fresh();
        let both = store.create(&key("ann", KeyKind::Both)).unwrap();
        let signs = store.create(&key("bob", KeyKind::Sigv4)).unwrap();
        let sent = store.create(&key("cem", KeyKind::Bearer)).unwrap();
        let found = store.signing(&both.id).unwrap().unwrap();
        assert_eq!(found.grant.principal.name, "ann");
        assert_eq!(by_bearer(&store, both.bearer.as_deref().unwrap()), Some(found.grant));
        assert!(signs.bearer.is_none() && store.signing(&signs.id).unwrap().is_some());
        assert!(sent.secret.is_none() && store.signing(&sent.id).unwrap().is_none());
        assert_eq!(by_bearer(&store, sent.bearer.as_deref().unwrap()).unwrap().principal.name, "cem");
        for wrong in [both.id.as_str(), both.secret.as_deref().unwrap(), "", "cloister_"] {
            assert_eq!(by_bearer(&store, wrong), None);
        }
        assert!(store.signing("CLOINOSUCHKEYATALL00").unwrap().is_none());
    }

    #[test]
    fn a_revocation_is_seen_by_a_server_that_has_the_store_open() {
        let (_parent, data, server) = fresh();
        let command_line = KeyStore::open(&data).unwrap();
        let issued = command_line.create(&key("ann", KeyKind::Both)).unwrap();
        assert!(server.signing(&issued.id).unwrap().is_some());
        command_line.revoke(&issued.id).unwrap();
        assert!(server.signing(&issued.id).unwrap().is_none());
        assert!(server.grant(&issued.id).unwrap().is_none());
        assert_eq!(by_bearer(&server, issued.bearer.as_deref().unwrap()), None);
        command_line.revoke(&issued.id).unwrap();
        assert!(matches!(command_line.revoke("CLOIX"), Err(KeysError::Unknown(_))));
        assert!(command_line.list().unwrap()[0].revoked.is_some());
    }

    #[test]
    fn no_secret_is_in_the_file_and_secrets_stay_the_same() {
        let (parent, data, store) = fresh();
        let issued = store.create(&key("ann", KeyKind::Both)).unwrap();
        let (secret, bearer) = (issued.secret.unwrap(), issued.bearer.unwrap());
        drop(store);
        let bytes = std::fs::read(parent.path().join("keys.db")).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(&issued.id) && !holds(&secret) && !holds(&bearer) && !holds(&bearer[9..]));
        let again = KeyStore::open(&data).unwrap().secret_of(&issued.id).unwrap();
        assert_eq!(again, secret);
    }

    #[test]
    fn ids_and_secrets_have_a_form_that_clients_take() {
        let (_parent, _, store) = fresh();
        let issued = store.create(&key("ann", KeyKind::Both)).unwrap();
        assert_eq!((issued.id.len(), &issued.id[..4]), (20, "CLOI"));
        assert_eq!(issued.secret.unwrap().len(), 43);
        assert_eq!(issued.bearer.unwrap().len(), 9 + 43);
    }

    #[test]
    fn names_that_could_mean_something_else_are_refused() {
        let (_parent, _, store) = fresh();
        for bad in ["", "a/b", "a b", "a\nb", "ä", "a:b", &"x".repeat(65)] {
            assert!(matches!(store.create(&key(bad, KeyKind::Both)), Err(KeysError::Name(_))), "{bad:?}");
        }
    }
}
