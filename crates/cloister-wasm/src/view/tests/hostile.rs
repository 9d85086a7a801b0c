//! What a guest tries in order to leave its view or to take more than it may have.

use super::*;
use crate::view::BadConfig;
use crate::view::tree::ENTRY_COST;

#[test]
fn no_path_leads_out_of_the_view() {
    let mut view = view(LIMITS);
    view.symlink(b"/etc/passwd", ROOT, b"workspace/passwd", 7).unwrap();
    view.symlink(b"../../../../../../..", ROOT, b"workspace/up", 7).unwrap();
    view.symlink(b"/proc/self/root", ROOT, b"workspace/proc", 7).unwrap();
    for path in [
        "/etc/passwd",
        "../../../../etc/passwd",
        "workspace/../../etc/passwd",
        "workspace/passwd",
        "workspace/up/etc/passwd",
        "workspace/proc/etc/passwd",
        "lib/../../etc/passwd",
        "lib/python/../../../../etc/passwd",
    ] {
        assert_eq!(read(&mut view, path), Err(Errno::Noent), "{path}");
    }
    // At the root, `..` is the root.
    let root = view.stat_path(ROOT, b"/", Follow::Yes).unwrap();
    for path in ["..", "../..", "workspace/..", "workspace/up", "lib/..", "/../lib/.."] {
        assert_eq!(view.stat_path(ROOT, path.as_bytes(), Follow::Yes), Ok(root), "{path}");
    }
}

#[test]
fn a_link_that_is_created_through_lands_inside() {
    let mut view = view(LIMITS);
    view.symlink(b"/tmp/made", ROOT, b"workspace/link", 7).unwrap();
    write(&mut view, "workspace/link", b"x").unwrap();
    assert_eq!(read(&mut view, "tmp/made").unwrap(), b"x");
    view.symlink(b"/etc/cron.d/job", ROOT, b"workspace/bad", 7).unwrap();
    assert_eq!(write(&mut view, "workspace/bad", b"x"), Err(Errno::Noent));
    view.symlink(b"/lib/python/job", ROOT, b"workspace/base", 7).unwrap();
    assert_eq!(write(&mut view, "workspace/base", b"x"), Err(Errno::Rofs));
}

#[test]
fn nothing_outside_of_the_writable_directories_changes() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/mine", b"x").unwrap();
    let rofs = Err(Errno::Rofs);
    for path in ["x", "lib/x", "home/x", "lib/python/x", "dev/x"] {
        let path = path.as_bytes();
        assert_eq!(view.create_directory(ROOT, path, 7), rofs);
        assert_eq!(view.symlink(b"y", ROOT, path, 7), rofs);
        assert_eq!(view.link((ROOT, b"workspace/mine"), Follow::No, (ROOT, path), 7), rofs);
        assert_eq!(view.rename((ROOT, b"workspace/mine"), (ROOT, path), 7), rofs);
    }
    assert_eq!(view.unlink(ROOT, b"lib/python/os.py", 7), rofs);
    assert_eq!(view.remove_directory(ROOT, b"workspace", 7), rofs);
    assert_eq!(view.remove_directory(ROOT, b"home/agent", 7), rofs);
    assert_eq!(view.rename((ROOT, b"lib"), (ROOT, b"workspace/lib"), 7), rofs);
    assert_eq!(view.rename((ROOT, b"workspace"), (ROOT, b"tmp/w"), 7), rofs);
    assert_eq!(open(&mut view, "lib/python/os.py", OpenFlags::default(), WRITE), Err(Errno::Rofs));
    assert_eq!(write(&mut view, "lib/python/os.py", b""), Err(Errno::Rofs));
    let link = view.link((ROOT, b"lib/python/os.py"), Follow::No, (ROOT, b"workspace/os.py"), 7);
    assert_eq!(link, Err(Errno::Xdev));
    let which = super::super::SetTimes::MODIFIED;
    assert_eq!(view.set_times_path(ROOT, b"lib/python/os.py", Follow::Yes, (1, 1), which, 7), rofs);
    assert_eq!(read(&mut view, "lib/python/os.py").unwrap(), b"import sys\n");
}

