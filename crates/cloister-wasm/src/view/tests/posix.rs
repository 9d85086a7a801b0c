//! Files behave as programs expect of a POSIX system.

use super::*;
use crate::view::{FdFlags, FileType, SetTimes};

#[test]
fn a_removed_file_keeps_its_content_while_it_is_open_and_is_given_back_then() {
    let mut view = view(LIMITS);
    let before = view.usage();
    write(&mut view, "workspace/f", b"still here").unwrap();
    let fd = open(&mut view, "workspace/f", OpenFlags::default(), READ).unwrap();
    view.unlink(ROOT, b"workspace/f", 7).unwrap();
    assert_eq!(read(&mut view, "workspace/f"), Err(Errno::Noent));
    let mut data = [0; 16];
    assert_eq!(view.read(fd, &mut data), Ok(10));
    assert_eq!((&data[..10], view.stat(fd).unwrap().links), (b"still here".as_slice(), 0));
    assert!(view.usage().bytes > before.bytes);
    view.close(fd).unwrap();
    assert_eq!(view.usage(), before);
}

#[test]
fn a_rename_replaces_a_file_at_once_and_whoever_has_the_old_one_open_keeps_it() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/old", b"old").unwrap();
    write(&mut view, "tmp/new", b"new").unwrap();
    let fd = open(&mut view, "workspace/old", OpenFlags::default(), READ).unwrap();
    view.rename((ROOT, b"tmp/new"), (ROOT, b"workspace/old"), 7).unwrap();
    assert_eq!(read(&mut view, "workspace/old").unwrap(), b"new");
    let mut data = [0; 3];
    view.read(fd, &mut data).unwrap();
    assert_eq!(&data, b"old");
    assert_eq!(read(&mut view, "tmp/new"), Err(Errno::Noent));
    audit::audit(&view);
}

#[test]
fn a_directory_cannot_be_moved_into_itself() {
    let mut view = view(LIMITS);
    for path in ["workspace/a", "workspace/a/b", "workspace/a/b/c"] {
        view.create_directory(ROOT, path.as_bytes(), 7).unwrap();
    }
    for target in ["workspace/a/x", "workspace/a/b/x", "workspace/a/b/c/x", "workspace/a/b/c/../../x"] {
        assert_eq!(
            view.rename((ROOT, b"workspace/a"), (ROOT, target.as_bytes()), 7),
            Err(Errno::Inval),
            "{target}"
        );
    }
    assert_eq!(view.rename((ROOT, b"workspace/a/b/c"), (ROOT, b"workspace/a"), 7), Err(Errno::Notempty));
    view.rename((ROOT, b"workspace/a/b"), (ROOT, b"workspace/b"), 7).unwrap();
    let c = open(&mut view, "workspace/b/c", OpenFlags::DIRECTORY, READ).unwrap();
    view.create_directory(c, b"../../made", 7).unwrap();
    assert!(view.stat_path(ROOT, b"workspace/made", Follow::No).is_ok());
    audit::audit(&view);
}

#[test]
fn flags_of_opening_mean_what_they_say() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", b"content").unwrap();
    let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    assert_eq!(open(&mut view, "workspace/f", new, WRITE), Err(Errno::Exist));
    assert_eq!(open(&mut view, "workspace/f", OpenFlags::DIRECTORY, READ), Err(Errno::Notdir));
    assert_eq!(open(&mut view, "workspace", OpenFlags::default(), WRITE), Err(Errno::Isdir));
    assert_eq!(open(&mut view, "workspace/gone", OpenFlags::default(), READ), Err(Errno::Noent));
    assert_eq!(open(&mut view, "workspace/f/", OpenFlags::default(), READ), Err(Errno::Notdir));
    assert_eq!(open(&mut view, "workspace/new/", OpenFlags::CREATE, WRITE), Err(Errno::Isdir));
    // Emptying is writing.
    assert_eq!(open(&mut view, "workspace/f", OpenFlags::TRUNCATE, READ), Err(Errno::Notcapable));
    assert_eq!(read(&mut view, "workspace/f").unwrap(), b"content");
    let fd = open(&mut view, "workspace/f", OpenFlags::default(), READ).unwrap();
    assert_eq!(view.write(fd, b"x", 7), Err(Errno::Badf));
    assert_eq!(view.set_size(fd, 0, 7), Err(Errno::Notcapable));
}

#[test]
fn appending_goes_to_the_end_wherever_the_position_is() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/log", b"one\n").unwrap();
    let a = open(&mut view, "workspace/log", OpenFlags::default(), WRITE).unwrap();
    view.set_flags(a, FdFlags::APPEND).unwrap();
    view.seek(a, 0, Whence::Set).unwrap();
    view.write(a, b"two\n", 7).unwrap();
    assert_eq!(view.write_at(a, 0, b"three\n", 7), Ok(6));
    assert_eq!(read(&mut view, "workspace/log").unwrap(), b"one\ntwo\nthree\n");
}

