//! The view against the kernel: the same operations on both must give the same answers, error numbers included, and the same tree.

use super::*;
use crate::view::FileType;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
enum Operation {
    Directory(String),
    Write {
        path: String,
        offset: u64,
        length: usize,
        how: u16,
    },
    Resize {
        path: String,
        size: u64,
    },
    Read {
        path: String,
        offset: u64,
        length: usize,
    },
    Unlink(String),
    RemoveDirectory(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    Readlink(String),
    Stat(String, bool),
    List(String),
    /// Opens and keeps open.
    Hold(String),
    /// Writes to what is held, whatever became of its name.
    WriteHeld(usize),
    ReadHeld(usize),
    /// Goes on with a copy of the view, while the original lives.
    Copy,
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => Just("a"), 4 => Just("b"), 3 => Just("c"), 1 => Just(".")];
    let parts = proptest::collection::vec(part, 1..4);
    // One `..` at most, so that a path never leaves what the test has made on the host.
    (parts, proptest::option::weighted(0.15, 0..3usize), proptest::bool::weighted(0.1)).prop_map(
        |(mut parts, up, slash)| {
            if let Some(at) = up {
                parts.insert(at.min(parts.len()), "..");
            }
            parts.join("/") + if slash { "/" } else { "" }
        },
    )
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a"),
        Just("b"),
        Just("c"),
        Just("a/b"),
        Just("./c/a"),
        Just("gone"),
        Just("."),
        Just("b/")
    ]
    .prop_map(str::to_owned)
}

fn operation() -> impl Strategy<Value = Operation> {
    let offset = prop_oneof![0..20u64, 4090..4100u64, 65_530..65_540u64, 200_000..200_010u64];
    let length = prop_oneof![0..10usize, 4090..4100usize, Just(70_000)];
    prop_oneof![
        6 => path().prop_map(Operation::Directory),
        8 => (path(), offset.clone(), length.clone(), 0..16u16)
            .prop_map(|(path, offset, length, how)| Operation::Write { path, offset, length, how }),
        2 => (path(), offset.clone()).prop_map(|(path, size)| Operation::Resize { path, size }),
        4 => (path(), offset, length).prop_map(|(path, offset, length)| Operation::Read { path, offset, length }),
        3 => path().prop_map(Operation::Unlink),
        3 => path().prop_map(Operation::RemoveDirectory),
        6 => (path(), path()).prop_map(|(a, b)| Operation::Rename(a, b)),
        3 => (path(), path()).prop_map(|(a, b)| Operation::Link(a, b)),
        4 => (target(), path()).prop_map(|(a, b)| Operation::Symlink(a, b)),
        1 => path().prop_map(Operation::Readlink),
        3 => (path(), any::<bool>()).prop_map(|(path, follow)| Operation::Stat(path, follow)),
        1 => path().prop_map(Operation::List),
        2 => path().prop_map(Operation::Hold),
        2 => (0..4usize).prop_map(Operation::WriteHeld),
        2 => (0..4usize).prop_map(Operation::ReadHeld),
        1 => Just(Operation::Copy),
    ]
}

/// What an operation gave: a description of its result, or the number of its error.
type Outcome = Result<String, i32>;

fn host<T>(result: io::Result<T>) -> Result<T, i32> {
    result.map_err(|error| error.raw_os_error().unwrap_or(-1))
}

fn own<T>(result: Result<T, Errno>) -> Result<T, i32> {
    result.map_err(|errno| errno.os() as i32)
}

/// Bytes that differ by length and place.
fn data(length: usize, offset: u64) -> Vec<u8> {
    (0..length).map(|n| (n as u64 + offset + length as u64) as u8 | 1).collect()
}

struct Both {
    view: View,
    /// The directory of the host that is the view's `/tmp/w/r`.
    root: PathBuf,
    held: Vec<(u32, fs::File)>,
    copies: Vec<View>,
}

impl Both {
    fn at(&self, path: &str) -> PathBuf {
        // Not by `Path::join` alone, which would drop a slash at the end.
        PathBuf::from(format!("{}/{path}", self.root.display()))
    }

