//! Session records in SQLite: one file, one connection, every write in the file before it is answered.
//!
//! ```text
//!   SessionManager ─▶ dyn Store ─▶ Mutex<Connection> ─▶ sessions.db (WAL, synchronous=NORMAL)
//! ```
//!
//! A commit is the kernel's before it is answered, and survives the death of the server: the intent to start a session is there before
//! its first kernel object exists. The disk has it some time later. A power cut may take the last records, and takes the kernel objects
//! with them, so that nothing is left without its record (docs/adr/0018-no-sync-per-start.md). Records hold no code, no output and no secret. Times are nanoseconds since 1970.

mod cpu;

use cloister_core::error::{Error, Kind};
use cloister_core::quota::CpuRecord;
use cloister_core::session::{EndReason, ListQuery, Page, SessionRecord, Status};
use cloister_core::store::{Store, StoredSession};
use cloister_core::{Principal, SandboxId, SessionId};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row, named_params, params};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The layout below, as `user_version` in the file. A change of the layout adds a step to [`migrate`] and one here.
const VERSION: i64 = 3;

const LAYOUT: &str = "
    CREATE TABLE sessions (
        id          TEXT PRIMARY KEY NOT NULL,
        interpreter TEXT NOT NULL,
        key         TEXT NOT NULL,
        tenant      TEXT NOT NULL,
        principal   TEXT NOT NULL,
        name        TEXT,
        ended       TEXT,
        created     INTEGER NOT NULL,
        updated     INTEGER NOT NULL,
        ttl         INTEGER NOT NULL,
        policy      TEXT NOT NULL,
        tier        TEXT NOT NULL,
        sandbox     TEXT,
        token       TEXT,
        fingerprint BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- One session per token, even if the server had a bug.
    CREATE UNIQUE INDEX sessions_by_token ON sessions (tenant, principal, key, token) WHERE token IS NOT NULL;
    CREATE INDEX sessions_by_owner ON sessions (tenant, principal, created DESC, id DESC);
    CREATE INDEX sessions_live ON sessions (id) WHERE ended IS NULL;
    CREATE INDEX sessions_ended ON sessions (updated) WHERE ended IS NOT NULL;
";

/// A page, newest first. The cursor is a place in the order (created, id), so it holds even if its session no longer
/// matches the filters; a cursor that is not the owner's matches nothing.
const LIST: &str = "
    SELECT * FROM sessions
    WHERE tenant = :tenant AND principal = :principal
        AND (:key IS NULL OR key = :key)
        AND (:ended IS NULL OR (ended IS NOT NULL) = :ended)
        AND (:after IS NULL OR (created, id) < (
            SELECT created, id FROM sessions WHERE id = :after AND tenant = :tenant AND principal = :principal))
    ORDER BY created DESC, id DESC LIMIT :limit
";

/// Another process (an operator's `sqlite3`) may hold the file for so long before a call fails.
const BUSY: Duration = Duration::from_secs(5);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The file cannot be made or opened.
    #[error("session store {path}: {source}; check the folder's owner and free space")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no database, is damaged, or the disk is full.
    #[error(
        "session store {path}: {source}; if it is damaged, move it away: live sessions end and their records are lost"
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file was written by a later release.
    #[error(
        "session store {path} has layout {found} and this server knows {VERSION}; run a newer cloister on it"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
}

/// Session records in one file.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the file, or makes it (readable by its owner only).
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        // Made here and not by SQLite, for the mode; the journal files take it over from the database.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let database = |source| OpenError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(database)?;
        prepare(&connection).map_err(database)?;
        match migrate(&mut connection).map_err(database)? {
            VERSION => Ok(Self { connection: Mutex::new(connection) }),
            found => Err(OpenError::TooNew { path: path.to_owned(), found }),
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic leaves no transaction open: it is rolled back when its guard is dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        statement.execute(params).map_err(failed)
    }

    fn one(&self, sql: &str, params: impl Params) -> Result<Option<StoredSession>, Error> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        statement.query_row(params, session).optional().map_err(failed)
    }

    /// Every row that can be read. One damaged row must not hide the others, so it is logged and left out.
    fn many(&self, sql: &str, params: impl Params) -> Result<Vec<StoredSession>, Error> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        let mut sessions = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            match session(row) {
                Ok(session) => sessions.push(session),
                Err(error) => tracing::error!(%error, "a session record is damaged and was left out"),
            }
        }
        Ok(sessions)
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")
}

/// Brings an older file to [`VERSION`], in one transaction; returns the file's version afterwards.
fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !(0..VERSION).contains(&found) {
        return Ok(found);
    }
    let transaction = connection.transaction()?;
    if found == 0 {
        transaction.execute_batch(LAYOUT)?;
    }
    if found < 2 {
        transaction.execute_batch("ALTER TABLE sessions ADD COLUMN cause TEXT")?;
    }
    transaction.execute_batch(cpu::LAYOUT)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(VERSION)
}

