//! The audit log on the disk: JSON lines, each bound to the one before it, in files that are only ever appended to.
//!
//! ```text
//!   <data-dir>/audit/ 0700
//!     lock           0600   held for each append: the server and `cloister token` write into one chain
//!     00000001.jsonl 0600   {"seq":1,"prev":"0…0", … ,"hash":"…"}\n …          hash = SHA-256(the line without its hash)
//!     00000002.jsonl 0600   begins with log.rotated, whose `prev` is the last hash of the file before
//!
//!   record ─▶ line.rs (bounded, ASCII) ─▶ chain.rs (seq, prev, hash) ─▶ log.rs (append; fsync if it must be on disk) ─▶ effect
//!   cloister audit verify · tail · search ─▶ read.rs
//! ```
//!
//! The chain shows that nothing inside of it was changed, left out or added afterwards by anybody who did not also rewrite all that
//! follows; that the end was not cut off shows only a hash that was kept elsewhere (`verify` prints it).

mod chain;
mod line;
mod log;
mod read;
mod records;
mod verify;

pub(crate) use chain::sha256;
pub(crate) use log::{FileAudit, Limits, OnFailure, OpenError};
pub(crate) use read::{Filter, Follow, denial, search};
pub(crate) use records::Records;
pub(crate) use verify::{Broken, verify};

use cloister_core::Principal;
use cloister_core::audit::{Action, Actor, Event, Method};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An event of whoever works on the server's own files.
pub(crate) fn by_console(action: Action) -> Event {
    let name = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| nix::unistd::getuid().to_string());
    let principal = Principal { tenant: "local".into(), name };
    Event::new(action).by(Actor { principal, key: None, method: Method::Console })
}

/// The file number `number` of a log.
fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.jsonl"))
}

/// The numbers of the files of a log, in order. A log that is not there has none.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jsonl"))
            .and_then(|text| text.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