    fn run(&mut self, operation: &Operation) -> (Outcome, Outcome) {
        let inside = |path: &str| format!("tmp/w/r/{path}");
        let done = |()| String::new();
        match operation {
            Operation::Directory(path) => {
                let view = self.view.create_directory(ROOT, inside(path).as_bytes(), 7);
                (own(view).map(done), host(fs::create_dir(self.at(path))).map(done))
            }
            Operation::Write { path, offset, length, how } => {
                // Opening a directory to make it, Linux has errors of its own for that.
                let how = OpenFlags(how & !OpenFlags::DIRECTORY.0);
                let bytes = data(*length, *offset);
                let view = open(&mut self.view, &inside(path), how, WRITE).map(|fd| {
                    let written = self.view.write_at(fd, *offset, &bytes, 7);
                    self.view.close(fd).unwrap();
                    format!("{written:?}")
                });
                let mut options = fs::OpenOptions::new();
                options.write(true).read(true).mode(0o644);
                let flags = [(1, O_CREAT), (4, O_EXCL), (8, O_TRUNC)];
                // O_EXCL means nothing without O_CREAT.
                let flags = flags.iter().filter(|(bit, flag)| {
                    how.0 & bit != 0 && (*flag != O_EXCL || how.has(OpenFlags::CREATE))
                });
                let flags = flags.map(|(_, flag)| flag).sum();
                let kernel = options.custom_flags(flags).open(self.at(path)).map(|file| {
                    use std::os::unix::fs::FileExt;
                    if !bytes.is_empty() {
                        file.write_all_at(&bytes, *offset).unwrap();
                    }
                    format!("{:?}", Ok::<_, Errno>(bytes.len()))
                });
                (own(view), host(kernel))
            }
            Operation::Resize { path, size } => {
                let view = open(&mut self.view, &inside(path), OpenFlags::default(), WRITE).map(|fd| {
                    self.view.set_size(fd, *size, 7).unwrap();
                    self.view.close(fd).unwrap();
                });
                let kernel = fs::OpenOptions::new().write(true).open(self.at(path));
                (own(view).map(done), host(kernel.map(|file| file.set_len(*size).unwrap())).map(done))
            }
            Operation::Read { path, offset, length } => {
                let view = open(&mut self.view, &inside(path), OpenFlags::default(), READ).map(|fd| {
                    let is_file = self.view.stat(fd).unwrap().kind == FileType::RegularFile;
                    let mut bytes = vec![0; *length];
                    let read = if is_file { self.view.read_at(fd, *offset, &mut bytes).unwrap() } else { 0 };
                    self.view.close(fd).unwrap();
                    format!("{:?}", &bytes[..read])
                });
                let kernel = fs::File::open(self.at(path)).map(|mut file| {
                    let mut bytes = Vec::new();
                    if file.metadata().unwrap().is_file() {
                        file.seek(SeekFrom::Start(*offset)).unwrap();
                        file.take(*length as u64).read_to_end(&mut bytes).unwrap();
                    }
                    format!("{bytes:?}")
                });
                (own(view), host(kernel))
            }
            Operation::Unlink(path) => {
                let view = self.view.unlink(ROOT, inside(path).as_bytes(), 7);
                (own(view).map(done), host(fs::remove_file(self.at(path))).map(done))
            }
            Operation::RemoveDirectory(path) => {
                let view = self.view.remove_directory(ROOT, inside(path).as_bytes(), 7);
                (own(view).map(done), host(fs::remove_dir(self.at(path))).map(done))
            }
            Operation::Rename(old, new) => {
                let view =
                    self.view.rename((ROOT, inside(old).as_bytes()), (ROOT, inside(new).as_bytes()), 7);
                (own(view).map(done), host(fs::rename(self.at(old), self.at(new))).map(done))
            }
            Operation::Link(old, new) => {
                let (from, to) = (inside(old), inside(new));
                let view = self.view.link((ROOT, from.as_bytes()), Follow::No, (ROOT, to.as_bytes()), 7);
                (own(view).map(done), host(fs::hard_link(self.at(old), self.at(new))).map(done))
            }
            Operation::Symlink(target, path) => {
                let view = self.view.symlink(target.as_bytes(), ROOT, inside(path).as_bytes(), 7);
                (own(view).map(done), host(std::os::unix::fs::symlink(target, self.at(path))).map(done))
            }
            Operation::Readlink(path) => {
                let view = self.view.readlink(ROOT, inside(path).as_bytes()).map(<[u8]>::to_vec);
                let kernel =
                    fs::read_link(self.at(path)).map(|target| target.as_os_str().as_bytes().to_vec());
                (own(view).map(|t| format!("{t:?}")), host(kernel).map(|t| format!("{t:?}")))
            }
            Operation::Stat(path, follow) => {
                let (how, meta): (_, fn(PathBuf) -> io::Result<fs::Metadata>) =
                    if *follow { (Follow::Yes, fs::metadata) } else { (Follow::No, fs::symlink_metadata) };
                let view = self.view.stat_path(ROOT, inside(path).as_bytes(), how);
                let view = view.map(|stat| match stat.kind {
                    FileType::Directory => "directory".to_owned(),
                    kind => format!("{kind:?} {} {}", stat.size, stat.links),
                });
                let kernel = meta(self.at(path)).map(|meta| match meta.file_type() {
                    t if t.is_dir() => "directory".to_owned(),
                    t if t.is_file() => format!("RegularFile {} {}", meta.len(), meta.nlink()),
                    _ => format!("SymbolicLink {} {}", meta.len(), meta.nlink()),
                });
                (own(view), host(kernel))
            }
            Operation::List(path) => {
                let view = open(&mut self.view, &inside(path), OpenFlags::DIRECTORY, READ).map(|fd| {
                    let mut names = names(&self.view, fd);
                    self.view.close(fd).unwrap();
                    names.retain(|name| name != "." && name != "..");
                    names.sort();
                    format!("{names:?}")
                });
                let kernel = fs::read_dir(self.at(path)).map(|entries| {
                    let mut names: Vec<_> =
                        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                    names.sort();
                    format!("{names:?}")
                });
                (own(view), host(kernel))
            }
            Operation::Hold(path) => {
                let view = open(&mut self.view, &inside(path), OpenFlags::CREATE, WRITE | READ);
                let kernel = fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(self.at(path));
                let outcomes = (
                    own(view).map(|_| String::new()),
                    host(kernel.as_ref().map(drop).map_err(copy)).map(done),
                );
                if let (Ok(fd), Ok(file)) = (view, kernel) {
                    self.held.push((fd, file));
                }
                outcomes
            }
            Operation::WriteHeld(n) => {
                let Some((fd, file)) = self.held.get_mut(*n) else {
                    return (Ok(String::new()), Ok(String::new()));
                };
                let view = self.view.write(*fd, b"held", 7);
                let kernel = file.write(b"held");
                (own(view).map(|n| n.to_string()), host(kernel).map(|n| n.to_string()))
            }
            Operation::ReadHeld(n) => {
                let Some((fd, file)) = self.held.get_mut(*n) else {
                    return (Ok(String::new()), Ok(String::new()));
                };
                let (mut a, mut b) = ([0; 50], [0; 50]);
                let view = self.view.read(*fd, &mut a);
                let kernel = file.read(&mut b);
                let stat = self.view.stat(*fd).unwrap();
                let meta = file.metadata().unwrap();
                let kernel = kernel.map(|n| format!("{n} {:?} {} {}", &b[..n], meta.len(), meta.nlink()));
                (own(view).map(|n| format!("{n} {:?} {} {}", &a[..n], stat.size, stat.links)), host(kernel))
            }
            Operation::Copy => {
                let copy = self.view.clone();
                self.copies.push(std::mem::replace(&mut self.view, copy));
                (Ok(String::new()), Ok(String::new()))
            }
        }
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))
}

