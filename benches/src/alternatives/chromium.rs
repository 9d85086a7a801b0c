//! Debian's `chromium-headless-shell` as it is: no jail around it, driven over its debugging port or its debugging pipe.

use super::Tried;
use crate::cdp::{Cdp, Wire};
use crate::failure::Failure;
use crate::websocket::WebSocket;
use nix::unistd::{Gid, Uid, chown};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program itself; what lies in the search path is a shell script around it.
pub(super) const PROGRAM: &str = "/usr/lib/chromium/chromium-headless-shell";
/// Who runs it if the bench is root: Chromium builds its own sandbox for ordinary users only.
const USER: u32 = 65532;
/// How long one that was asked to end may take.
const END: Duration = Duration::from_secs(5);

/// How it is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `--remote-debugging-port`, a WebSocket.
    Port,
    /// `--remote-debugging-pipe`.
    Pipe,
}

impl Door {
    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Port => "chromium-headless-shell --remote-debugging-port",
            Self::Pipe => "chromium-headless-shell --remote-debugging-pipe",
        }
    }

    /// Whether this host has the program.
    pub fn tried(self) -> Tried<Self> {
        let reason = || Failure::Unavailable(format!("{PROGRAM} is not installed")).to_string();
        if Path::new(PROGRAM).exists() { Ok(self) } else { Err(reason()) }
    }
}

/// A running one, with one page of [`crate::cdp::SIZE`].
pub struct Plain {
    child: Child,
    /// Its client.
    pub cdp: Cdp,
    _profile: TempDir,
}

impl Plain {
    /// Starts one, until it takes calls. Also when that was begun: its profile's folder is made outside of the clock.
    pub fn start(door: Door) -> Result<(Self, Instant), Failure> {
        let profile = tempfile::Builder::new().prefix("cloister-bench-chromium-").tempdir();
        let profile = profile.map_err(Failure::io("make a profile's folder"))?;
        let mut command = match door {
            Door::Port => Command::new(PROGRAM),
            Door::Pipe => shell(),
        };
        if Uid::effective().is_root() {
            let owner = (Some(Uid::from_raw(USER)), Some(Gid::from_raw(USER)));
            let given = chown(profile.path(), owner.0, owner.1).map_err(std::io::Error::from);
            given.map_err(Failure::io("give a profile's folder away"))?;
            command.uid(USER).gid(USER);
        }
        let (width, height) = crate::cdp::SIZE;
        command
            .arg(if door == Door::Port { "--remote-debugging-port=0" } else { "--remote-debugging-pipe" })
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},{height}"))
            .args(["--disable-gpu", "about:blank"])
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if door == Door::Port { Stdio::piped() } else { Stdio::null() });
        let begun = Instant::now();
        let mut child = command.spawn().map_err(Failure::io(format!("start {}", door.name())))?;
        let opened = match door {
            Door::Port => by_port(&mut child),
            Door::Pipe => by_pipe(&mut child),
        };
        match opened {
            Ok(cdp) => Ok((Self { child, cdp, _profile: profile }, begun)),
            Err(failure) => {
                end(&mut child, Duration::ZERO);
                Err(failure)
            }
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let asked = self.cdp.close().is_ok();
        end(&mut self.child, if asked { END } else { Duration::ZERO });
    }
}

/// Waits for one that ends by itself; one that does not is killed.
fn end(child: &mut Child, patience: Duration) {
    let since = Instant::now();
    while since.elapsed() < patience {
        match child.try_wait() {
            Ok(None) => sleep(Duration::from_millis(5)),
            _ => return,
        }
    }
    let _: Result<(), _> = child.kill();
    let _: Result<_, _> = child.wait();
}

/// Chromium wants its pipe at the descriptors 3 and 4; a shell puts it there and becomes Chromium.
fn shell() -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null", PROGRAM]);
    shell
}

/// Reads where it listens, and connects.
fn by_port(child: &mut Child) -> Result<Cdp, Failure> {
    let mut said = String::new();
    let Some(mut stderr) = child.stderr.take().map(BufReader::new) else {
        return Err(Failure::Unavailable("chromium-headless-shell has no standard error".into()));
    };
    let url = loop {
        let before = said.len();
        if stderr.read_line(&mut said).map_err(Failure::io("read from chromium-headless-shell"))? == 0 {
            return Err(Failure::wrong(Door::Port.name(), said.as_bytes(), "DevTools listening on"));
        }
        if let Some(url) = said[before..].strip_prefix("DevTools listening on ws://") {
            break url.trim().to_owned();
        }
    };
    // What else it says is taken, so that it never waits for room.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let (host, path) = url.split_once('/').unwrap_or((&url, ""));
    let socket = WebSocket::connect(host, &format!("/{path}"));
    socket.map(Cdp::new).map_err(Failure::io("connect to the debugging port"))
}

fn by_pipe(child: &mut Child) -> Result<Cdp, Failure> {
    match (child.stdin.take(), child.stdout.take()) {
        (Some(to), Some(from)) => Ok(Cdp::new(Pipe { to, from: BufReader::with_capacity(64 * 1024, from) })),
        _ => Err(Failure::Unavailable("chromium-headless-shell has no pipe".into())),
    }
}

/// Messages that end with NUL.
struct Pipe {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Wire for Pipe {
    fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.to.write_all(&[text.as_bytes(), &[0]].concat())
    }

    fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message)?;
        match message.pop() {
            Some(0) => Ok(message),
            _ => Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the debugging pipe was closed")),
        }
    }
}
