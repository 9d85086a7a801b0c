//! The log as a whole: what is written can be verified, and what is changed afterwards shows.

use super::*;
use crate::audit::{FileAudit, Filter, Limits, OnFailure, search, segment};
use cloister_core::SessionId;
use cloister_core::audit::{Audit, Event, Key};
use cloister_core::denial::{Denial, DenialId, Denials, Layer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("audit");
    (parent, folder)
}

fn open(folder: &Path) -> FileAudit {
    FileAudit::open(folder.to_owned(), Limits::default()).unwrap()
}

fn call(n: u64) -> Event {
    Event::new(Action::Call).with(Key::Count, n)
}

#[test]
fn what_is_recorded_can_be_verified_also_after_a_restart_and_is_private() {
    let (_parent, folder) = folder();
    for round in 0..3 {
        let log = open(&folder);
        log.record(Event::new(Action::ServerStart)).unwrap();
        (0..10).for_each(|n| drop(log.record(call(n)).unwrap()));
        let report = verify(&folder).unwrap();
        assert_eq!((report.first, report.last, report.torn), (1, (round + 1) * 11, 0));
    }
    for (path, mode) in [(folder.clone(), 0o700), (segment(&folder, 1), 0o600), (folder.join("lock"), 0o600)]
    {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_change_of_any_byte_a_line_left_out_and_a_line_put_in_show() {
    let (_parent, folder) = folder();
    let log = open(&folder);
    (0..4).for_each(|n| drop(log.record(call(n)).unwrap()));
    let path = segment(&folder, 1);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut other = good.clone();
            other[at] ^= flip;
            fs::write(&path, &other).unwrap();
            assert!(verify(&folder).is_err(), "byte {at} with {flip:#x}");
        }
    }
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    for (other, line) in [
        ([lines[0], lines[2], lines[3]].concat(), 2),
        ([lines[0], lines[1], lines[1], lines[2], lines[3]].concat(), 3),
        ([lines[0], lines[2], lines[1], lines[3]].concat(), 2),
        ([lines[0], b"{}\n", lines[1], lines[2], lines[3]].concat(), 2),
    ] {
        fs::write(&path, other).unwrap();
        let Err(Broken::Line { line: found, .. }) = verify(&folder) else {
            panic!("line {line} was not found")
        };
        assert_eq!(found, line);
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(verify(&folder).unwrap().records, 4);
}

#[test]
fn a_line_that_a_crash_cut_off_at_any_byte_is_kept_and_marked_and_the_chain_goes_on() {
    let (_parent, folder) = folder();
    let log = open(&folder);
    (0..2).for_each(|n| drop(log.record(call(n)).unwrap()));
    drop(log);
    let path = segment(&folder, 1);
    let good = fs::read(&path).unwrap();
    let second = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for at in second..good.len() {
        fs::write(&path, &good[..at]).unwrap();
        let log = open(&folder);
        log.record(call(9)).unwrap();
        let report = verify(&folder).unwrap();
        // At a line's end nothing is torn; without its line end only, the record counts.
        let torn = usize::from(at > second && at + 1 < good.len());
        assert_eq!(report.torn, torn, "cut at {at}");
        assert!(fs::read(&path).unwrap().starts_with(&good[..at]), "nothing is removed");
        drop(log);
        // The server may have died again between closing the line and the record of it.
        if torn == 1 {
            fs::write(&path, [&good[..at], b"\n"].concat()).unwrap();
            assert!(verify(&folder).is_err());
            drop(open(&folder));
            assert_eq!(verify(&folder).unwrap().torn, 1);
        }
    }
}

#[test]
fn the_chain_goes_on_from_file_to_file_and_over_files_that_were_taken_away() {
    let (_parent, folder) = folder();
    let log = FileAudit::open(folder.clone(), Limits { file: 2000, ..Limits::default() }).unwrap();
    (0..50).for_each(|n| drop(log.record(call(n)).unwrap()));
    let report = verify(&folder).unwrap();
    assert!(report.files > 5, "{report:?}");
    assert_eq!(report.records, report.last);
    assert_eq!(report.records, 50 + report.files as u64 - 1, "each new file begins with a record of it");
    fs::remove_file(segment(&folder, 1)).unwrap();
    assert!(verify(&folder).unwrap().first > 1, "old files may be archived");
    fs::remove_file(segment(&folder, 3)).unwrap();
    assert!(verify(&folder).is_err(), "and none from between");
    // The file that is being written: records after it go on in the next.
    let newest = *segments(&folder).unwrap().last().unwrap();
    fs::rename(segment(&folder, newest), folder.join("elsewhere")).unwrap();
    log.record(call(0)).unwrap();
    assert_eq!(*segments(&folder).unwrap().last().unwrap(), newest + 1);
}

#[test]
fn several_writers_make_one_chain() {
    let (_parent, folder) = folder();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Each has a view of its own, as another process would.
            scope.spawn(|| {
                let log =
                    FileAudit::open(folder.clone(), Limits { file: 4000, ..Limits::default() }).unwrap();
                (0..25).for_each(|n| drop(log.record(call(n)).unwrap()));
                log.flush().unwrap();
            });
        }
    });
    let mut calls = 0;
    search::<io::Error>(&folder, &Filter { action: Some("call".into()), ..Filter::default() }, |_, _| {
        calls += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(calls, 100);
    verify(&folder).unwrap();
}

#[test]
fn a_log_that_cannot_be_written_says_so_unless_the_server_goes_on_without() {
    let (_parent, folder) = folder();
    for on_failure in [OnFailure::Close, OnFailure::GoOn] {
        let log = FileAudit::open(folder.clone(), Limits { on_failure, ..Limits::default() }).unwrap();
        log.record(call(1)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "in the way").unwrap();
        assert_eq!(log.record(Event::new(Action::SessionStart)).is_ok(), on_failure == OnFailure::GoOn);
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        log.record(Event::new(Action::SessionStart)).unwrap();
    }
}

#[test]
fn a_denial_is_found_by_its_id_after_a_restart() {
    let (_parent, folder) = folder();
    let desk = cloister_core::audit::Desk::new(Arc::new(open(&folder)));
    let session = SessionId::random().unwrap();
    let denial = Denial::new(
        Layer::Egress,
        "network.ports",
        "a connection to x.example:25",
        "port 25 is shut",
        "open it",
    )
    .session(&session)
    .owner(&cloister_core::Principal::local())
    .matched("25");
    let noted = desk.note(denial);
    drop(desk);
    let found = open(&folder).denial(&noted.id).unwrap().unwrap();
    assert_eq!((found.denial, found.id), (noted.denial, noted.id));
    assert_eq!(open(&folder).denial(&DenialId::random().unwrap()).unwrap(), None);
}