const O_CREAT: i32 = 0o100;
const O_EXCL: i32 = 0o200;
const O_TRUNC: i32 = 0o1000;

/// Every path with what is there.
fn kernel_tree(directory: &Path, prefix: &str, out: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        let meta = entry.metadata().unwrap();
        let what = if meta.is_dir() {
            kernel_tree(&entry.path(), &path, out);
            "directory".to_owned()
        } else if meta.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().display())
        } else {
            format!("{} {:?}", meta.nlink(), fs::read(entry.path()).unwrap())
        };
        out.insert(path, what);
    }
}

fn view_tree(view: &mut View, directory: &str, prefix: &str, out: &mut BTreeMap<String, String>) {
    let fd = open(view, directory, OpenFlags::DIRECTORY, READ).unwrap();
    let names = names(view, fd);
    view.close(fd).unwrap();
    for name in names.iter().filter(|name| *name != "." && *name != "..") {
        let (inside, path) = (format!("{directory}/{name}"), format!("{prefix}/{name}"));
        let stat = view.stat_path(ROOT, inside.as_bytes(), Follow::No).unwrap();
        let what = match stat.kind {
            FileType::Directory => {
                view_tree(view, &inside, &path, out);
                "directory".to_owned()
            }
            FileType::SymbolicLink => {
                format!("-> {}", String::from_utf8_lossy(view.readlink(ROOT, inside.as_bytes()).unwrap()))
            }
            _ => format!("{} {:?}", stat.links, read(view, &inside).unwrap()),
        };
        out.insert(path, what);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_view_answers_as_the_kernel_does(operations in proptest::collection::vec(operation(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("w/r");
        fs::create_dir_all(&root).unwrap();
        let mut view = view(Limits { bytes: 64 << 20, inodes: 10_000, file_bytes: 1 << 30, open_files: 100 });
        view.create_directory(ROOT, b"tmp/w", 7).unwrap();
        view.create_directory(ROOT, b"tmp/w/r", 7).unwrap();
        let mut both = Both { view, root: root.clone(), held: Vec::new(), copies: Vec::new() };
        for operation in &operations {
            let (view, kernel) = both.run(operation);
            prop_assert_eq!(&view, &kernel, "{:?}", operation);
            audit::audit(&both.view);
        }
        let (mut view, mut kernel) = (BTreeMap::new(), BTreeMap::new());
        view_tree(&mut both.view, "tmp/w", "", &mut view);
        kernel_tree(&dir.path().join("w"), "", &mut kernel);
        prop_assert_eq!(view, kernel);
        for copy in &both.copies {
            audit::audit(copy);
        }
        // And a saved view is the same view.
        let mut saved = Vec::new();
        both.view.save(&mut saved).unwrap();
        let loaded = View::load(saved.as_slice(), &both.view).unwrap();
        audit::audit(&loaded);
        let mut again = Vec::new();
        loaded.save(&mut again).unwrap();
        prop_assert_eq!(loaded.usage(), both.view.usage());
        prop_assert!(saved == again);
    }
}
