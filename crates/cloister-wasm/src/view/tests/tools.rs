//! The file tools answer as those of a sandbox's init do, and reports name what a call has changed.

use super::*;
use cloister_jail::guest::frame::{CONTROL, head};
use cloister_jail::guest::message::{ToolResult, WriteFile};

fn file(path: &str, len: u64) -> WriteFile {
    WriteFile { path: path.into(), len }
}

fn text(result: Result<Vec<u8>, String>) -> String {
    result.map_or_else(|error| error, |bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_failing_write_leaves_nothing_and_loses_nothing() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/old", b"before").unwrap();
    view.create_directory(ROOT, b"workspace/taken", 7).unwrap();
    let before = view.usage();
    let result = view.write_all(&[file("old", 3), file("new/deep", 3), file("taken", 3)], b"aaabbbccc", 7);
    let ToolResult::Failed { message } = &result else { panic!("{result:?}") };
    assert_eq!(message, "nothing was written: taken: is a directory");
    assert_eq!(read(&mut view, "workspace/old").unwrap(), b"before");
    assert_eq!((view.usage(), read(&mut view, "workspace/new/deep")), (before, Err(Errno::Noent)));
    audit::audit(&view);
}

#[test]
fn writes_create_parents_and_replace_what_was_there() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", b"old").unwrap();
    let fd = open(&mut view, "workspace/f", OpenFlags::default(), READ).unwrap();
    view.symlink(b"/workspace/f", ROOT, b"workspace/link", 7).unwrap();
    let files = [file("a/b/c.bin", 2), file("f", 3), file("/tmp/x", 0), file("link", 1)];
    let result = view.write_all(&files, b"\xff\x00newL", 7);
    let ToolResult::Written { files } = &result else { panic!("{result:?}") };
    assert_eq!(files[0], ("a/b/c.bin".to_owned(), 2));
    assert_eq!(view.read_whole("a/b/c.bin", CONTROL.blob).unwrap(), b"\xff\x00");
    assert_eq!(text(view.read_whole("f", CONTROL.blob)), "new");
    assert_eq!(text(view.read_whole("/workspace/link", CONTROL.blob)), "L");
    let mut kept = [0; 3];
    view.read(fd, &mut kept).unwrap();
    assert_eq!(&kept, b"old");
    audit::audit(&view);
}

#[test]
fn refusals_have_the_words_of_the_other_tiers() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", &[b'x'; 100]).unwrap();
    let mut write = |path: &str, len: u64| match view.write_all(
        &[file(path, len)],
        &vec![0; len.min(9 << 20) as usize],
        7,
    ) {
        ToolResult::Failed { message } => message,
        other => panic!("{path}: {other:?}"),
    };
    let whole = |text: &str| format!("nothing was written: {text}");
    assert_eq!(
        write("../x", 1),
        whole("../x: the path leaves the workspace; give an absolute path for files outside of it")
    );
    assert_eq!(
        write("/lib/x", 1),
        whole(
            "/lib/x: read-only: the image cannot be changed; use the workspace, the home directory or /tmp"
        )
    );
    assert_eq!(
        write("big", 5 << 20),
        whole("big: disk quota: the session's storage is full; remove files first")
    );
    assert_eq!(
        write("big", (64 << 20) + 1),
        whole("big: has 67108865 bytes, and one file may have at most 67108864")
    );
    assert_eq!(write("f/below", 1), whole("f/below: not a directory"));
    assert_eq!(text(view.read_whole(".", CONTROL.blob)), ".: is a directory; list it instead");
    assert_eq!(text(view.read_whole("/dev/null", CONTROL.blob)), "/dev/null: not a regular file");
    assert_eq!(text(view.read_whole("gone", CONTROL.blob)), "gone: no such file or directory");
    let error = text(view.read_whole("f", 99));
    assert!(error.contains("100 bytes") && error.ends_with("read fewer files at once"), "{error}");
}

#[test]
fn ranges_beyond_the_end_are_empty_and_say_the_size() {
    let mut view = view(LIMITS);
    view.write_all(&[file("f", 10)], b"0123456789", 12_000_000_000);
    assert_eq!(view.read_range("f", 3, 4).unwrap(), (10, 12, b"3456".to_vec()));
    assert_eq!(view.read_range("f", 8, u64::MAX).unwrap().2, b"89");
    assert_eq!(view.read_range("f", 99, 1).unwrap(), (10, 12, Vec::new()));
}

