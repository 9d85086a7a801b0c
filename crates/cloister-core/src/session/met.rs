//! Walls that a call ran into, told from the errors that its programs got: which rule it was, so that the answer can say it.
//!
//! ```text
//!   "OSError: [Errno 30] Read-only file system: '/etc/x'" ─▶ Sign::ReadOnly, ["/etc/x"] ─▶ Denial filesystem.workspace ─┐
//!   limits of the call: memory, processes ───────────────────────────────────────────────▶ Denial resources.memory …  ─┤
//!                                                       audit log ◀── Noted den_… ──▶ answer, receipt ◀────────── note ─┘
//! ```
//!
//! The kernel's refusals are errors without words (EPERM, EROFS, ENOSPC); only the program that got one says so. A guest may say what it
//! likes: then the answer to its own call names a rule that it did not meet, and the log has a refusal more. Nothing else follows.

use crate::denial::{Denial, Layer, Noted};
use crate::event::{Execution, LimitHit, Outcome, TaskStatus};
use crate::lock::lock;
use crate::policy::{NetworkMode, Policy, WASM_TIER, size_text};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

mod words;

use words::{Sign, is_error, own_place, paths, sign};

/// Refusals that one call is told of: one for each rule, and no more than this.
const MOST: usize = 3;
/// Background commands whose refusals are remembered, so that each look at one finds the same.
const TASKS: usize = 64;
/// What a shell reports for a program that is there and cannot be run.
const CANNOT_RUN: i32 = 126;

/// What a session's programs may run into.
#[derive(Debug)]
pub(super) struct Walls {
    policy: Arc<Policy>,
    /// Where they may write.
    places: Vec<String>,
    tasks: Mutex<VecDeque<(String, Vec<Noted>)>>,
}

/// The rules that were met so far.
struct Met<'n> {
    noted: Vec<Noted>,
    note: &'n mut dyn FnMut(Denial) -> Noted,
}

impl Met<'_> {
    fn add(&mut self, denial: Option<Denial>) {
        let new = |denial: &Denial| self.noted.iter().all(|known| known.denial.rule != denial.rule);
        if !self.is_full()
            && let Some(denial) = denial.filter(new)
        {
            self.noted.push((self.note)(denial));
        }
    }

    fn is_full(&self) -> bool {
        self.noted.len() >= MOST
    }
}

impl Walls {
    /// Those of a session of `policy` whose programs may write in `places`; file tools write in the workspace in any case.
    pub(super) fn new(policy: Arc<Policy>, mut places: Vec<String>) -> Self {
        if places.is_empty() {
            places.push(policy.filesystem.workspace.clone());
        }
        Self { policy, places, tasks: Mutex::default() }
    }

    /// Has noted which rules a call met, by its outcome and the end of what it said on descriptor 2: each once. The texts are added
    /// to answers that have no other place for them; those of executions have one.
    pub(super) fn met(
        &self,
        outcome: &mut Outcome,
        stderr: &[u8],
        note: &mut dyn FnMut(Denial) -> Noted,
    ) -> Vec<Noted> {
        let mut met = Met { noted: Vec::new(), note };
        match outcome {
            Outcome::Executed(execution) => self.of_execution(execution, stderr, &mut met),
            Outcome::Task(task) if task.status == TaskStatus::Failed => {
                let known =
                    lock(&self.tasks).iter().find(|(id, _)| *id == task.id).map(|(_, all)| all.clone());
                if let Some(known) = known {
                    met.noted = known;
                } else {
                    self.of_status(task.exit_code.unwrap_or_default(), &mut met);
                    let runs = task.exit_code == Some(CANNOT_RUN);
                    self.of_text(&String::from_utf8_lossy(tail(&task.stderr)), runs, &mut met);
                    let mut tasks = lock(&self.tasks);
                    if tasks.len() >= TASKS {
                        tasks.pop_front();
                    }
                    tasks.push_back((task.id.clone(), met.noted.clone()));
                }
                if !met.noted.is_empty() {
                    let mut said = task.stderr.to_vec();
                    for noted in &met.noted {
                        let line = if said.is_empty() || said.ends_with(b"\n") { "" } else { "\n" };
                        said.extend_from_slice(format!("{line}{}\n", noted.text()).as_bytes());
                    }
                    task.stderr = said.into();
                }
            }
            Outcome::Failed { message } => {
                self.of_text(message, false, &mut met);
                for noted in &met.noted {
                    message.push_str(&format!(". {}", noted.text()));
                }
            }
            Outcome::Files { failed, .. } | Outcome::Removed { failed, .. } => {
                for failure in failed {
                    let before = met.noted.len();
                    self.of_text(&format!("{}: {}", failure.path, failure.reason), false, &mut met);
                    for noted in &met.noted[before..] {
                        failure.reason.push_str(&format!(". {}", noted.text()));
                    }
                    if met.is_full() {
                        break;
                    }
                }
            }
            _ => {}
        }
        met.noted
    }

