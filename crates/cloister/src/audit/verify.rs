//! Whether a log is whole: every line bound to the one before it, over all files.

use super::chain::{self, Link, sha256};
use super::read::next_line;
use super::{segment, segments};
use cloister_core::audit::Action;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// What a log holds that is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Files.
    pub(crate) files: usize,
    /// Records.
    pub(crate) records: u64,
    /// The number of the first record: above 1 where older files have been taken away.
    pub(crate) first: u64,
    /// The number of the last record.
    pub(crate) last: u64,
    /// The hash of the last record. Kept elsewhere, it shows later that nothing before was changed or cut off.
    pub(crate) hash: String,
    /// Lines that were cut off by a crash and are marked as such.
    pub(crate) torn: usize,
}

/// Why a log is not whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The first line that does not fit.
    #[error("{file}, line {line}: {what}")]
    Line {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// There is nothing to look at.
    #[error("there is no audit log in {0}")]
    Nothing(PathBuf),
    /// The files cannot be read.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A line that is no record; only a record of it may follow.
struct Torn {
    line: u64,
    hash: String,
    what: &'static str,
}

/// Reads everything that was there when it began; a server may go on writing.
pub(crate) fn verify(folder: &Path) -> Result<Report, Broken> {
    let lock = match File::options().write(true).open(folder.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Broken::Nothing(folder.to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let numbers = segments(folder)?;
    lock.lock_shared()?;
    let lengths: io::Result<Vec<u64>> =
        numbers.iter().map(|number| Ok(segment(folder, *number).metadata()?.len())).collect();
    lock.unlock()?;
    let mut walk = Walk { report: Report::default(), last: None, torn: Vec::new(), files: Vec::new() };
    for (number, length) in numbers.iter().zip(lengths?) {
        walk.file(&segment(folder, *number), length)?;
    }
    walk.end()
}

struct Walk {
    report: Report,
    last: Option<Link>,
    torn: Vec<Torn>,
    files: Vec<PathBuf>,
}

impl Walk {
    fn file(&mut self, path: &Path, length: u64) -> Result<(), Broken> {
        self.report.files += 1;
        self.files.push(path.to_owned());
        let mut reader = BufReader::new(File::open(path)?.take(length));
        let mut number = 0;
        let mut whole = true;
        while let Some(line) = next_line(&mut reader)? {
            number += 1;
            whole = self.line(path, number, &line)?;
        }
        // Written in one piece with its end: a line without one was cut off, however good it looks.
        if whole && number > 0 && !ends_with_a_line(path, length)? {
            return Err(broken(path, number, "it was cut off at its end"));
        }
        Ok(())
    }

    /// Whether the line is a record.
    fn line(&mut self, path: &Path, number: u64, line: &[u8]) -> Result<bool, Broken> {
        let checked = match chain::check(line) {
            Ok(checked) => checked,
            Err(what) => {
                self.torn.push(Torn { line: number, hash: sha256(line), what });
                return Ok(false);
            }
        };
        self.explained(path, &checked.record)?;
        let expected = match &self.last {
            Some(last) => last.clone(),
            // The first one may follow records that have been taken away.
            None if checked.link.seq > 1 => Link { seq: checked.link.seq - 1, hash: checked.prev.clone() },
            None => Link::origin(),
        };
        if checked.prev != expected.hash {
            return Err(broken(
                path,
                number,
                "it does not follow the line before it: one was changed, added or left out",
            ));
        }
        if checked.link.seq != expected.seq + 1 {
            return Err(broken(path, number, "its number does not follow that of the line before it"));
        }
        if self.report.records == 0 {
            self.report.first = checked.link.seq;
        }
        self.report.records += 1;
        self.report.last = checked.link.seq;
        self.report.hash.clone_from(&checked.link.hash);
        self.last = Some(checked.link);
        Ok(true)
    }

    /// Fails unless the lines before `record` that are none are those that it speaks of.
    fn explained(&mut self, path: &Path, record: &Value) -> Result<(), Broken> {
        let Some(first) = self.torn.first() else { return Ok(()) };
        let hashes: Vec<Value> = self.torn.iter().map(|torn| torn.hash.clone().into()).collect();
        if record["action"] != Action::LogRecovered.name() || record["detail"]["torn"] != Value::from(hashes)
        {
            return Err(broken(path, first.line, first.what));
        }
        self.report.torn += self.torn.len();
        self.torn.clear();
        Ok(())
    }

    fn end(self) -> Result<Report, Broken> {
        match (self.torn.first(), self.files.last()) {
            (Some(torn), Some(path)) => Err(broken(path, torn.line, torn.what)),
            _ => Ok(self.report),
        }
    }
}

fn broken(path: &Path, line: u64, what: &str) -> Broken {
    Broken::Line { file: path.to_owned(), line, what: what.to_owned() }
}

fn ends_with_a_line(path: &Path, length: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0u8; 1];
    File::open(path)?.read_exact_at(&mut last, length.saturating_sub(1))?;
    Ok(last == *b"\n")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