#[test]
fn a_listing_is_sorted_shows_kinds_and_is_cut_where_its_message_would_be_too_long() {
    let mut view = view(Limits { inodes: 10_000, bytes: 1 << 30, ..LIMITS });
    view.write_all(&[file("b", 2), file("a/x", 0)], b"12", 7_000_000_000);
    view.symlink(b"b", ROOT, b"workspace/c", 7).unwrap();
    let ToolResult::Listing { entries, truncated: false } = view.list(".") else { panic!() };
    let seen: Vec<_> = entries
        .iter()
        .map(|e| (e.name.as_str(), e.path.as_str(), e.kind.as_str(), e.size, e.modified))
        .collect();
    assert_eq!(seen, [("a", "a", "directory", 0, 7), ("b", "b", "file", 2, 7), ("c", "c", "symlink", 0, 0)]);
    let ToolResult::Listing { entries, .. } = view.list("/lib/python") else { panic!() };
    assert_eq!(entries[1].path, "/lib/python/os.py");
    assert!(matches!(view.list("b"), ToolResult::Failed { message } if message == "b: not a directory"));
    for n in 0..3000 {
        write(&mut view, &format!("workspace/{n:05}{}", "x".repeat(240)), b"").unwrap();
    }
    let result = view.list("");
    assert!(matches!(&result, ToolResult::Listing { entries, truncated: true } if entries.len() > 1000));
    assert!(head(&result, 0, CONTROL).is_ok());
}

#[test]
fn trees_are_removed_and_links_are_not_followed() {
    let mut view = view(Limits { inodes: 1000, ..LIMITS });
    view.write_all(&[file("real/f", 1), file("tree/a/b", 1)], b"12", 7);
    view.symlink(b"real", ROOT, b"workspace/link", 7).unwrap();
    view.symlink(b"/workspace/real", ROOT, b"workspace/tree/link", 7).unwrap();
    let paths = ["link", "tree", "gone", ".", "real/..", "/lib/python", "/home"].map(str::to_owned);
    let ToolResult::Removed { removed, failed } = view.remove(&paths, 8) else { panic!() };
    assert_eq!(removed, ["link", "tree"]);
    let reasons: Vec<_> = failed.iter().map(|(_, why)| why.split(';').next().unwrap()).collect();
    let rofs = "read-only: the image cannot be changed";
    let workspace = "is the workspace itself";
    assert_eq!(reasons, ["no such file or directory", workspace, workspace, rofs, rofs]);
    assert_eq!(text(view.read_whole("real/f", 10)), "1");
    let deep = |levels: usize| file(&format!("{}f", "d/".repeat(levels)), 0);
    view.write_all(&[deep(129)], b"", 7);
    assert!(
        matches!(view.remove(&["d".to_owned()], 7), ToolResult::Removed { failed, .. } if failed.is_empty())
    );
    view.write_all(&[deep(131)], b"", 7);
    let ToolResult::Removed { failed, .. } = view.remove(&["d".to_owned()], 7) else { panic!() };
    assert!(failed[0].1.contains("rm -rf"), "{failed:?}");
    audit::audit(&view);
}

#[test]
fn a_report_tells_new_changed_and_untouched_files_apart() {
    let mut view = view(LIMITS);
    view.write_all(&[file("same", 1), file("grows", 1), file("moved", 1)], b"111", 7);
    let mark = view.mark();
    assert_eq!(view.changes_since(&mark, 10).0.len(), 0);
    let fd = open(&mut view, "workspace/grows", OpenFlags::default(), WRITE).unwrap();
    view.write(fd, b"22", 7).unwrap();
    view.write_all(&[file("sub/new", 3), file("__pycache__/x.pyc", 1), file("/tmp/other", 1)], b"333xx", 7);
    view.symlink(b"/lib/python/os.py", ROOT, b"workspace/link", 7).unwrap();
    view.rename((ROOT, b"workspace/moved"), (ROOT, b"workspace/name"), 7).unwrap();
    read(&mut view, "workspace/same").unwrap();
    let (changes, more) = view.changes_since(&mark, 10);
    let seen: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.size, c.created)).collect();
    assert_eq!(seen, [("grows", 2, false), ("name", 1, true), ("sub/new", 3, true)]);
    assert!(!more);
    let (changes, more) = view.changes_since(&mark, 1);
    assert_eq!((changes.len(), more), (1, true));
}
