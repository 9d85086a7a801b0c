//! What comes from inside of a sandbox: frames of drivers and of init, and paths.

use cloister_jail::guest::cell::CellEvent;
use cloister_jail::guest::frame::{CELL, CONTROL, Caps, Reader};
use cloister_jail::guest::message::{Reply, Request};
use cloister_jail::guest::path;
use serde::de::DeserializeOwned;
use std::path::{Component, Path};

/// The first byte says whose channel and how large the pieces are in which the rest comes. A blob is never more than what came.
pub(super) fn frame(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let piece = 1 + usize::from(how >> 2);
    match how & 3 {
        0 => read::<Request>(rest, piece, CONTROL),
        1 => read::<Reply>(rest, piece, CONTROL),
        _ => read::<CellEvent>(rest, piece, CELL),
    }
}

fn read<M: DeserializeOwned>(data: &[u8], piece: usize, caps: Caps) {
    let mut reader = Reader::new(caps);
    let mut taken = 0;
    for part in data.chunks(piece) {
        reader.push(part);
        loop {
            match reader.take::<M>() {
                Ok(Some((_, blob))) => taken += blob.len(),
                Ok(None) => break,
                // The channel is closed.
                Err(_) => return,
            }
            assert!(taken <= data.len(), "blobs are longer than what came");
        }
    }
}

/// A relative path never climbs above the workspace, as a reader of its text sees it.
pub(super) fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(resolved) = path::resolve("/workspace", text) else { return };
    assert!(resolved.is_absolute() && !resolved.as_os_str().as_encoded_bytes().contains(&0));
    let named = text.strip_prefix("file://").unwrap_or(text);
    if !Path::new(named).is_absolute() {
        assert!(resolved.starts_with("/workspace"), "{resolved:?}");
        let mut depth = 0;
        for part in resolved.components().skip(2) {
            depth += if part == Component::ParentDir { -1 } else { 1 };
            assert!(depth >= 0, "{resolved:?} climbs");
        }
    }
    let shown = path::show("/workspace", &resolved);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