#[test]
fn a_million_empty_directories_end_at_the_quota() {
    let mut view = view(LIMITS);
    let made = (0..1_000_000)
        .take_while(|n| view.create_directory(ROOT, format!("workspace/{n}").as_bytes(), 7).is_ok())
        .count();
    assert_eq!(made as u64, LIMITS.inodes);
    assert_eq!(view.create_directory(ROOT, b"tmp/x", 7), Err(Errno::Nospc));
    audit::audit(&view);
    let mut view = super::view(Limits { inodes: u64::MAX, ..LIMITS });
    let made = (0..1_000_000)
        .take_while(|n| view.create_directory(ROOT, format!("workspace/{n}").as_bytes(), 7).is_ok())
        .count();
    assert_eq!(made as u64, LIMITS.bytes / ENTRY_COST);
}

#[test]
fn links_are_charged_like_files() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", b"x").unwrap();
    let made = (0..10_000)
        .take_while(|n| {
            view.link((ROOT, b"workspace/f"), Follow::No, (ROOT, format!("workspace/{n}").as_bytes()), 7)
                .is_ok()
        })
        .count();
    assert_eq!(made as u64, LIMITS.inodes - 1);
    audit::audit(&view);
    for n in 0..made {
        view.unlink(ROOT, format!("workspace/{n}").as_bytes(), 7).unwrap();
    }
    assert_eq!(view.usage().inodes, 1);
    let mut view = super::view(LIMITS);
    let target = [b'x'; 4095];
    let made = (0..10_000)
        .take_while(|n| view.symlink(&target, ROOT, format!("workspace/{n}").as_bytes(), 7).is_ok())
        .count();
    assert!((made as u64) * 4095 < LIMITS.bytes);
    audit::audit(&view);
}

#[test]
fn a_huge_sparse_file_costs_what_was_written_and_ends_at_its_limit() {
    let mut view = view(LIMITS);
    let fd = open(&mut view, "workspace/f", OpenFlags::CREATE, WRITE).unwrap();
    view.seek(fd, (LIMITS.file_bytes - 1) as i64, Whence::Set).unwrap();
    assert_eq!(view.write(fd, b"xy", 7), Ok(1));
    assert_eq!(view.write(fd, b"y", 7), Err(Errno::Fbig));
    assert!(view.usage().bytes < 100_000);
    assert_eq!(view.set_size(fd, LIMITS.file_bytes + 1, 7), Err(Errno::Fbig));
    for offset in [u64::MAX, 1 << 63, (1 << 63) - 1] {
        assert_eq!(view.write_at(fd, offset, b"x", 7), Err(Errno::Fbig), "{offset}");
        assert_eq!(view.read_at(fd, offset, &mut [0; 9]), Ok(0), "{offset}");
    }
    assert_eq!(view.seek(fd, i64::MAX, Whence::Set), Ok(i64::MAX as u64));
    assert_eq!(view.seek(fd, i64::MAX, Whence::Current), Err(Errno::Overflow));
    assert_eq!(view.seek(fd, i64::MIN, Whence::Current), Err(Errno::Inval));
    assert_eq!(view.write(fd, b"x", 7), Err(Errno::Fbig));
    audit::audit(&view);
}

#[test]
fn a_full_view_says_so_and_has_room_again_when_files_are_removed() {
    let mut view = view(LIMITS);
    let chunk = vec![7; 1 << 20];
    let fd = open(&mut view, "workspace/f", OpenFlags::CREATE, WRITE).unwrap();
    let full = (0..10).find_map(|_| view.write(fd, &chunk, 7).err());
    assert_eq!(full, Some(Errno::Nospc));
    audit::audit(&view);
    // Removed, it is still open: nothing is given back yet.
    view.unlink(ROOT, b"workspace/f", 7).unwrap();
    assert_eq!(write(&mut view, "workspace/g", &chunk), Err(Errno::Nospc));
    view.close(fd).unwrap();
    write(&mut view, "workspace/g", &chunk).unwrap();
}

