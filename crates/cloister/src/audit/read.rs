//! Reading the log: line by line, by what a person asks for, and on as it grows.

use super::{segment, segments};
use cloister_core::audit::Action;
use cloister_core::denial::{Denial, DenialId, Layer, Noted};
use cloister_core::policy::PolicyRef;
use cloister_core::{Principal, SandboxId, SessionId};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Files, newest first, in which a denial of the past is looked for. Stops unknown ids from reading years of records.
const LOOKED_THROUGH: usize = 4;
/// Bytes of a line. Longer than any that is written; what is longer is no record.
const LINE: u64 = 4 << 20;

/// Which records. Everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// The session.
    pub(crate) session: Option<String>,
    /// The caller's name, or `TENANT/NAME`.
    pub(crate) principal: Option<String>,
    /// The action: `session.start`.
    pub(crate) action: Option<String>,
    /// The denial.
    pub(crate) denial: Option<String>,
    /// Not before, in milliseconds after 1970.
    pub(crate) since: Option<u64>,
    /// Before, in milliseconds after 1970.
    pub(crate) until: Option<u64>,
}

impl Filter {
    /// Whether a record is wanted.
    pub(crate) fn takes(&self, record: &Value) -> bool {
        let Self { session, principal, action, denial, since, until } = self;
        let is = |wanted: &Option<String>, member: &str| {
            wanted.as_ref().is_none_or(|wanted| record[member].as_str() == Some(wanted))
        };
        let time = record["time"].as_u64().unwrap_or_default();
        is(session, "session")
            && is(action, "action")
            && is(denial, "denial")
            && since.is_none_or(|since| time >= since)
            && until.is_none_or(|until| time < until)
            && principal.as_ref().is_none_or(|wanted| {
                let word = |member: &str| record["actor"][member].as_str().unwrap_or_default();
                match wanted.split_once('/') {
                    Some((tenant, name)) => word("tenant") == tenant && word("name") == name,
                    None => word("name") == wanted,
                }
            })
    }
}

/// Calls `each` with every record that is wanted, oldest first, and its text. Lines that are no records are passed over: `verify`
/// speaks of them.
pub(crate) fn search<E: From<io::Error>>(
    folder: &Path,
    filter: &Filter,
    mut each: impl FnMut(&Value, &str) -> Result<(), E>,
) -> Result<(), E> {
    for number in segments(folder)? {
        let mut reader = BufReader::new(File::open(segment(folder, number))?);
        while let Some(line) = next_line(&mut reader)? {
            if let Some((record, text)) = wanted(filter, &line) {
                each(&record, text)?;
            }
        }
    }
    Ok(())
}

/// The records that are appended from now on, with those of the last lines before.
pub(crate) struct Follow {
    number: u64,
    reader: BufReader<File>,
    /// A line that is being written.
    begun: Vec<u8>,
}

impl Follow {
    /// From the end of the log.
    pub(crate) fn from_the_end(folder: &Path) -> io::Result<Self> {
        let number = segments(folder)?.last().copied().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "there is no audit log in this data folder")
        })?;
        let mut reader = BufReader::new(File::open(segment(folder, number))?);
        reader.seek(SeekFrom::End(0))?;
        Ok(Self { number, reader, begun: Vec::new() })
    }

    /// Calls `each` with what has come since the last call.
    pub(crate) fn step<E: From<io::Error>>(
        &mut self,
        folder: &Path,
        filter: &Filter,
        mut each: impl FnMut(&Value, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let next = segment(folder, self.number + 1);
            // Looked for before the rest is read: what is there now was written before the next file was begun.
            let over = next.exists();
            while let Some(line) = self.line()? {
                if let Some((record, text)) = wanted(filter, &line) {
                    each(&record, text)?;
                }
            }
            if !over {
                return Ok(());
            }
            self.reader = BufReader::new(File::open(next)?);
            self.number += 1;
            self.begun.clear();
        }
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.reader.read_until(b'\n', &mut self.begun)?;
        if self.begun.last() != Some(&b'\n') {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.begun);
        line.pop();
        Ok(Some(line))
    }
}

/// A line without its end; `None` at the end of the file.
pub(super) fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

fn wanted<'l>(filter: &Filter, line: &'l [u8]) -> Option<(Value, &'l str)> {
    let text = std::str::from_utf8(line).ok()?;
    let record: Value = serde_json::from_str(text).ok()?;
    filter.takes(&record).then_some((record, text))
}

/// The denial with an id, from the newest files.
pub(crate) fn denial(folder: &Path, id: &DenialId) -> io::Result<Option<Noted>> {
    let needle = format!("\"denial\":\"{id}\"");
    for number in segments(folder)?.into_iter().rev().take(LOOKED_THROUGH) {
        let mut reader = BufReader::new(File::open(segment(folder, number))?);
        while let Some(line) = next_line(&mut reader)? {
            let Ok(text) = std::str::from_utf8(&line) else { continue };
            if !text.contains(&needle) {
                continue;
            }
            let Ok(record) = serde_json::from_str::<Value>(text) else { continue };
            if record["action"] == Action::Denied.name() {
                return Ok(noted(id, &record));
            }
        }
    }
    Ok(None)
}

fn noted(id: &DenialId, record: &Value) -> Option<Noted> {
    let text = |of: &Value, member: &str| of[member].as_str().map(str::to_owned);
    let (detail, untrusted) = (&record["detail"], &record["untrusted"]);
    let denial = Denial {
        layer: Layer::parse(detail["layer"].as_str()?)?,
        rule: text(record, "rule")?,
        asked: text(untrusted, "asked")?,
        why: text(untrusted, "why")?,
        how: text(untrusted, "how")?,
        matched: text(untrusted, "matched"),
        policy: text(&record["policy"], "name")
            .zip(text(&record["policy"], "version"))
            .map(|(name, version)| PolicyRef { name, version }),
        session: record["session"].as_str().and_then(SessionId::parse),
        sandbox: record["sandbox"].as_str().and_then(SandboxId::parse),
        owner: text(&record["actor"], "tenant")
            .zip(text(&record["actor"], "name"))
            .map(|(tenant, name)| Principal { tenant, name }),
    };
    let at = UNIX_EPOCH + Duration::from_nanos(record["time_ns"].as_str()?.parse().ok()?);
    Some(Noted { id: id.clone(), at, denial })
}
