//! The server's own folder: who holds it, its secrets, and where its clients find it.
//!
//! ```text
//!   <data-dir>/            0700   one server at a time (lock)
//!     lock                 0600   flock, for as long as the server lives
//!     cursor.key           0600   seals pagination cursors, so that they survive a restart
//!     keys.db              0600   the keys that this server has issued
//!     keys.key             0600   what the secrets of access keys are derived from
//!     credentials          0600   the key of whoever runs the server, for `cloister env` and the command line
//!     endpoint             0644   the URL, while a server runs
//!     policies.state       0600   what came of the last reload, while a server runs
//!     sessions.db          0600   the store
//!     tls/                 0700   ca.key (0600) and ca.pem: the authority of the TLS door
//!     endpoint.tls         0644   the URL of the TLS door, while a server has one
//!     shim/                0700   for PYTHONPATH: points the SDK's browser client at the server
//!     receipts.key         0600   signs receipts
//!     audit/               0700   the audit log (audit/mod.rs)
//!     sandboxes/           0700   one folder per sandbox
//!     recordings/          0700   one folder per recorded browser session
//! ```

use crate::reload::State;
use crate::tls::{Authority, TlsError};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of every secret.
const SECRET: usize = 32;

/// A data folder. Opening it does not lock it.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another server is running on it.
    #[error(
        "another cloister server is using {0}; stop it, or give this one a folder of its own with --data-dir"
    )]
    InUse(PathBuf),
    /// Somebody else's folder: what it holds cannot be trusted.
    #[error("{path} belongs to user id {owner}; give a folder that belongs to you with --data-dir")]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A secret that others can read or that has another length.
    #[error("{0} is not a secret of this server (readable by others, or damaged); remove it and start again")]
    Secret(PathBuf),
    /// The authority of the TLS door.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file system says no.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The exclusive hold on a data folder; letting go of it also takes the endpoint file away.
#[derive(Debug)]
pub(crate) struct Hold {
    endpoint: PathBuf,
    _lock: File,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A stale endpoint would send clients to whoever gets the port next.
        let _ = fs::remove_file(&self.endpoint);
        let _ = fs::remove_file(self.endpoint.with_extension("tls"));
    }
}

impl DataDir {
    /// `~/.local/share/cloister`, or below `XDG_DATA_HOME`; `None` without a home.
    pub(crate) fn default_path() -> Option<PathBuf> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        absolute("XDG_DATA_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
            .map(|base| base.join("cloister"))
    }