#[test]
fn circles_of_links_end_and_long_ways_do_too() {
    let mut view = view(LIMITS);
    view.symlink(b"b", ROOT, b"workspace/a", 7).unwrap();
    view.symlink(b"a", ROOT, b"workspace/b", 7).unwrap();
    view.symlink(b"self/x", ROOT, b"workspace/self", 7).unwrap();
    for path in ["workspace/a", "workspace/self", "workspace/self/y"] {
        assert_eq!(read(&mut view, path), Err(Errno::Loop), "{path}");
    }
    // Each of forty links names two thousand directories that are all the same one.
    let dots = "./".repeat(2000);
    for n in 0..40 {
        let (target, name) = (format!("{dots}l{}", n + 1), format!("workspace/l{n}"));
        view.symlink(target.as_bytes(), ROOT, name.as_bytes(), 7).unwrap();
    }
    assert_eq!(read(&mut view, "workspace/l0"), Err(Errno::Loop));
    assert_eq!(view.stat_path(ROOT, b"workspace/a", Follow::No).unwrap().size, 1);
}

#[test]
fn names_and_paths_and_trees_that_are_too_long_are_refused() {
    let mut view = view(Limits { inodes: 100_000, bytes: 1 << 30, ..LIMITS });
    let long = format!("workspace/{}", "x".repeat(256));
    assert_eq!(write(&mut view, &long, b""), Err(Errno::Nametoolong));
    write(&mut view, &long[..long.len() - 1], b"").unwrap();
    assert_eq!(write(&mut view, &"a/".repeat(2048), b""), Err(Errno::Nametoolong));
    assert_eq!(write(&mut view, "workspace/a\0b", b""), Err(Errno::Inval));
    assert_eq!(write(&mut view, "", b""), Err(Errno::Noent));
    // Deeper and deeper, by descriptors, so that no path is long.
    let mut at = open(&mut view, "workspace", OpenFlags::DIRECTORY, READ).unwrap();
    let wanted =
        Wanted { rights: READ, inheriting: Rights(u64::MAX), flags: super::super::FdFlags::default() };
    let mut levels = 0;
    while view.create_directory(at, b"d", 7).is_ok() {
        let next = view.open(at, b"d", Follow::No, OpenFlags::DIRECTORY, wanted, 7).unwrap();
        view.close(at).unwrap();
        (at, levels) = (next, levels + 1);
    }
    assert_eq!(view.create_directory(at, b"d", 7), Err(Errno::Nametoolong));
    assert!((500..520).contains(&levels), "{levels}");
    // Below it nothing can be moved either, since the way up would be too long to be checked.
    view.create_directory(ROOT, b"tmp/t", 7).unwrap();
    assert!(view.rename((ROOT, b"tmp/t"), (at, b"t"), 7).is_err());
    audit::audit(&view);
}

#[test]
fn descriptors_end_at_their_limit() {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/f", b"x").unwrap();
    let mut opened = Vec::new();
    let refused = loop {
        match open(&mut view, "workspace/f", OpenFlags::default(), READ) {
            Ok(fd) => opened.push(fd),
            Err(errno) => break errno,
        }
    };
    assert_eq!((refused, opened.len()), (Errno::Mfile, LIMITS.open_files - 4));
    // A file that cannot be opened is not made either.
    assert_eq!(open(&mut view, "workspace/g", OpenFlags::CREATE, WRITE), Err(Errno::Mfile));
    assert_eq!(view.stat_path(ROOT, b"workspace/g", Follow::No), Err(Errno::Noent));
    for fd in opened {
        view.close(fd).unwrap();
    }
    assert!(open(&mut view, "workspace/f", OpenFlags::default(), READ).is_ok());
}

#[test]
fn directories_have_one_name_only() {
    let mut view = view(LIMITS);
    view.create_directory(ROOT, b"workspace/d", 7).unwrap();
    assert_eq!(view.link((ROOT, b"workspace/d"), Follow::No, (ROOT, b"workspace/e"), 7), Err(Errno::Perm));
    assert_eq!(view.link((ROOT, b"workspace"), Follow::No, (ROOT, b"workspace/d/w"), 7), Err(Errno::Perm));
}

