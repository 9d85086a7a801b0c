//! Attacks: hostile guests (`../guests/`) that know the source and try to get out, to look around, to starve the rest, or to lie.
//!
//! ```text
//!   host: flags in files, sockets and this process ── must never be heard ──┐
//!   guest program ──▶ session ──▶ verdicts: `done`, or the errno of each attempt
//!   afterwards: the session works (or a new one does), and nothing is left ─┘
//! ```
//!
//! One case is one test, with its id in the first line of its doc comment and a line in `tests/attacks`. What "EPERM-class" means for
//! a case is said by the errnos that its test accepts: an attempt that fails for another reason has not been refused.

mod arc;
mod cap;
mod controls;
mod ctl;
mod exe;
mod file;
mod fs;
mod image;
mod iso;
mod lists;
mod net;
mod prc;
mod res;
mod shares;
mod sys;
mod sys_lists;
mod sys_table;
mod timing;

use base64::Engine;
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::Outcome;
use cloister_core::policy::{Policy, StartMode};
use cloister_process::ProcessConfig;
use cloister_tests::rig::{Ran, Rig, Session, plain};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// What every hostile Python guest starts with.
const PRELUDE: &str = include_str!("../guests/prelude.py");
/// Time of a call of these tests.
const PLENTY: Duration = Duration::from_secs(60);

/// A session under attack.
struct Attack {
    rig: Rig,
    session: Session,
    canary: Canary,
    heard: Mutex<String>,
}

/// Runs `body` against a session under `policy`, then looks at what it left: O1 (no flag heard), O3, O4 and O7 of the rig.
async fn attack(policy: Policy, body: impl AsyncFnOnce(&Attack)) {
    attack_as(policy, |_| (), body).await;
}

/// The same with a backend that is configured otherwise.
async fn attack_as(policy: Policy, alter: impl FnOnce(&mut ProcessConfig), body: impl AsyncFnOnce(&Attack)) {
    let Some(rig) = controls::rig(policy, alter) else { return };
    let canary = Canary::plant(rig.directory.path());
    let session = rig.session().await;
    let attack = Attack { rig, session, canary, heard: Mutex::default() };
    body(&attack).await;
    let Attack { rig, session, canary, heard } = attack;
    let alive = tokio::time::timeout(Duration::from_millis(1), session.interpreter.exited()).await.is_err();
    if alive {
        assert!(works(&session).await, "the session does not survive the attack");
    } else {
        let next = rig.session().await;
        assert!(works(&next).await, "the attack on one session spoils the next");
        next.stop().await;
    }
    session.stop().await;
    rig.end().await;
    canary.check(&heard.into_inner().unwrap());
}

/// Whether a session answers, by a fresh runtime and by the shell.
async fn works(session: &Session) -> bool {
    let python = session.python("print(6 * 7)").await;
    // A guest may have spoilt its own interpreter; a cleared context or the shell then has to work.
    let shell = session.shell("echo $((6 * 7))").await;
    let restored =
        python.stdout.contains("42") || session.python_cleared("print(6 * 7)").await.stdout.contains("42");
    restored && shell.stdout.contains("42")
}

impl Attack {
    /// Whether the session has a cgroup. Without one, memory and processor time of the session as a whole have no limit, and that on
    /// processes is each process's own (SECURITY.md, known residuals).
    fn has_group(&self) -> bool {
        self.session.interpreter.walls().iter().any(|(wall, how)| wall == "cgroup" && how != "none")
    }

    /// Runs a hostile Python program.
    async fn python(&self, guest: &str) -> Ran {
        self.python_within(guest, PLENTY).await
    }

    /// The same with a deadline.
    async fn python_within(&self, guest: &str, deadline: Duration) -> Ran {
        self.hear(self.session.python_within(&format!("{PRELUDE}\n{guest}"), deadline).await)
    }

    /// Runs a hostile shell command.
    async fn shell(&self, command: &str) -> Ran {
        self.hear(self.session.shell(command).await)
    }

    /// Runs a hostile Python program and returns the outcome of each of its attempts.
    async fn verdicts(&self, guest: &str) -> Verdicts {
        let ran = self.python(guest).await;
        Verdicts::of(&ran)
    }

    /// A file tool, whose answer is heard as well.
    async fn tool(&self, call: ToolCall) -> Outcome {
        let outcome = self.session.tool(call).await;
        self.note(&format!("{outcome:?}"));
        outcome
    }

    /// Reads one file by the file tool.
    async fn read(&self, path: &str) -> Result<bytes::Bytes, String> {
        let read = self.session.read(path).await;
        self.note(&format!("{:?}", read.as_ref().map(|data| String::from_utf8_lossy(data).into_owned())));
        read
    }

    /// Compiles a C program on the host and puts it into the workspace. False, after a visible skip, without a compiler.
    async fn program(&self, name: &str, source: &str) -> bool {
        let Some(data) = compile(name, source) else { return false };
        self.session.write(&[(name, &data)]).await.unwrap();
        self.session.shell(&format!("chmod 700 {name}")).await;
        true
    }

    fn hear(&self, ran: Ran) -> Ran {
        self.note(&format!("{}{}{:?}", ran.stdout, ran.stderr, ran));
        ran
    }

