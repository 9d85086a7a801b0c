//! A server of the release build, started for a bench on a free port with a data folder of its own.

use crate::client::Client;
use crate::failure::Failure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to get ready, to fill its pool, and to drain.
const PATIENCE: Duration = Duration::from_secs(90);
/// A sandbox is counted when it exists, and warmed after that.
const WARMING: Duration = Duration::from_millis(120);
/// A browser's sandbox is counted when it exists, and its Chromium takes calls after that.
const LAUNCH: Duration = Duration::from_millis(600);

/// A running server. Dropped, it is told to end and waited for.
#[derive(Debug)]
pub struct Server {
    child: Child,
    host: String,
    pool: usize,
    warming: Duration,
    data: TempDir,
}

/// What a server keeps ready.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Sandboxes for code, per policy.
    sandboxes: usize,
    /// Whether there is a browser, of the policy [`READY`].
    browser: bool,
}

/// The browser whose sessions come from the pool, and its policy: `browser`, apart from that.
pub const READY: &str = "ready-browser";
/// What `browser` narrows.
const OPEN: &str = include_str!("../../policies/browser-open.toml");

impl Server {
    /// Starts one with `pool` ready sandboxes, and waits until they are there.
    pub fn start(pool: usize) -> Result<Self, Failure> {
        Self::keeping(Kept { sandboxes: pool, browser: false })
    }

    /// Starts one for browser sessions, with one ready browser ([`READY`]) or none, and waits until it is there.
    pub fn for_browsers(ready: bool) -> Result<Self, Failure> {
        Self::keeping(Kept { sandboxes: 0, browser: ready })
    }