#[test]
fn a_listing_that_is_interrupted_goes_on_where_it_was_while_entries_change() {
    let mut view = view(LIMITS);
    for n in 0..10 {
        write(&mut view, &format!("workspace/{n}"), b"").unwrap();
    }
    let fd = open(&mut view, "workspace", OpenFlags::DIRECTORY, READ).unwrap();
    let (mut seen, mut cookie) = (Vec::new(), 0);
    for step in 0..40 {
        let mut end = true;
        view.readdir(fd, cookie, |entry| {
            (cookie, end) = (entry.next, false);
            seen.push(String::from_utf8_lossy(entry.name).into_owned());
            false
        })
        .unwrap();
        if end {
            break;
        }
        // What was seen goes, what comes later goes too, and others come.
        let _ = view.unlink(ROOT, format!("workspace/{}", step - 2).as_bytes(), 7);
        let _ = view.unlink(ROOT, b"workspace/9", 7);
        write(&mut view, "workspace/new", b"").unwrap();
    }
    assert_eq!(seen, [".", "..", "0", "1", "2", "3", "4", "5", "6", "7", "8", "new"]);
}

#[test]
fn times_are_set_as_asked_and_a_change_shows_in_them() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", b"x").unwrap();
    let which = SetTimes::ACCESSED | SetTimes::MODIFIED;
    view.set_times_path(ROOT, b"workspace/f", Follow::Yes, (11, 22), which, 99).unwrap();
    let times = view.stat_path(ROOT, b"workspace/f", Follow::Yes).unwrap().times;
    assert_eq!((times.accessed, times.modified, times.changed), (11, 22, 99));
    write(&mut view, "workspace/f", b"y").unwrap();
    assert_eq!(view.stat_path(ROOT, b"workspace/f", Follow::Yes).unwrap().times.modified, 6);
    let both = SetTimes::ACCESSED | SetTimes::ACCESSED_NOW;
    assert_eq!(view.set_times_path(ROOT, b"workspace/f", Follow::Yes, (1, 1), both, 1), Err(Errno::Inval));
}

#[test]
fn numbers_of_inodes_are_never_given_twice() {
    let mut view = view(LIMITS);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        write(&mut view, "workspace/f", b"x").unwrap();
        assert!(seen.insert(view.stat_path(ROOT, b"workspace/f", Follow::Yes).unwrap().inode));
        view.unlink(ROOT, b"workspace/f", 7).unwrap();
    }
}

#[test]
fn the_null_device_takes_everything_and_gives_nothing() {
    let mut view = view(LIMITS);
    write(&mut view, "dev/null", &[1; 1000]).unwrap();
    let fd = open(&mut view, "dev/null", OpenFlags::default(), READ).unwrap();
    assert_eq!(view.read(fd, &mut [0; 10]), Ok(0));
    assert_eq!(view.fdstat(fd).unwrap().kind, FileType::CharacterDevice);
    assert_eq!(view.unlink(ROOT, b"dev/null", 7), Err(Errno::Rofs));
}

#[test]
fn a_base_is_read_like_any_directory() {
    let mut view = view(LIMITS);
    assert_eq!(read(&mut view, "lib/python/os.py").unwrap(), b"import sys\n");
    let fd = open(&mut view, "/lib/python", OpenFlags::DIRECTORY, READ).unwrap();
    assert_eq!(names(&view, fd), [".", "..", "json", "os.py", "out"]);
    assert_eq!(view.readlink(fd, b"out").unwrap(), b"/workspace");
    // A link of the base leads to the session's own files, and `..` back to the root.
    write(&mut view, "lib/python/out/f", b"x").unwrap();
    assert_eq!(read(&mut view, "lib/python/../../workspace/f").unwrap(), b"x");
}

#[test]
fn a_descriptor_can_take_the_number_of_another() {
    let mut view = view(LIMITS);
    let before = view.usage();
    write(&mut view, "workspace/f", b"x").unwrap();
    let a = open(&mut view, "workspace/f", OpenFlags::default(), READ).unwrap();
    let b = open(&mut view, "workspace/f", OpenFlags::default(), READ).unwrap();
    view.unlink(ROOT, b"workspace/f", 7).unwrap();
    view.renumber(a, b).unwrap();
    view.renumber(b, b).unwrap();
    assert_eq!((view.stat(a), view.read(b, &mut [0; 4])), (Err(Errno::Badf), Ok(1)));
    assert_eq!(view.renumber(b, 30), Err(Errno::Badf));
    view.close(b).unwrap();
    assert_eq!(view.usage(), before);
}

#[test]
fn a_copy_and_its_original_go_their_own_ways() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", &[1; 200_000]).unwrap();
    let fd = open(&mut view, "workspace/f", OpenFlags::default(), READ).unwrap();
    let mut copy = view.clone();
    write(&mut view, "workspace/f", b"original").unwrap();
    write(&mut copy, "workspace/g", b"copy").unwrap();
    assert!(read(&mut copy, "workspace/f").unwrap() == [1; 200_000]);
    assert_eq!(read(&mut view, "workspace/g"), Err(Errno::Noent));
    assert_eq!(copy.read(fd, &mut [0; 5]), Ok(5));
    audit::audit(&view);
    audit::audit(&copy);
}