impl Store for SqliteStore {
    fn insert(&self, session: &StoredSession) -> Result<(), Error> {
        let StoredSession { record, key, owner, sandbox, client_token, fingerprint } = session;
        let SessionRecord {
            id,
            interpreter,
            name,
            status: _,
            ended,
            cause,
            created,
            updated,
            ttl,
            policy,
            tier,
        } = record;
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "INSERT INTO sessions (id, interpreter, key, tenant, principal, name, ended, cause, created, updated, ttl, \
                 policy, tier, sandbox, token, fingerprint) VALUES (:id, :interpreter, :key, :tenant, :principal, \
                 :name, :ended, :cause, :created, :updated, :ttl, :policy, :tier, :sandbox, :token, :fingerprint)",
            )
            .map_err(failed)?;
        let done = statement.execute(named_params! {
            ":id": id.as_str(),
            ":interpreter": interpreter,
            ":key": key,
            ":tenant": owner.tenant,
            ":principal": owner.name,
            ":name": name,
            ":ended": ended.map(end_name),
            ":cause": cause,
            ":created": nanos(*created),
            ":updated": nanos(*updated),
            ":ttl": i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX),
            ":policy": policy,
            ":tier": tier,
            ":sandbox": sandbox.as_ref().map(SandboxId::as_str),
            ":token": client_token,
            ":fingerprint": fingerprint.as_slice(),
        });
        match done {
            Ok(_) => Ok(()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                let text = format!("session {id}, or the client token that starts it, is recorded already");
                Err(Error::new(Kind::Internal, text).with_source(error))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn bind(&self, id: &SessionId, sandbox: &SandboxId) -> Result<(), Error> {
        self.change(
            "UPDATE sessions SET sandbox = ?2 WHERE id = ?1",
            params![id.as_str(), sandbox.as_str()],
        )?;
        Ok(())
    }

    fn terminate(
        &self,
        id: &SessionId,
        reason: EndReason,
        cause: Option<&str>,
        at: SystemTime,
    ) -> Result<(), Error> {
        self.change(
            "UPDATE sessions SET ended = ?2, updated = ?3, cause = ?4 WHERE id = ?1 AND ended IS NULL",
            params![id.as_str(), end_name(reason), nanos(at), cause],
        )?;
        Ok(())
    }

    fn forget(&self, id: &SessionId) -> Result<(), Error> {
        self.change("DELETE FROM sessions WHERE id = ?1", params![id.as_str()])?;
        Ok(())
    }

    fn get(&self, id: &SessionId) -> Result<Option<StoredSession>, Error> {
        self.one("SELECT * FROM sessions WHERE id = ?1", params![id.as_str()])
    }

    fn by_token(&self, owner: &Principal, key: &str, token: &str) -> Result<Option<StoredSession>, Error> {
        self.one(
            "SELECT * FROM sessions WHERE tenant = ?1 AND principal = ?2 AND key = ?3 AND token = ?4",
            params![owner.tenant, owner.name, key, token],
        )
    }

    fn list(&self, owner: &Principal, key: Option<&str>, query: &ListQuery) -> Result<Page, Error> {
        // One more than asked for tells whether there is a next page.
        let found = self.many(
            LIST,
            named_params! {
                ":tenant": owner.tenant,
                ":principal": owner.name,
                ":key": key,
                ":ended": query.status.map(|status| status == Status::Terminated),
                ":after": query.after.as_ref().map(SessionId::as_str),
                ":limit": i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1),
            },
        )?;
        let more = found.len() > query.limit;
        let items: Vec<SessionRecord> =
            found.into_iter().take(query.limit).map(|session| session.record).collect();
        let next = if more { items.last().map(|record| record.id.clone()) } else { None };
        Ok(Page { items, next })
    }

    fn live(&self) -> Result<Vec<StoredSession>, Error> {
        self.many("SELECT * FROM sessions WHERE ended IS NULL ORDER BY created, id", [])
    }

    fn prune(&self, before: SystemTime) -> Result<usize, Error> {
        self.change("DELETE FROM sessions WHERE ended IS NOT NULL AND updated < ?1", params![nanos(before)])
    }

    fn add_cpu(&self, records: &[CpuRecord], first: u64) -> Result<(), Error> {
        self.add(records, first)
    }

    fn cpu_since(&self, first: u64) -> Result<Vec<CpuRecord>, Error> {
        self.since(first)
    }
}

