//! What a view promises, one subject a file.

pub(super) mod audit;
mod hostile;
mod model;
mod posix;
mod saved;
mod tools;

use super::{Base, Config, Errno, Follow, Limits, OpenFlags, Rights, View, Wanted, Whence};
use std::fs;
use std::sync::Arc;

/// The descriptor of `/`.
pub(super) const ROOT: u32 = 3;
/// All that opening for reading asks for, and all that opening for both does.
pub(super) const READ: Rights = Rights((Rights::FILE.0 | Rights::OF_DIRECTORY.0) & !Rights::ANY_WRITE.0);
pub(super) const WRITE: Rights = Rights(Rights::FILE.0 | Rights::OF_DIRECTORY.0);

pub(super) const LIMITS: Limits =
    Limits { bytes: 4 << 20, inodes: 200, file_bytes: 64 << 20, open_files: 32 };

pub(super) fn base() -> Arc<Base> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("python/json")).unwrap();
    fs::write(dir.path().join("python/os.py"), "import sys\n").unwrap();
    fs::write(dir.path().join("python/json/__init__.py"), "").unwrap();
    std::os::unix::fs::symlink("/workspace", dir.path().join("python/out")).unwrap();
    Arc::new(Base::from_dir(dir.path()).unwrap())
}

pub(super) fn config(limits: Limits) -> Config {
    let writable = ["/workspace", "/home/agent", "/tmp"].map(str::to_owned).to_vec();
    Config { mounts: vec![("/lib".into(), base())], writable, workspace: "/workspace".into(), limits }
}

pub(super) fn view(limits: Limits) -> View {
    View::new(&config(limits), 1_000_000_000).unwrap()
}

pub(super) fn open(view: &mut View, path: &str, how: OpenFlags, rights: Rights) -> Result<u32, Errno> {
    let wanted = Wanted { rights, inheriting: Rights(u64::MAX), flags: super::FdFlags::default() };
    view.open(ROOT, path.as_bytes(), Follow::Yes, how, wanted, 5)
}

pub(super) fn write(view: &mut View, path: &str, data: &[u8]) -> Result<(), Errno> {
    let fd = open(view, path, OpenFlags::CREATE | OpenFlags::TRUNCATE, WRITE)?;
    let written = view.write(fd, data, 6);
    view.close(fd)?;
    written.map(drop)
}

pub(super) fn read(view: &mut View, path: &str) -> Result<Vec<u8>, Errno> {
    let fd = open(view, path, OpenFlags::default(), READ)?;
    let size = view.seek(fd, 0, Whence::End)?;
    let mut data = vec![0; size as usize];
    let read = view.read_at(fd, 0, &mut data);
    view.close(fd)?;
    assert_eq!(read?, data.len());
    Ok(data)
}

pub(super) fn names(view: &View, fd: u32) -> Vec<String> {
    let mut names = Vec::new();
    let listed = view.readdir(fd, 0, |entry| {
        names.push(String::from_utf8_lossy(entry.name).into_owned());
        true
    });
    listed.unwrap();
    names
}
