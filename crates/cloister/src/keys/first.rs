//! The key of whoever runs the server: made at the first start, and kept in a file that only this user can read, so that
//! `cloister env` and the command line find it.
//!
//! ```text
//! <data-dir>/credentials   0600   {"accessKeyId", "secretAccessKey", "token"}
//! ```
//!
//! Made once: a store that has ever held a key gets no second one by itself. Whoever wants no secret in a file moves this one away.

use super::{KeyKind, KeyStore, KeysError, NewKey};
use crate::audit::by_console;
use crate::data_dir::{DataDir, DataDirError};
use cloister_core::Principal;
use cloister_core::audit::{Action, Event, Key};
use cloister_core::error::Error;
use cloister_core::lock::lock;
use cloister_gateway::{Keys as _, Role};
use rusqlite::TransactionBehavior;
use serde::{Deserialize, Serialize};

/// What clients on this machine present.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Credentials {
    /// For AWS clients.
    pub(crate) access_key_id: String,
    /// For AWS clients.
    pub(crate) secret_access_key: String,
    /// For everything else: the bearer secret.
    pub(crate) token: String,
}

impl Credentials {
    /// Those of a shell that has evaluated `cloister env`; `None` if one is missing, or the access key is not of a cloister server.
    pub(crate) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self {
            access_key_id: variable("AWS_ACCESS_KEY_ID").filter(|id| id.starts_with(super::ID_PREFIX))?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
            token: variable("CLOISTER_TOKEN")?,
        })
    }
}

/// Whether the key had to be made.
pub(crate) enum First {
    /// Just now; shown once.
    Made(Credentials),
    /// Earlier.
    Known(Credentials),
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FirstError {
    /// The store or the file.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// It cannot be written down, so it is not made.
    #[error("no first key: {0}")]
    Record(Error),
    /// The file has been moved away.
    #[error(
        "there is no file of credentials in the data folder, and keys have been issued already; set CLOISTER_TOKEN (and \
         AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) to a key that you have, or make one with `cloister token create`"
    )]
    Moved,
    /// The file is of a key that has been revoked or has expired.
    #[error(
        "the key in the data folder's file of credentials has ended; make another one with `cloister token create`, and remove \
         the file"
    )]
    Ended,
    /// Not what was written.
    #[error(
        "the data folder's file of credentials is damaged; remove it, and make a key with `cloister token create`"
    )]
    Damaged,
}

impl From<DataDirError> for FirstError {
    fn from(error: DataDirError) -> Self {
        Self::Keys(error.into())
    }
}

/// The key of whoever runs the server; made if no key has ever been.
/// `record` writes it down before it is made.
pub(crate) fn first_key(
    data: &DataDir,
    store: &KeyStore,
    record: impl FnOnce(Event) -> Result<(), Error>,
) -> Result<First, FirstError> {
    let mut connection = lock(&store.connection);
    // `cloister serve` and `cloister env` may both be the first.
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(KeysError::from)?;
    if let Some(bytes) = data.credentials()? {
        drop(transaction);
        drop(connection);
        let known: Credentials = serde_json::from_slice(&bytes).map_err(|_| FirstError::Damaged)?;
        let good = store.grant(&known.access_key_id).is_ok_and(|grant| grant.is_some());
        return if good { Ok(First::Known(known)) } else { Err(FirstError::Ended) };
    }
    let any: bool = transaction
        .query_row("SELECT EXISTS (SELECT 1 FROM keys)", [], |row| row.get(0))
        .map_err(KeysError::from)?;
    if any {
        return Err(FirstError::Moved);
    }
    let key =
        NewKey { principal: Principal::local(), roles: vec![Role::Admin], kind: KeyKind::Both, life: None };
    let event = by_console(Action::KeyCreate)
        .with(Key::Name, format!("{}/{}", key.principal.tenant, key.principal.name))
        .with(Key::Roles, key.roles.iter().map(|role| role.word()).collect::<Vec<_>>())
        .with(Key::Reason, "the first start");
    record(event).map_err(FirstError::Record)?;
    let issued = store.insert(&transaction, &key)?;
    let credentials = Credentials {
        access_key_id: issued.id,
        secret_access_key: issued.secret.unwrap_or_default(),
        token: issued.bearer.unwrap_or_default(),
    };
    let text = serde_json::to_vec_pretty(&credentials).map_err(|_| FirstError::Damaged)?;
    // The file first: a file without a row is an ended key, which is said; a row without a file is a secret that nobody has.
    data.write_credentials(&text)?;
    transaction.commit().map_err(KeysError::from)?;
    Ok(First::Made(credentials))
}

impl First {
    /// The credentials, whoever made them when.
    pub(crate) fn credentials(self) -> Credentials {
        match self {
            Self::Made(credentials) | Self::Known(credentials) => credentials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn fresh() -> (tempfile::TempDir, DataDir, KeyStore) {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::open(parent.path()).unwrap();
        let store = KeyStore::open(&data).unwrap();
        (parent, data, store)
    }

    #[test]
    fn the_first_key_is_made_once_and_is_an_admin_of_the_local_tenant() {
        let (parent, data, store) = fresh();
        let First::Made(made) = first_key(&data, &store, |_| Ok(())).unwrap() else { panic!("not made") };
        let First::Known(known) =
            first_key(&data, &KeyStore::open(&data).unwrap(), |_| panic!("recorded twice")).unwrap()
        else {
            panic!("made twice")
        };
        assert_eq!((&made.access_key_id, &made.token), (&known.access_key_id, &known.token));
        let grant = store.grant(&made.access_key_id).unwrap().unwrap();
        assert_eq!((grant.principal, grant.roles), (Principal::local(), vec![Role::Admin]));
        assert_eq!(std::fs::metadata(parent.path().join("credentials")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_away_is_not_made_again_and_an_ended_key_is_named_so() {
        let (parent, data, store) = fresh();
        let made = first_key(&data, &store, |_| Ok(())).unwrap().credentials();
        store.revoke(&made.access_key_id).unwrap();
        assert!(matches!(first_key(&data, &store, |_| Ok(())), Err(FirstError::Ended)));
        std::fs::remove_file(parent.path().join("credentials")).unwrap();
        assert!(matches!(first_key(&data, &store, |_| Ok(())), Err(FirstError::Moved)));
    }
}