    /// The same of a call that has no outcome.
    pub(super) fn met_by_words(&self, stderr: &[u8], note: &mut dyn FnMut(Denial) -> Noted) -> Vec<Noted> {
        let mut met = Met { noted: Vec::new(), note };
        self.of_text(&String::from_utf8_lossy(stderr), false, &mut met);
        met.noted
    }

    fn of_execution(&self, execution: &Execution, stderr: &[u8], met: &mut Met<'_>) {
        if execution.exit_code != 0 || execution.error.is_some() {
            for limit in &execution.limits {
                met.add(match limit {
                    LimitHit::Memory { .. } => self.denial(Sign::Memory, &[]),
                    LimitHit::Processes { .. } => self.denial(Sign::Processes, &[]),
                    // That storage is full is a state, whoever has filled it; a call that wanted more says so in words.
                    LimitHit::Disk { .. } | LimitHit::Files { .. } => None,
                    // Both say themselves what is to be done: ask for less, or in another way.
                    LimitHit::Output { .. } | LimitHit::Deadline { .. } => None,
                });
            }
        }
        self.of_status(execution.exit_code, met);
        let full = execution.limits.iter().any(|limit| matches!(limit, LimitHit::Files { .. }));
        let space = if full { Sign::Entries } else { Sign::Space };
        let mut runs = execution.exit_code == CANNOT_RUN;
        if let Some(error) = &execution.error {
            // subprocess.Popen.
            runs |= error.traceback.contains("_execute_child");
            self.of_lines([error.message.as_str()].into_iter(), runs, space, met);
            // What it was raised from: `requests` and `fetch` say only there that a name has no address.
            let traceback = String::from_utf8_lossy(tail(error.traceback.as_bytes()));
            self.of_lines(traceback.lines().filter(|line| is_error(line)), runs, space, met);
        }
        self.of_lines(String::from_utf8_lossy(stderr).lines().rev(), runs, space, met);
    }

    /// By a signal that needs no words.
    fn of_status(&self, exit_code: i32, met: &mut Met<'_>) {
        met.add(match exit_code {
            // SIGXFSZ, of programs that do not ask for EFBIG instead.
            153 => self.denial(Sign::FileSize, &[]),
            // SIGSYS: a call by foreign numbers.
            159 => self.denial(Sign::Privilege, &[]),
            _ => None,
        });
    }

    fn of_text(&self, text: &str, runs: bool, met: &mut Met<'_>) {
        self.of_lines(text.lines().rev(), runs, Sign::Space, met);
    }

