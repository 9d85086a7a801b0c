//! Appending to the log: one writer at a time over all processes, on disk before the effect where that is the rule.
//!
//! ```text
//!   record ─▶ lock ─▶ did another process append? read the end ─▶ full? next file ─▶ one write ─▶ unlock ─▶ synced? one fsync for
//!                                                                     │ fails                              all who wait
//!                                                                     └▶ forget the end: the next record reads it anew
//! ```
//!
//! A line that was cut off by a crash or a full disk is never removed: it is closed with a line end, and a record says what it was.

use super::chain::{self, Checked, Link, sha256};
use super::line::{self, Now};
use super::{read, segment, segments};
use cloister_core::audit::{Action, Audit, AuditError, Durability, Event, EventId, Key};
use cloister_core::denial::{DenialId, Noted};
use cloister_core::lock::lock;
use nix::time::{ClockId, clock_gettime};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Bytes of the end of a file that are read to find the last line. Longer than any line.
const END: u64 = 4 << 20;

/// Lines at the end of a log that are none, above which it was no crash. A crash leaves one.
const TORN: usize = 16;

/// What is done when the log cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// What must be on record is not done.
    Close,
    /// It is done all the same, and the failure is in the server's own log.
    GoOn,
}

/// How the log is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes after which the next file begins.
    pub(crate) file: u64,
    /// What a failure means.
    pub(crate) on_failure: OnFailure,
    /// Whether starts and stops of sessions wait for the disk. Keys, policies and secrets always do.
    pub(crate) sessions: Durability,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: 64 << 20, on_failure: OnFailure::Close, sessions: Durability::Soon }
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The file system says no.
    #[error("the audit log in {folder}: {source}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The log of a data folder.
#[derive(Debug)]
pub(crate) struct FileAudit {
    folder: PathBuf,
    limits: Limits,
    lock: File,
    end: Mutex<Option<End>>,
    synced: Mutex<(u64, u64)>,
}

/// What has become of the end that this process knows.
enum Standing {
    Unchanged,
    /// Another process has appended to it, or begun a new file.
    Changed,
    /// The file has been taken away: the chain goes on in the next one.
    Gone,
}

/// Where the log ends.
#[derive(Clone, Debug)]
struct End {
    number: u64,
    file: Arc<File>,
    length: u64,
    last: Link,
}