    /// Makes the folder if it is missing, and makes it private: it holds secrets and other people's files.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let path = path.canonicalize().map_err(io)?;
        let metadata = fs::metadata(&path).map_err(io)?;
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(DataDirError::Owner { path, owner: metadata.uid() });
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(io)?;
        }
        Ok(Self { path })
    }

    /// Locks the folder for this process.
    pub(crate) fn hold(&self) -> Result<Hold, DataDirError> {
        let path = self.path.join("lock");
        let io = |source| DataDirError::Io { path: path.clone(), source };
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Hold { endpoint: self.path.join("endpoint"), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(DataDirError::InUse(self.path.clone())),
            Err(fs::TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The key that seals pagination cursors.
    pub(crate) fn cursor_key(&self) -> Result<[u8; SECRET], DataDirError> {
        let path = self.path.join("cursor.key");
        let bytes = read_or_create(&path, || random().map(|key| key.to_vec()))?;
        bytes.try_into().map_err(|_| DataDirError::Secret(path))
    }

    /// What the secrets of access keys are derived from.
    pub(crate) fn keys_key(&self) -> Result<[u8; SECRET], DataDirError> {
        let path = self.path.join("keys.key");
        let bytes = read_or_create(&path, || random().map(|key| key.to_vec()))?;
        bytes.try_into().map_err(|_| DataDirError::Secret(path))
    }

    /// What signs receipts.
    pub(crate) fn receipts_key(&self) -> Result<[u8; SECRET], DataDirError> {
        let path = self.receipts_key_path();
        let bytes = read_or_create(&path, || random().map(|key| key.to_vec()))?;
        bytes.try_into().map_err(|_| DataDirError::Secret(path))
    }

    /// Where that is.
    pub(crate) fn receipts_key_path(&self) -> PathBuf {
        self.path.join("receipts.key")
    }

    /// Where the audit log is.
    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    /// Where the store of keys is.
    pub(crate) fn keys(&self) -> PathBuf {
        self.path.join("keys.db")
    }

    /// The file of credentials, if there is one.
    pub(crate) fn credentials(&self) -> Result<Option<Vec<u8>>, DataDirError> {
        let path = self.path.join("credentials");
        if path.exists() { read_secret(&path).map(Some) } else { Ok(None) }
    }

    /// Puts the file of credentials there, in place of an older one.
    pub(crate) fn write_credentials(&self, text: &[u8]) -> Result<(), DataDirError> {
        let path = self.path.join("credentials");
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        let written = write();
        let _ = fs::remove_file(&temporary);
        written.map_err(|source| DataDirError::Io { path, source })
    }

    /// Writes the URL of the running server.
    pub(crate) fn publish_endpoint(&self, url: &str) -> Result<(), DataDirError> {
        self.publish("endpoint", url)
    }

    /// Writes the URL of the running server's TLS door.
    pub(crate) fn publish_tls(&self, url: &str) -> Result<(), DataDirError> {
        self.publish("endpoint.tls", url)
    }

    fn publish(&self, name: &str, url: &str) -> Result<(), DataDirError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!("{name}.new"));
        let publish = || {
            fs::write(&temporary, format!("{url}\n"))?;
            fs::rename(&temporary, &path)
        };
        publish().map_err(|source| DataDirError::Io { path, source })
    }

    /// Writes what the running server says of its policies.
    pub(crate) fn publish_policies(&self, state: &State) -> Result<(), DataDirError> {
        let text = serde_json::to_string(state).unwrap_or_default();
        self.publish("policies.state", &text)
    }

    /// What the running server says of its policies.
    pub(crate) fn policies(&self) -> Option<State> {
        serde_json::from_str(&self.published("policies.state")?).ok()
    }

    /// Removes what an earlier server said of them.
    pub(crate) fn forget_policies(&self) -> Result<(), DataDirError> {
        let path = self.path.join("policies.state");
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DataDirError::Io { path, source }),
            _ => Ok(()),
        }
    }

    /// The URL of the server that last ran here and has not ended in order.
    pub(crate) fn endpoint(&self) -> Option<String> {
        self.published("endpoint")
    }

    /// The same of its TLS door.
    pub(crate) fn tls(&self) -> Option<String> {
        self.published("endpoint.tls")
    }

    fn published(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.path.join(name)).ok()?;
        Some(text.trim_end().to_owned()).filter(|url| !url.is_empty())
    }

    /// The authority of the TLS door, made if it is missing.
    pub(crate) fn authority(&self) -> Result<Authority, DataDirError> {
        let folder = self.path.join("tls");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| DataDirError::Io { path: folder.clone(), source })?;
        let key = read_or_create(&folder.join("ca.key"), Authority::new_key)?;
        Ok(Authority::open(key, &folder)?)
    }

    /// The folder for `PYTHONPATH`, with this version's shim in it.
    pub(crate) fn python_shim(&self) -> Result<PathBuf, DataDirError> {
        const SHIM: &str = include_str!("shim/sitecustomize.py");
        let folder = self.path.join("shim");
        let path = folder.join("sitecustomize.py");
        if fs::read_to_string(&path).is_ok_and(|text| text == SHIM) {
            return Ok(folder);
        }
        let temporary = folder.join(format!("sitecustomize.{}.new", std::process::id()));
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            fs::write(&temporary, SHIM)?;
            // A rename, since programs that have been started may be reading the old one.
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| DataDirError::Io { path: path.clone(), source })?;
        Ok(folder)
    }

    /// Where the store keeps its database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("sessions.db")
    }

    /// Where recordings of browser sessions are kept.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.path.join("recordings")
    }

    /// Where roots for engines of the wasm tier are kept, for a user without a cache.
    pub(crate) fn engines(&self) -> PathBuf {
        self.path.join("engines")
    }

    /// Where backends keep one folder per sandbox.
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.path.join("sandboxes")
    }
}