#[test]
fn nothing_can_be_made_in_a_directory_that_was_removed() {
    let mut view = view(LIMITS);
    let before = view.usage();
    view.create_directory(ROOT, b"workspace/d", 7).unwrap();
    let fd = open(&mut view, "workspace/d", OpenFlags::DIRECTORY, READ).unwrap();
    view.remove_directory(ROOT, b"workspace/d", 7).unwrap();
    // Its slot must not be taken for that of another directory.
    view.create_directory(ROOT, b"workspace/e", 7).unwrap();
    write(&mut view, "tmp/f", b"x").unwrap();
    let noent = Err(Errno::Noent);
    assert_eq!(view.create_directory(fd, b"x", 7), noent);
    assert_eq!(view.create_directory(fd, b"../x", 7), noent);
    assert_eq!(view.rename((ROOT, b"tmp/f"), (fd, b"f"), 7), noent);
    assert_eq!(view.link((ROOT, b"tmp/f"), Follow::No, (fd, b"f"), 7), noent);
    assert_eq!(names(&view, fd), [".", ".."]);
    view.close(fd).unwrap();
    view.remove_directory(ROOT, b"workspace/e", 7).unwrap();
    view.unlink(ROOT, b"tmp/f", 7).unwrap();
    assert_eq!(view.usage(), before);
    audit::audit(&view);
}

#[test]
fn rights_that_were_given_up_do_not_come_back() {
    let mut view = view(LIMITS);
    let all = view.fdstat(ROOT).unwrap();
    let fewer = Rights(all.rights.0 & !Rights::UNLINK.0);
    view.set_rights(ROOT, fewer, READ & all.inheriting).unwrap();
    assert_eq!(view.set_rights(ROOT, all.rights, READ & all.inheriting), Err(Errno::Notcapable));
    assert_eq!(view.unlink(ROOT, b"workspace/x", 7), Err(Errno::Notcapable));
    // What is opened through it cannot write any more.
    assert_eq!(write(&mut view, "workspace/f", b"x"), Err(Errno::Notcapable));
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    let of = |mounts: &[&str], writable: &[&str]| {
        let mounts = mounts.iter().map(|path| ((*path).to_owned(), base())).collect();
        let writable: Vec<String> = writable.iter().map(|path| (*path).to_owned()).collect();
        let workspace = writable[0].clone();
        View::new(&Config { mounts, writable, workspace, limits: LIMITS }, 0).map(drop)
    };
    assert_eq!(of(&["/lib"], &["/workspace", "/workspace/deep/er"]), Ok(()));
    let taken = |path: &str| Err(BadConfig::Taken(path.into()));
    assert_eq!(of(&["/lib"], &["/workspace", "/workspace"]), taken("/workspace"));
    assert_eq!(of(&["/workspace/lib"], &["/workspace"]), taken("/workspace/lib"));
    assert_eq!(of(&["/lib", "/lib/python"], &["/workspace"]), taken("/lib/python"));
    for bad in ["workspace", "/", "/a/../b", "/a//b", "/a/", ""] {
        assert_eq!(of(&[], &[bad]), Err(BadConfig::Path(bad.into())), "{bad}");
    }
}

#[test]
fn a_writable_directory_inside_of_another_stays_where_it_is() {
    let writable = ["/home/agent", "/home/agent/deep/work"].map(str::to_owned).to_vec();
    let workspace = writable[1].clone();
    let mut view = View::new(&Config { mounts: Vec::new(), writable, workspace, limits: LIMITS }, 0).unwrap();
    assert_eq!(view.rename((ROOT, b"home/agent/deep"), (ROOT, b"home/agent/x"), 7), Err(Errno::Busy));
    assert_eq!(view.rename((ROOT, b"home/agent/deep/work"), (ROOT, b"home/agent/x"), 7), Err(Errno::Rofs));
    view.create_directory(ROOT, b"home/agent/d", 7).unwrap();
    assert_eq!(view.rename((ROOT, b"home/agent/d"), (ROOT, b"home/agent/deep"), 7), Err(Errno::Busy));
    write(&mut view, "home/agent/deep/work/f", b"x").unwrap();
    audit::audit(&view);
}