    fn keeping(kept: Kept) -> Result<Self, Failure> {
        let binary = binary()?;
        let data = tempfile::Builder::new().prefix("cloister-bench-").tempdir();
        let data = data.map_err(Failure::io("make a data folder"))?;
        let log = File::create(data.path().join("log")).map_err(Failure::io("make a log file"))?;
        let mut command = Command::new(&binary);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--no-auth",
            "--pool",
            &kept.sandboxes.to_string(),
        ]);
        command.args(["--browser-pool", if kept.browser { "1" } else { "0" }]);
        // One client is everybody here.
        let mut config = String::from("[quotas.principal]\nsessions = \"unlimited\"\n");
        if kept.browser {
            let (interpreters, policies) =
                ready_browser(data.path()).map_err(Failure::io("write a policy"))?;
            config.push_str(&interpreters);
            command.arg("--policies").arg(policies);
        }
        let path = data.path().join("config.toml");
        fs::write(&path, config).map_err(Failure::io("write a configuration"))?;
        command.arg("--config").arg(path);
        let mut child = command
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .arg("--images")
            .arg(images()?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::io(format!("start {}", binary.display())))?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut said)
                .map_err(Failure::io("read the server's first line"))?;
        }
        let host = said.split_whitespace().find_map(|word| word.strip_prefix("http://")).map(str::to_owned);
        let pool = kept.sandboxes + usize::from(kept.browser);
        let warming = if kept.browser { LAUNCH } else { WARMING };
        let server = Self { child, host: host.unwrap_or_default(), pool, warming, data };
        if server.host.is_empty() {
            return Err(Failure::wrong("cloister serve", server.log().as_bytes(), "listens on http://"));
        }
        server.until("answer /readyz", |s| s.client().is_ok_and(|mut c| c.is_ready()))?;
        server.settle(0)?;
        Ok(server)
    }

    /// A new connection.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::open(&self.host)
    }

    /// `host:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether a process was started by it, or by one that it has started.
    pub fn is_ancestor_of(&self, pid: u32) -> bool {
        let mut pid = pid;
        // Deeper than any tree of ours.
        for _ in 0..16 {
            if pid == self.pid() {
                return true;
            }
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            match parent.and_then(|parent| parent.trim().parse().ok()) {
                Some(parent) if parent > 1 => pid = parent,
                _ => return false,
            }
        }
        false
    }

    /// Waits until the pool is full again, whatever sandboxes besides (an engine's) there are.
    pub fn settle_sandboxes(&self) -> Result<(), Failure> {
        let mut before = self.sandboxes();
        for _ in 0..200 {
            sleep(WARMING);
            let now = self.sandboxes();
            if now == before && now >= self.pool {
                return Ok(());
            }
            before = now;
        }
        Err(Failure::Unavailable("the pool does not come to rest".into()))
    }

    /// Sandboxes that exist now: those of sessions and those of the pool.
    pub fn sandboxes(&self) -> usize {
        self.sandbox_names().len()
    }

    /// Their names.
    pub fn sandbox_names(&self) -> BTreeSet<OsString> {
        let entries = fs::read_dir(self.data.path().join("data/sandboxes")).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
        folders.map(|entry| entry.file_name()).collect()
    }

    /// Waits until there are the sandboxes of `sessions` sessions and of a full pool, and no others, and the last is warm.
    pub fn settle(&self, sessions: usize) -> Result<(), Failure> {
        let wanted = sessions + self.pool;
        if self.sandboxes() != wanted || self.pool > 0 {
            self.until(&format!("have {wanted} sandboxes"), |s| s.sandboxes() == wanted)?;
            sleep(self.warming);
        }
        Ok(())
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let since = Instant::now();
        while !done(self) {
            if since.elapsed() > PATIENCE {
                let log = self.log();
                return Err(Failure::wrong(
                    &format!("the server did not {what}; it"),
                    log.as_bytes(),
                    "a reason",
                ));
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = File::open(self.data.path().join("log")) {
            let _: Result<usize, _> = file.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).map(Pid::from_raw);
        if pid.is_ok_and(|pid| kill(pid, Signal::SIGTERM).is_ok()) {
            let since = Instant::now();
            while since.elapsed() < PATIENCE {
                match self.child.try_wait() {
                    Ok(None) => sleep(Duration::from_millis(10)),
                    _ => return,
                }
            }
        }
        eprintln!("the server did not end by SIGTERM within {PATIENCE:?}; it is killed");
        let _: Result<(), _> = self.child.kill();
        let _: Result<_, _> = self.child.wait();
    }
}

/// Writes a policy for a ready browser below `folder`; the interpreters that have it, for a configuration, and where the policy is.
fn ready_browser(folder: &Path) -> std::io::Result<(String, PathBuf)> {
    let policies = folder.join("policies");
    fs::create_dir(&policies)?;
    let policy = OPEN.replace("\nmode = \"open\"\n", "\nmode = \"none\"\n");
    fs::write(policies.join(format!("{READY}.toml")), policy)?;
    // The system's browser as well, or a browser of its policy would be kept ready beside.
    let ids = [READY, "\"aws.browser.v1\""];
    Ok((ids.map(|id| format!("[interpreters.{id}]\npolicy = \"{READY}\"\n")).concat(), policies))
}

/// `CLOISTER_BIN`, or what `cargo build --release` left two folders above the bench (`target/release/deps/<bench>-<hash>`).
fn binary() -> Result<PathBuf, Failure> {
    let given = std::env::var_os("CLOISTER_BIN").map(PathBuf::from);
    let built = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("cloister"));
    given.or_else(built).filter(|path| path.is_file()).ok_or_else(|| {
        Failure::Unavailable("there is no release build of cloister; `make release` makes one".into())
    })
}

/// The folder of built images.
pub fn images() -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache =
        variable("CLOISTER_CACHE").or_else(|| variable("HOME").map(|home| home.join(".cache/cloister")));
    let images = variable("CLOISTER_IMAGES").or_else(|| cache.map(|cache| cache.join("images")));
    images.filter(|dir| dir.join("analysis/current").exists()).ok_or_else(|| {
        Failure::Unavailable("the image `analysis` has not been built; `make images` builds it".into())
    })
}

/// The folder of the image that all cases share, links resolved.
pub fn image() -> Result<PathBuf, Failure> {
    let current: &Path = &images()?.join("analysis/current");
    current.canonicalize().map_err(Failure::io(format!("find {}", current.display())))
}