/// The content of a secret file, made first if it is missing. Two processes that make it at once agree on one content.
fn read_or_create(path: &Path, make: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<Vec<u8>, DataDirError> {
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    if !path.exists() {
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let write = || {
            let content = make()?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&content)?;
            file.sync_all()?;
            // A link, unlike a rename, never replaces what another process has just made.
            match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        };
        let written = write();
        let _ = fs::remove_file(&temporary);
        written.map_err(io)?;
    }
    read_secret(path)
}

/// The content of a secret file that only its owner can read.
fn read_secret(path: &Path) -> Result<Vec<u8>, DataDirError> {
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
        return Err(DataDirError::Secret(path.to_owned()));
    }
    let mut content = Vec::new();
    file.take(4096).read_to_end(&mut content).map_err(io)?;
    Ok(content)
}

fn random() -> io::Result<[u8; SECRET]> {
    let mut key = [0u8; SECRET];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::open(&parent.path().join("a/b")).unwrap();
        (parent, data)
    }

    #[test]
    fn the_folder_and_its_secrets_are_private() {
        let (_parent, data) = fresh();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        data.cursor_key().unwrap();
        data.keys_key().unwrap();
        data.write_credentials(b"{}").unwrap();
        assert_eq!(mode(&data.path), 0o700);
        assert_eq!(mode(&data.path.join("cursor.key")), 0o600);
        assert_eq!(mode(&data.path.join("keys.key")), 0o600);
        assert_eq!(mode(&data.path.join("credentials")), 0o600);
        fs::set_permissions(&data.path, fs::Permissions::from_mode(0o755)).unwrap();
        DataDir::open(&data.path).unwrap();
        assert_eq!(mode(&data.path), 0o700);
    }

    #[test]
    fn secrets_stay_the_same_and_differ_between_folders() {
        let ((_a, one), (_b, two)) = (fresh(), fresh());
        assert_eq!(one.keys_key().unwrap(), one.keys_key().unwrap());
        assert_eq!(one.cursor_key().unwrap(), one.cursor_key().unwrap());
        assert_ne!(one.keys_key().unwrap(), two.keys_key().unwrap());
    }

    #[test]
    fn the_shim_is_written_and_an_older_one_is_replaced() {
        let (_parent, data) = fresh();
        let file = data.python_shim().unwrap().join("sitecustomize.py");
        fs::write(&file, "old").unwrap();
        data.python_shim().unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("generate_ws_headers"));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let (_parent, data) = fresh();
        data.keys_key().unwrap();
        data.write_credentials(b"{}").unwrap();
        for name in ["keys.key", "credentials"] {
            fs::set_permissions(data.path.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert!(matches!(data.keys_key(), Err(DataDirError::Secret(_))));
        assert!(matches!(data.credentials(), Err(DataDirError::Secret(_))));
    }

    #[test]
    fn a_second_server_is_turned_away_and_an_orderly_end_takes_the_endpoint_away() {
        let (_parent, data) = fresh();
        let hold = data.hold().unwrap();
        assert!(matches!(data.hold(), Err(DataDirError::InUse(_))));
        data.publish_endpoint("http://127.0.0.1:1").unwrap();
        assert_eq!(data.endpoint().as_deref(), Some("http://127.0.0.1:1"));
        drop(hold);
        assert_eq!(data.endpoint(), None);
        data.hold().unwrap();
    }
}