    fn of_lines<'l>(&self, lines: impl Iterator<Item = &'l str>, runs: bool, space: Sign, met: &mut Met<'_>) {
        for line in lines {
            if met.is_full() {
                return;
            }
            let Some(sign) = sign(line) else { continue };
            let sign = if sign == Sign::Space { space } else { sign };
            let paths = paths(line);
            let own = paths.iter().all(|path| own_place(&self.places, path));
            met.add(match sign {
                // Of the session's own files, whose modes are its own doing; unless programs do not run there.
                Sign::Access if own && (runs || line.contains("spawn")) => self.no_exec(&paths),
                Sign::Access | Sign::Privilege if own && !paths.is_empty() => None,
                Sign::Access if paths.is_empty() => None,
                Sign::Mapping if own => self.no_exec(&paths),
                sign => self.denial(sign, &paths),
            });
        }
    }

    /// A program of the session's own was not run, nor an extension loaded: by the rule, if there is one.
    fn no_exec(&self, paths: &[&str]) -> Option<Denial> {
        let denial = Denial::new(
            Layer::Filesystem,
            "filesystem.exec",
            "to run a program of the session's own",
            "programs that lie where the session may write are not run",
            "set filesystem.exec to true in the session's policy",
        );
        (!self.policy.filesystem.exec && !paths.is_empty()).then(|| denial.matched("false"))
    }

    /// Whether there is a quota on storage: not where it is the host's own disk.
    fn has_quota(&self) -> bool {
        self.places.first() == Some(&self.policy.filesystem.workspace)
    }

    fn denial(&self, sign: Sign, paths: &[&str]) -> Option<Denial> {
        let Policy { resources, filesystem, network, isolation, tier, .. } = &*self.policy;
        let more = |rule: &str, what: &str, value: String| {
            let layer = if rule.starts_with("filesystem.") { Layer::Filesystem } else { Layer::Policy };
            let how = format!("raise {rule} in the session's policy");
            Denial::new(layer, rule, what, format!("the session's limit is {value}"), how).matched(value)
        };
        let places = self.places.join(", ");
        // Of a path that a program names only so much as says which part of the image it is: what else stands in it is not for the log.
        let outside =
            paths.iter().find(|path| !own_place(&self.places, path)).and_then(|path| words::top(path));
        let of = |what: &str, else_: &str| {
            outside.as_ref().map_or(else_.to_owned(), |top| format!("{what} {top}"))
        };
        Some(match sign {
            Sign::Space | Sign::Entries if !self.has_quota() => return None,
            // Its guests have neither, and are told so by their interpreter.
            Sign::Privilege | Sign::Network if tier == WASM_TIER => return None,
            Sign::Mapping => return None,
            Sign::ReadOnly => Denial::new(
                Layer::Filesystem,
                "filesystem.workspace",
                of("a change in", "a change of the image"),
                "everything outside of the session's own places is the image, which is read-only",
                format!("Write in {places} instead: no policy makes more of the file system writable."),
            ),
            Sign::Access => Denial::new(
                Layer::Filesystem,
                "filesystem.workspace",
                of("access to a file in", "access to a file"),
                "the session's programs run as an ordinary user, who may read what the image gives everybody and write in places of its own",
                format!("Use {places} instead: no policy gives a session more rights to files."),
            ),
            Sign::Privilege => Denial::new(
                Layer::Syscall,
                "isolation.seccomp",
                "what a program asked of the kernel",
                "so ends what needs privileges, which no session has, and what is not in its list of system calls",
                format!(
                    "No policy allows what needs privileges; whoever runs this cloister server can allow other calls in policies/{}.",
                    isolation.seccomp
                ),
            )
            .matched(isolation.seccomp.as_str()),
            Sign::Space => more("filesystem.disk", "more storage", size_text(filesystem.disk)),
            Sign::Entries => more("filesystem.inodes", "more files", filesystem.inodes.to_string()),
            Sign::FileSize => more("filesystem.max_file", "a larger file", size_text(filesystem.max_file)),
            Sign::OpenFiles => more("resources.open_files", "more open files", resources.open_files.to_string()),
            Sign::Memory => more("resources.memory", "more memory", size_text(resources.memory)),
            Sign::Processes => more("resources.pids", "more processes and threads", resources.pids.to_string()),
            Sign::Network if network.mode == NetworkMode::None => Denial::new(
                Layer::Egress,
                "network.mode",
                "a connection, or the lookup of a name",
                "the session has no network",
                "give the session's policy a network (network.mode, network.allowed_domains)",
            )
            .matched(network.mode.name()),
            Sign::Network => Denial::new(
                Layer::Egress,
                "network.mode",
                "a connection, or the lookup of a name, beside the proxy",
                "there is no other way out of the session, and no DNS",
                "Send HTTP and HTTPS through the proxy that the variables HTTP_PROXY and HTTPS_PROXY name.",
            )
            .matched(network.mode.name()),
        })
    }
}

/// Bytes at the end of what a program said in which its last errors are looked for.
pub(super) const TAIL: usize = 4096;

/// The end of an output.
pub(super) fn tail(output: &[u8]) -> &[u8] {
    &output[output.len().saturating_sub(TAIL)..]
}

#[cfg(test)]
mod tests;