/// Reads a row by column names.
fn session(row: &Row<'_>) -> rusqlite::Result<StoredSession> {
    let ended: Option<String> = row.get("ended")?;
    let ended = ended.map(|name| end_of(&name).ok_or_else(|| damaged("ended"))).transpose()?;
    let sandbox: Option<String> = row.get("sandbox")?;
    let id: String = row.get("id")?;
    let ttl = u64::try_from(row.get::<_, i64>("ttl")?).map_err(|_| damaged("ttl"))?;
    Ok(StoredSession {
        record: SessionRecord {
            id: SessionId::parse(&id).ok_or_else(|| damaged("id"))?,
            interpreter: row.get("interpreter")?,
            name: row.get("name")?,
            status: if ended.is_some() { Status::Terminated } else { Status::Ready },
            ended,
            cause: row.get("cause")?,
            created: time(row.get("created")?),
            updated: time(row.get("updated")?),
            ttl: Duration::from_nanos(ttl),
            policy: row.get("policy")?,
            tier: row.get("tier")?,
        },
        key: row.get("key")?,
        owner: Principal { tenant: row.get("tenant")?, name: row.get("principal")? },
        sandbox: sandbox.map(|text| SandboxId::parse(&text).ok_or_else(|| damaged("sandbox"))).transpose()?,
        client_token: row.get("token")?,
        fingerprint: row.get("fingerprint")?,
    })
}

fn damaged(column: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnName(format!("{column} holds no valid value"))
}

fn failed(error: rusqlite::Error) -> Error {
    Error::internal("the session store does not answer; the server's log says why", error)
}

fn end_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stopped => "stopped",
        EndReason::Expired => "expired",
        EndReason::Drained => "drained",
        EndReason::Failed => "failed",
        EndReason::Lost => "lost",
    }
}

fn end_of(name: &str) -> Option<EndReason> {
    let all =
        [EndReason::Stopped, EndReason::Expired, EndReason::Drained, EndReason::Failed, EndReason::Lost];
    all.into_iter().find(|reason| end_name(*reason) == name)
}

/// Nanoseconds since 1970: enough until the year 2262. A clock before 1970 counts as 1970.
fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn time(nanos: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::testing::{check_store, stored};
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn it_keeps_the_contract_of_a_store() {
        let folder = folder();
        check_store(&SqliteStore::open(&folder.path().join("sessions.db")).unwrap()).unwrap();
    }

    #[test]
    fn records_outlive_the_server_and_only_their_owner_reads_the_files() {
        let folder = folder();
        let path = folder.path().join("sessions.db");
        let session = stored("A1", 1, Some("token")).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        store.insert(&session).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        }
        drop(store);
        assert_eq!(SqliteStore::open(&path).unwrap().live().unwrap(), [session]);
    }

    #[test]
    fn a_commit_is_the_kernels_and_does_not_wait_for_the_disk() {
        let folder = folder();
        let store = SqliteStore::open(&folder.path().join("sessions.db")).unwrap();
        let connection = store.connection();
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 1));
    }

    #[test]
    fn two_sessions_cannot_have_one_token() {
        let folder = folder();
        let store = SqliteStore::open(&folder.path().join("sessions.db")).unwrap();
        store.insert(&stored("A1", 1, Some("token")).unwrap()).unwrap();
        let error = store.insert(&stored("A2", 2, Some("token")).unwrap()).unwrap_err();
        assert!(error.message.contains("recorded already"), "{error}");
        store.insert(&stored("A3", 3, None).unwrap()).unwrap();
        store.insert(&stored("A4", 4, None).unwrap()).unwrap();
    }

    #[test]
    fn a_damaged_record_does_not_hide_the_others() {
        let folder = folder();
        let store = SqliteStore::open(&folder.path().join("sessions.db")).unwrap();
        let (good, bad) = (stored("A1", 1, None).unwrap(), stored("A2", 2, None).unwrap());
        store.insert(&good).unwrap();
        store.insert(&bad).unwrap();
        store.connection().execute("UPDATE sessions SET fingerprint = x'00' WHERE id = 'A2'", []).unwrap();
        assert_eq!(store.live().unwrap(), [good]);
        assert_eq!(store.get(&bad.record.id).unwrap_err().kind, Kind::Internal);
    }

    #[test]
    fn a_file_of_a_later_release_or_of_something_else_is_left_alone() {
        let folder = folder();
        let newer = folder.path().join("newer.db");
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(SqliteStore::open(&newer).unwrap_err().to_string().contains("layout 99"));
        let other = folder.path().join("other.db");
        std::fs::write(&other, "not a database, and long enough to be looked at as one").unwrap();
        let error = SqliteStore::open(&other).unwrap_err().to_string();
        assert!(error.contains("other.db") && error.contains("move it away"), "{error}");
        assert!(std::fs::read_to_string(&other).unwrap().starts_with("not a database"));
    }

    #[test]
    fn the_list_walks_an_index_and_sorts_nothing() {
        let folder = folder();
        let store = SqliteStore::open(&folder.path().join("sessions.db")).unwrap();
        let connection = store.connection();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {LIST}")).unwrap();
        // Without values: how SQLite goes about it does not depend on them.
        let mut rows = statement.raw_query();
        let mut plan: Vec<String> = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get("detail").unwrap());
        }
        assert!(plan[0].contains("USING INDEX sessions_by_owner"), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
