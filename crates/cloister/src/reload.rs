//! Other policies while the server runs: everything is read and judged first, then exchanged in one step, or nothing is.
//!
//! ```text
//!   SIGHUP ─▶ configuration, policies, access, system call lists ─▶ Served ─▶ audit record ─▶ backends (lists, pools) ─▶ the table
//!               └─ malformed: what was in force stays, and says so ──▶ log, policies.state ◀── cloister policy reload
//! ```
//!
//! Sessions keep what they were started with. Of the configuration only what says which policy is whose is taken; the rest needs a
//! new start.

use crate::access;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::locate::Installation;
use crate::policies::Policies;
use crate::policies::diff::{Way, diff};
use crate::registry::Registry;
use crate::served::Served;
use cloister_access::Cedar;
use cloister_core::audit::{Action, Audit, Event, Key, Outcome, Resource};
use cloister_core::policy::Policy;
use cloister_core::session::SessionManager;
use nix::sys::signal::{Signal as Term, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::Signal;

/// What a server says of its policies, for `cloister policy reload`: a file in the data folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The server that wrote it.
    pub(crate) pid: i32,
    /// How often it has tried to reload.
    pub(crate) tries: u64,
    /// Whether the last try was taken.
    pub(crate) ok: bool,
    /// What is different, a line each; or what is wrong.
    pub(crate) lines: Vec<String>,
}

/// What is read again, and where it goes.
pub(crate) struct Reloader {
    pub(crate) config: Option<PathBuf>,
    pub(crate) policies: Option<PathBuf>,
    pub(crate) installation: Installation,
    pub(crate) registry: Arc<Registry>,
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) served: Served,
    /// Who may do what.
    pub(crate) cedar: Arc<Cedar>,
}

impl Reloader {
    /// Reloads at every signal, for as long as the server runs.
    pub(crate) async fn follow(mut self, data: DataDir, mut hang_up: Signal) {
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let mut state = State { pid, tries: 0, ok: true, lines: Vec::new() };
        publish(&data, &state);
        let in_terminal = std::io::stderr().is_terminal();
        while hang_up.recv().await.is_some() {
            // The terminal that it was started in has been closed, which is what the signal meant once.
            if in_terminal && !std::io::stderr().is_terminal() {
                let _ = kill(Pid::from_raw(pid), Term::SIGTERM);
                return;
            }
            state.tries += 1;
            match self.reload() {
                Ok(lines) => {
                    tracing::info!(
                        changes = lines.len(),
                        "policies were read again, and are in force for new sessions"
                    );
                    lines.iter().for_each(|line| tracing::info!("policies: {line}"));
                    (state.ok, state.lines) = (true, lines);
                }
                Err(what) => {
                    // That somebody tried is on record as well.
                    let refused = Event::new(Action::PolicyChange).on(Resource::Server);
                    let refused = refused.outcome(Outcome::Failure).with(Key::Error, what.as_str());
                    self.manager.desk().after(refused);
                    tracing::error!(
                        "policies were read again and not taken; those that were in force still are: {what}"
                    );
                    (state.ok, state.lines) = (false, what.lines().map(str::to_owned).collect());
                }
            }
            publish(&data, &state);
        }
    }

    /// Reads and judges everything, then exchanges it. Returns what is different; an error has changed nothing.
    fn reload(&mut self) -> Result<Vec<String>, String> {
        let config = self.config.as_deref().map(Config::load).transpose().map_err(|e| e.to_string())?;
        let policies =
            Policies::find(self.policies.as_deref(), &self.installation).map_err(|e| e.to_string())?;
        let served = Served::of(&config.unwrap_or_default(), &policies).map_err(|e| e.to_string())?;
        let filters = policies.filters().map_err(|e| e.to_string())?;
        served.interpreters.iter().try_for_each(|(_, policy)| self.registry.check(policy))?;
        let cedar = access::open(self.policies.as_deref(), &self.installation).map_err(|e| e.to_string())?;
        let mut lines = changes(&self.served, &served);
        lines.extend(self.cedar.differences(&cedar));
        let (before, after) = (self.served.digest(&self.cedar), served.digest(&cedar));
        if before != after || !lines.is_empty() {
            // Before the effect: a change that cannot be written down does not take place.
            let event = Event::new(Action::PolicyChange)
                .on(Resource::Server)
                .with(Key::Changes, lines.join("; "))
                .with(Key::PoliciesBefore, before)
                .with(Key::Policies, after);
            self.manager.desk().record(event).map_err(|e| e.to_string())?;
        }
        // The lists first: a policy that names a new one must find it.
        self.registry.renew(filters, &served);
        self.manager.interpreters().replace_all(served.interpreters.clone(), served.tenants.clone());
        self.cedar.exchange(&cedar);
        self.served = served;
        Ok(lines)
    }
}