    fn note(&self, text: &str) {
        self.heard.lock().unwrap().push_str(text);
    }
}

/// The outcomes of a guest's attempts: `done`, `done: value`, the errno's name, or the exception's class.
#[derive(Debug)]
struct Verdicts(BTreeMap<String, String>);

impl Verdicts {
    /// From the last line that a guest printed.
    fn of(ran: &Ran) -> Self {
        let line = ran.stdout.lines().last().unwrap_or_default();
        Self(serde_json::from_str(line).unwrap_or_else(|e| panic!("no verdicts ({e}): {ran:?}")))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("missing", String::as_str)
    }

    /// Every attempt whose name begins with `prefix` was refused with one of `errnos`, and there was at least one.
    fn refused(&self, prefix: &str, errnos: &[&str]) {
        let tried: Vec<_> = self.0.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        assert!(!tried.is_empty(), "nothing called {prefix:?} was tried: {self:?}");
        let wrong: Vec<_> =
            tried.into_iter().filter(|(_, outcome)| !errnos.contains(&outcome.as_str())).collect();
        assert!(wrong.is_empty(), "not refused with {errnos:?}: {wrong:?}");
    }

    /// Every attempt whose name begins with `prefix` succeeded, and there was at least one.
    fn done(&self, prefix: &str) {
        let tried: Vec<_> = self.0.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        assert!(!tried.is_empty(), "nothing called {prefix:?} was tried: {self:?}");
        let wrong: Vec<_> = tried.into_iter().filter(|(_, outcome)| !outcome.starts_with("done")).collect();
        assert!(wrong.is_empty(), "did not succeed: {wrong:?}");
    }
}

/// Secrets of the host that no guest may ever say.
struct Canary {
    flag: String,
    /// A directory that everybody may read, outside of every sandbox.
    open: tempfile::TempDir,
    _abstract: Option<std::os::unix::net::UnixListener>,
}

impl Canary {
    /// Puts a flag into the backend's directory, a world-readable file, /dev/shm, an abstract socket's name, and this process's memory.
    fn plant(state: &Path) -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::fs::PermissionsExt;
        let flag = random_flag();
        let open = tempfile::Builder::new().prefix("canary").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for place in [state.join("flag"), open.path().join("flag")] {
            std::fs::write(place, &flag).unwrap();
        }
        let name = format!("cloister-canary-{}", &flag[..16]);
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let socket = std::os::unix::net::UnixListener::bind_addr(&address).ok();
        Self { flag, open, _abstract: socket }
    }

    /// The world-readable file.
    fn file(&self) -> PathBuf {
        self.open.path().join("flag")
    }

    /// O1: raw, reversed, hexadecimal and base64.
    fn check(&self, heard: &str) {
        let reversed: String = self.flag.chars().rev().collect();
        let hex = self.flag.bytes().fold(String::new(), |mut out, byte| {
            let _: std::fmt::Result = write!(out, "{byte:02x}");
            out
        });
        let base64 = base64::engine::general_purpose::STANDARD.encode(&self.flag);
        for form in [self.flag.as_str(), &reversed, &hex, base64.trim_end_matches('=')] {
            assert!(!heard.contains(form), "a flag of the host was heard");
        }
        assert_eq!(
            std::fs::read_to_string(self.file()).unwrap(),
            self.flag,
            "a file of the host was changed"
        );
    }
}

/// 32 random hexadecimal digits.
fn random_flag() -> String {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).unwrap();
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// A static program for inside, compiled once for each version of its source where the target directory is this user's own, and else
/// each time in a directory that goes with it. `None`, after a visible skip, without a compiler.
fn compile(name: &str, source: &str) -> Option<Vec<u8>> {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = kept.join(format!("{name}-{:016x}", hasher.finish()));
    if let Ok(binary) = std::fs::read(&program) {
        return Some(binary);
    }
    // The target directory may be root's, out of this user's reach.
    let own = tempfile::tempdir_in(kept).or_else(|_| tempfile::tempdir()).unwrap();
    let (source_file, binary) = (own.path().join("source.c"), own.path().join("program"));
    std::fs::write(&source_file, source).unwrap();
    let arguments = ["-O1", "-static", "-pthread", "-w", "-o"];
    match std::process::Command::new("cc").args(arguments).arg(&binary).arg(&source_file).output() {
        Err(error) => {
            cloister_tests::needs::skip(&format!("there is no C compiler: {error}"));
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let data = std::fs::read(&binary).unwrap();
            // Whole at once, since other tests may be compiling the same program; across file systems it is not kept.
            drop(std::fs::rename(binary, program));
            Some(data)
        }
    }
}

/// The default policy, started as forks of a zygote.
fn warm() -> Policy {
    Policy { start: StartMode::Zygote, ..Policy::built_in("test") }
}

/// The default policy with little storage, which is soon full.
fn small_storage() -> Policy {
    let mut policy = plain();
    policy.filesystem.disk = 48 << 20;
    policy.filesystem.max_file = 40 << 20;
    policy
}

/// A cell.
fn cell(code: &str) -> ToolCall {
    ToolCall::ExecuteCode {
        code: code.into(),
        language: Language::Python,
        runtime: Runtime::Python,
        clear_context: false,
    }
}
