//! What the functions promise: to programs, against hostile ones, and for whatever numbers they are called with.

mod fuzz;
mod hostile;
mod programs;

use super::*;
use crate::view::{Base, Config, Limits};
use std::sync::Arc;

/// A host whose clocks move when somebody sleeps only.
#[derive(Default)]
struct Fake {
    time: u64,
    out: Vec<u8>,
    err: Vec<u8>,
    slept: Vec<Deadline>,
    woken: Option<Woken>,
    random: usize,
}

impl Host for Fake {
    fn now_realtime(&self) -> u64 {
        1_700_000_000_000_000_123 + self.time
    }

    fn now_monotonic(&self) -> u64 {
        5_000 + self.time
    }

    fn sleep(&mut self, until: Deadline) -> Woken {
        self.slept.push(until);
        let left = match until {
            Deadline::Realtime(at) => at.saturating_sub(self.now_realtime()),
            Deadline::Monotonic(at) => at.saturating_sub(self.now_monotonic()),
        };
        self.woken.unwrap_or_else(|| {
            self.time = self.time.saturating_add(left);
            Woken::Elapsed
        })
    }

    fn random(&mut self, out: &mut [u8]) {
        assert!(out.len() <= 64 << 10);
        self.random += out.len();
        out.fill(0xa5);
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop> {
        let to = if stream == Stream::Stdout { &mut self.out } else { &mut self.err };
        to.extend_from_slice(bytes);
        Ok(())
    }
}

const LIMITS: Limits = Limits { bytes: 4 << 20, inodes: 100, file_bytes: 16 << 20, open_files: 32 };

/// A session with a page of memory, and what a C library does for a program.
struct Guest {
    wasi: Wasi,
    host: Fake,
    memory: Vec<u8>,
}

/// Where the helpers put paths, results and data.
const PATH_AT: u32 = 1024;
const SECOND_PATH_AT: u32 = 6 * 1024;
const OUT: u32 = 512;
const DATA: u32 = 16 * 1024;

impl Guest {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("python")).unwrap();
        std::fs::write(dir.path().join("python/os.py"), "import sys\n").unwrap();
        let base = Arc::new(Base::from_dir(dir.path()).unwrap());
        let config = Config {
            mounts: vec![("/lib".into(), base)],
            writable: vec!["/workspace".into(), "/tmp".into()],
            workspace: "/workspace".into(),
            limits: LIMITS,
        };
        let mut wasi = Wasi::new(View::new(&config, 0).unwrap(), Budget::new(1_000_000));
        wasi.args = vec![b"python".to_vec(), b"-I".to_vec()];
        wasi.env = vec![b"HOME=/home/agent".to_vec()];
        Self { wasi, host: Fake::default(), memory: vec![0; 128 << 10] }
    }

    fn call(&mut self, name: &str, values: &[u64]) -> Result<i32, Stop> {
        let function = FUNCTIONS.iter().find(|function| function.name == name).unwrap();
        (function.call)(&mut self.wasi, &mut self.host, &mut self.memory, values)
    }

    /// The error number of a call that does not stop the guest; 0 for success.
    fn errno(&mut self, name: &str, values: &[u64]) -> i32 {
        self.call(name, values).unwrap()
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> (u64, u64) {
        self.memory[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        (u64::from(at), bytes.len() as u64)
    }

    fn path(&mut self, path: &str) -> (u64, u64) {
        self.put(PATH_AT, path.as_bytes())
    }

    fn u32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.memory[at as usize..at as usize + 4].try_into().unwrap())
    }

    fn u64(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.memory[at as usize..at as usize + 8].try_into().unwrap())
    }

    /// Opens as the C library does for `O_RDONLY` and `O_RDWR`.
    fn open(&mut self, path: &str, how: u64, writes: bool) -> Result<u64, i32> {
        let (at, length) = self.path(path);
        let max = !(0x1u64 | 0x2 | 0x40 | 0x100 | 0x4000 | 0x40_0000);
        let rights = max | 0x2 | 0x4000 | if writes { 0x1 | 0x40 | 0x100 | 0x40_0000 } else { 0 };
        let errno = self.errno("path_open", &[3, 1, at, length, how, rights, u64::MAX, 0, OUT.into()]);
        if errno == 0 { Ok(self.u32(OUT).into()) } else { Err(errno) }
    }

    fn vectors(&mut self, list: &[(u32, u32)]) -> (u64, u64) {
        let mut at = 256;
        for (buffer, length) in list {
            self.put(at, &buffer.to_le_bytes());
            self.put(at + 4, &length.to_le_bytes());
            at += 8;
        }
        (256, list.len() as u64)
    }

    fn write(&mut self, fd: u64, bytes: &[u8]) -> Result<u32, i32> {
        self.put(DATA, bytes);
        let (at, count) = self.vectors(&[(DATA, bytes.len() as u32)]);
        let errno = self.errno("fd_write", &[fd, at, count, OUT.into()]);
        if errno == 0 { Ok(self.u32(OUT)) } else { Err(errno) }
    }

    fn read(&mut self, fd: u64, length: u32) -> Result<Vec<u8>, i32> {
        let (at, count) = self.vectors(&[(DATA, length)]);
        let errno = self.errno("fd_read", &[fd, at, count, OUT.into()]);
        let end = DATA as usize + self.u32(OUT) as usize;
        if errno == 0 { Ok(self.memory[DATA as usize..end].to_vec()) } else { Err(errno) }
    }
}

fn number(errno: Errno) -> i32 {
    errno.number().into()
}
