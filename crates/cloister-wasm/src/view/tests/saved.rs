//! A view that is put aside comes back as it was, and a damaged file is an error.

use super::*;
use crate::view::{FdFlags, LoadError};

fn filled() -> View {
    let mut view = view(LIMITS);
    write(&mut view, "workspace/data.bin", &[3; 100_000]).unwrap();
    view.create_directory(ROOT, b"workspace/d", 7).unwrap();
    view.symlink(b"../data.bin", ROOT, b"workspace/d/link", 7).unwrap();
    view.link((ROOT, b"workspace/data.bin"), Follow::No, (ROOT, b"tmp/second"), 8).unwrap();
    write(&mut view, "tmp/gone", b"only open").unwrap();
    let fd = open(&mut view, "tmp/gone", OpenFlags::default(), READ).unwrap();
    view.unlink(ROOT, b"tmp/gone", 7).unwrap();
    view.read(fd, &mut [0; 5]).unwrap();
    let sparse = open(&mut view, "home/agent/sparse", OpenFlags::CREATE, WRITE).unwrap();
    view.write_at(sparse, 9_830_400, b"end", 7).unwrap();
    view.set_flags(sparse, FdFlags::APPEND).unwrap();
    view.create_directory(ROOT, b"tmp/dead", 7).unwrap();
    open(&mut view, "tmp/dead", OpenFlags::DIRECTORY, READ).unwrap();
    view.remove_directory(ROOT, b"tmp/dead", 7).unwrap();
    open(&mut view, "lib/python/os.py", OpenFlags::default(), READ).unwrap();
    view
}

fn saved(view: &View) -> Vec<u8> {
    let mut bytes = Vec::new();
    view.save(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_session_that_was_put_aside_finds_its_files_and_its_descriptors_again() {
    let view = filled();
    let bytes = saved(&view);
    // Holes and zeros are not written.
    assert!(bytes.len() < 110_000, "{}", bytes.len());
    let mut again = View::load(bytes.as_slice(), &super::view(LIMITS)).unwrap();
    audit::audit(&again);
    assert_eq!(again.usage(), view.usage());
    assert!(saved(&again) == bytes);
    assert!(read(&mut again, "workspace/d/link").unwrap() == [3; 100_000]);
    assert_eq!(
        again.stat_path(ROOT, b"tmp/second", Follow::No),
        view.stat_path(ROOT, b"workspace/data.bin", Follow::No)
    );
    let mut rest = [0; 9];
    assert_eq!(again.read(4, &mut rest), Ok(4));
    assert_eq!(&rest[..4], b"open");
    let usage = again.usage();
    again.close(4).unwrap();
    assert!(again.usage().bytes < usage.bytes);
    again.write(5, b"!", 7).unwrap();
    assert_eq!(again.stat_path(ROOT, b"home/agent/sparse", Follow::No).unwrap().size, 9_830_404);
    assert_eq!(again.create_directory(6, b"x", 7), Err(Errno::Noent));
    let mut text = [0; 6];
    again.read(7, &mut text).unwrap();
    assert_eq!(&text, b"import");
    audit::audit(&again);
}

#[test]
fn a_saved_view_belongs_to_its_image_and_its_limits() {
    let bytes = saved(&filled());
    let load = |config: &Config| View::load(bytes.as_slice(), &View::new(config, 0).unwrap());
    let mut other = config(LIMITS);
    other.writable.push("/data".into());
    assert!(matches!(load(&other), Err(LoadError::Shape)));
    other = config(LIMITS);
    other.mounts.clear();
    assert!(matches!(load(&other), Err(LoadError::Shape)));
    let small = view(LIMITS).limited(Limits { bytes: 50_000, ..LIMITS });
    assert!(matches!(View::load(bytes.as_slice(), &small), Err(LoadError::Limits(Errno::Nospc))));
    assert!(matches!(
        load(&config(Limits { open_files: 5, ..LIMITS })),
        Err(LoadError::Limits(Errno::Mfile))
    ));
}

#[test]
fn damaged_files_are_refused_and_never_a_panic() {
    let mut view = view(LIMITS);
    view.create_directory(ROOT, b"workspace/d", 7).unwrap();
    write(&mut view, "workspace/d/f", b"data").unwrap();
    view.symlink(b"f", ROOT, b"workspace/d/l", 7).unwrap();
    view.link((ROOT, b"workspace/d/f"), Follow::No, (ROOT, b"tmp/g"), 7).unwrap();
    open(&mut view, "workspace/d", OpenFlags::DIRECTORY, READ).unwrap();
    let bytes = saved(&view);
    let like = view.clone();
    for cut in 0..bytes.len() {
        assert!(View::load(&bytes[..cut], &like).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            assert!(View::load(changed.as_slice(), &like).is_err(), "changed at {at}");
            // Whoever changes the bytes may know how to change the checksum.
            let end = changed.len() - 4;
            let sum = crc32fast::hash(&changed[..end]);
            changed[end..].copy_from_slice(&sum.to_le_bytes());
            if let Ok(view) = View::load(changed.as_slice(), &like) {
                audit::audit(&view);
            }
        }
    }
}

#[test]
fn a_view_without_its_descriptors_keeps_nothing_that_only_they_held() {
    let view = filled();
    let closed = view.closed();
    audit::audit(&closed);
    assert!(closed.usage().bytes < view.usage().bytes);
    assert_eq!(
        (closed.stat(4), closed.target(1).is_ok(), closed.preopen(ROOT).is_ok()),
        (Err(Errno::Badf), true, true)
    );
    assert!(view.stat(4).is_ok());
}

#[test]
fn other_limits_hold_at_once_and_take_nothing_away() {
    let mut view = filled().limited(Limits { bytes: 1000, inodes: 1, ..LIMITS });
    assert_eq!(write(&mut view, "workspace/new", b""), Err(Errno::Nospc));
    assert_eq!(read(&mut view, "workspace/data.bin").unwrap().len(), 100_000);
    let mut view = view.limited(LIMITS);
    write(&mut view, "workspace/new", b"").unwrap();
}