fn publish(data: &DataDir, state: &State) {
    if let Err(error) = data.publish_policies(state) {
        tracing::warn!(%error, "the state of the policies could not be written");
    }
}

/// What is different, widened rights first.
fn changes(old: &Served, new: &Served) -> Vec<String> {
    let mut lines: Vec<(Way, String)> = Vec::new();
    table("", &old.interpreters, &new.interpreters, Way::Wider, &mut lines);
    // A ceiling that is new takes away, and one that has gone gives.
    table("ceiling of tenant ", &old.tenants, &new.tenants, Way::Narrower, &mut lines);
    lines.sort_by_key(|(way, _)| *way);
    let all: BTreeSet<_> = old.lists.keys().chain(new.lists.keys()).collect();
    let differ = all.into_iter().filter(|name| old.lists.get(*name) != new.lists.get(*name));
    lines.extend(differ.map(|name| (Way::Other, format!("system call list {name}: changed"))));
    lines.into_iter().map(|(_, line)| line).collect()
}

fn table(
    what: &str,
    old: &[(String, Arc<Policy>)],
    new: &[(String, Arc<Policy>)],
    added: Way,
    lines: &mut Vec<(Way, String)>,
) {
    let map =
        |list: &[(String, Arc<Policy>)]| -> BTreeMap<String, Arc<Policy>> { list.iter().cloned().collect() };
    let (old, new) = (map(old), map(new));
    let removed = if added == Way::Wider { Way::Narrower } else { Way::Wider };
    for (id, policy) in &new {
        match old.get(id) {
            None => lines.push((added, format!("{what}{id}: new, policy {}", policy.name))),
            Some(before) => lines.extend(diff(before, policy).into_iter().map(|change| {
                let line = format!(
                    "{what}{id}: {} {} {} -> {}",
                    change.way.word(),
                    change.field,
                    change.old,
                    change.new
                );
                (change.way, line)
            })),
        }
    }
    let gone = old.keys().filter(|id| !new.contains_key(*id));
    lines.extend(gone.map(|id| (removed, format!("{what}{id}: gone"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_is_told_with_widened_rights_first() {
        let policy = |memory: u64| {
            let mut policy = Policy::built_in("p");
            policy.resources.memory = memory << 30;
            Arc::new(policy)
        };
        let table = |entries: &[(&str, u64)]| -> Vec<(String, Arc<Policy>)> {
            entries.iter().map(|(id, memory)| ((*id).to_owned(), policy(*memory))).collect()
        };
        let old = Served { interpreters: table(&[("a", 2), ("b", 4), ("c", 4)]), ..Served::default() };
        let new = Served {
            interpreters: table(&[("a", 4), ("b", 2), ("d", 4)]),
            tenants: table(&[("acme", 2)]),
            lists: BTreeMap::from([("seccomp/a.json".to_owned(), "0".to_owned())]),
            ..Served::default()
        };
        assert_eq!(
            changes(&old, &new),
            [
                "a: wider resources.memory \"2GiB\" -> \"4GiB\"",
                "d: new, policy p",
                "b: narrower resources.memory \"4GiB\" -> \"2GiB\"",
                "c: gone",
                "ceiling of tenant acme: new, policy p",
                "system call list seccomp/a.json: changed",
            ]
        );
        assert_eq!(changes(&old, &old), Vec::<String>::new());
    }
}