impl FileAudit {
    /// Opens the log, or begins one. If the last line was cut off, a record of that is the first thing written.
    pub(crate) fn open(folder: PathBuf, limits: Limits) -> Result<Self, OpenError> {
        let open = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let path = folder.join("lock");
            let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            Ok(Self { folder: folder.clone(), limits, lock, end: Mutex::default(), synced: Mutex::default() })
        };
        let this = open().map_err(|source| OpenError::Io { folder: folder.clone(), source })?;
        let ended = this.exclusively(|this, end| this.current(end).map(drop));
        ended.map_err(|source| OpenError::Io { folder, source })?;
        Ok(this)
    }

    /// Puts everything on the disk that is not there yet. For the server's timer.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let end = lock(&self.end).clone();
        end.map_or(Ok(()), |end| self.sync(&end))
    }

    /// Runs `work` while no other thread or process appends.
    fn exclusively<T>(&self, work: impl FnOnce(&Self, &mut Option<End>) -> io::Result<T>) -> io::Result<T> {
        let mut end = lock(&self.end);
        self.lock.lock()?;
        let result = work(self, &mut end);
        if result.is_err() {
            *end = None;
        }
        self.lock.unlock()?;
        result
    }

    /// The end as it is now.
    fn current<'e>(&self, end: &'e mut Option<End>) -> io::Result<&'e mut End> {
        let known = match end.take() {
            Some(known) => match self.standing(&known)? {
                Standing::Unchanged => known,
                Standing::Changed => self.find_end()?,
                Standing::Gone => self.next_file(&known)?,
            },
            None => self.find_end()?,
        };
        Ok(end.insert(known))
    }

    /// What others have done since.
    fn standing(&self, end: &End) -> io::Result<Standing> {
        if segment(&self.folder, end.number + 1).exists() {
            return Ok(Standing::Changed);
        }
        match segment(&self.folder, end.number).metadata() {
            Ok(there) if there.len() == end.length && there.ino() == end.file.metadata()?.ino() => {
                Ok(Standing::Unchanged)
            }
            Ok(_) => Ok(Standing::Changed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::Gone),
            Err(error) => Err(error),
        }
    }

    /// Reads the end of the newest file that has a record. A line that was cut off is closed, and a record written of it.
    fn find_end(&self) -> io::Result<End> {
        let numbers = segments(&self.folder)?;
        let mut last = None;
        let mut torn = Vec::new();
        for number in numbers.iter().rev() {
            let tail = tail(&mut File::open(segment(&self.folder, *number))?)?;
            last = tail.last;
            torn.splice(0..0, tail.torn);
            if last.is_some() {
                break;
            }
        }
        let number = numbers.last().copied().unwrap_or(1);
        let path = segment(&self.folder, number);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        if numbers.is_empty() {
            File::open(&self.folder)?.sync_all()?;
        }
        if torn.len() > TORN {
            let text = "its end is damaged; `cloister audit verify` says where. Move the folder away to begin a new log";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if file.metadata()?.len() > 0 && !ends_with_a_line(&mut file)? {
            file.write_all(b"\n")?;
        }
        let length = file.metadata()?.len();
        let last = last.unwrap_or_else(Link::origin);
        let mut end = End { number, file: Arc::new(file), length, last };
        if !torn.is_empty() {
            let note = Event::new(Action::LogRecovered).with(Key::Count, torn.len()).with(
                Key::Torn,
                serde_json::Value::from(torn.iter().map(|line| sha256(line)).collect::<Vec<_>>()),
            );
            tracing::warn!(
                lines = torn.len(),
                "the audit log ended with a line that was cut off; it is kept, and marked"
            );
            append(&mut end, &note, &fresh_id()?)?;
            end.file.sync_data()?;
        }
        Ok(end)
    }

    /// The next file, if this one is full.
    fn make_room(&self, end: &mut End) -> io::Result<()> {
        if end.length >= self.limits.file {
            end.file.sync_data()?;
            *end = self.next_file(end)?;
        }
        Ok(())
    }

    fn next_file(&self, end: &End) -> io::Result<End> {
        let number = end.number + 1;
        let path = segment(&self.folder, number);
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path)?;
        File::open(&self.folder)?.sync_all()?;
        let mut next = End { number, file: Arc::new(file), length: 0, last: end.last.clone() };
        append(&mut next, &Event::new(Action::LogRotated), &fresh_id()?)?;
        next.file.sync_data()?;
        Ok(next)
    }

    fn write(&self, event: &Event) -> io::Result<EventId> {
        let id = fresh_id()?;
        let written = self.exclusively(|this, end| {
            let end = this.current(end)?;
            this.make_room(end)?;
            append(end, event, &id)?;
            Ok(end.clone())
        })?;
        if self.durability(event.action) == Durability::Synced {
            self.sync(&written)?;
        }
        Ok(id)
    }

    /// One fsync for all who wait: whoever comes while one runs finds its record on the disk with the next.
    fn sync(&self, wanted: &End) -> io::Result<()> {
        let mut synced = lock(&self.synced);
        if *synced >= (wanted.number, wanted.last.seq) {
            return Ok(());
        }
        let newest = lock(&self.end).clone().filter(|end| end.number == wanted.number);
        let end = newest.as_ref().unwrap_or(wanted);
        if let Err(error) = end.file.sync_data() {
            // What the kernel has dropped it does not try again: the next record looks at what is there.
            *lock(&self.end) = None;
            return Err(error);
        }
        *synced = (end.number, end.last.seq);
        Ok(())
    }
}

impl Audit for FileAudit {
    fn record(&self, event: Event) -> Result<EventId, AuditError> {
        let failed = |source| AuditError { what: "be written", source };
        match (self.write(&event), self.limits.on_failure) {
            (Ok(id), _) => Ok(id),
            (Err(error), OnFailure::Close) => Err(failed(error)),
            (Err(error), OnFailure::GoOn) => {
                tracing::error!(action = event.action.name(), %error, "an event is not in the audit log");
                fresh_id().map_err(failed)
            }
        }
    }

    fn durability(&self, action: Action) -> Durability {
        match action {
            Action::SessionStart | Action::SessionStop => self.limits.sessions,
            other => other.durability(),
        }
    }

    fn denial(&self, id: &DenialId) -> Result<Option<Noted>, AuditError> {
        read::denial(&self.folder, id).map_err(|source| AuditError { what: "be read", source })
    }
}

fn append(end: &mut End, event: &Event, id: &EventId) -> io::Result<()> {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    let now = Now { wall: SystemTime::now(), boot: Duration::from(boot) };
    let (mut text, link) = chain::bind(&end.last, &line::members(event, id, now));
    text.push('\n');
    // One call: a reader sees the whole line or none of it, unless the disk is full.
    (&*end.file).write_all(text.as_bytes())?;
    end.length += text.len() as u64;
    end.last = link;
    Ok(())
}

fn fresh_id() -> io::Result<EventId> {
    EventId::at(SystemTime::now()).map_err(io::Error::other)
}

/// The last good line of a file, and the lines after it that are none.
struct Tail {
    last: Option<Link>,
    torn: Vec<Vec<u8>>,
}

fn tail(file: &mut File) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    if length > END && !lines.is_empty() {
        // Begun before what was read.
        lines.remove(0);
    }
    let mut torn = Vec::new();
    while let Some(line) = lines.pop() {
        match chain::check(line) {
            Ok(Checked { link, .. }) => {
                torn.reverse();
                return Ok(Tail { last: Some(link), torn });
            }
            Err(_) => torn.push(line.to_vec()),
        }
    }
    torn.reverse();
    Ok(Tail { last: None, torn })
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0u8; 1];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
