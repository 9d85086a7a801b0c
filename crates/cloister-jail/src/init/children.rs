//! The end of children: workers, background commands, the resident, and the orphans that init has inherited.

use super::events::Init;
use super::resident::Resident;
use super::results::Look;
use crate::guest::message::Reply;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Looks at the answers of a worker that has died. What it left in its channel are a few; a child that it gave the channel to could go on.
const LOOKS: usize = 64;

impl Init {
    /// Collects every child that has ended.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, code, false),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, 128 + signal as i32, true),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: i32, signaled: bool) {
        // Of those that run: the number of one that has ended may be another program's by now.
        if let Some(task) = self.tasks.iter_mut().find(|t| t.running() && t.pid == pid) {
            return task.ended(status);
        }
        if self.resident.as_ref().is_some_and(|resident| resident.pid == pid) {
            return self.resident_ended(status);
        }
        let Some(name) = self.workers.iter().find(|(_, w)| w.pid == pid).map(|(n, _)| n.clone()) else {
            return;
        };
        // Its death may be noticed before its last words, which may have been that the call is done.
        for _ in 0..LOOKS {
            if self.results(&name) == Look::Nothing {
                break;
            }
        }
        self.drain(&name);
        self.warmed(&name);
        // Children that it left behind are of no use to a state that is gone, and might hold what the next one needs.
        let others = self.leaders(Some(pid));
        super::process::kill_session(pid, &others);
        let worker = self.workers.remove(&name);
        if let Some(call) = self.call.take_if(|c| c.on.key() == name) {
            let (id, report, traceback) = call.worker_ended(status, signaled, &self.plan);
            return self.connection.send(&Reply::Executed { id, report }, &traceback);
        }
        // Nobody has been told that the state is gone, and the next call would wonder where its variables are.
        let mut late = worker.map(|w| w.late).unwrap_or_default();
        let note =
            format!("cloister: {name} ended between two calls (status {status}); its state starts anew\n");
        late[1].0.extend_from_slice(note.as_bytes());
        self.last_words.insert(name, late);
    }

    /// The sandbox was there for its resident.
    fn resident_ended(&mut self, status: i32) {
        let name = self.resident.as_ref().map_or("", |resident| resident.name).to_owned();
        let said = self.resident.take().map(Resident::last_words).unwrap_or_default();
        self.connection.send(&Reply::ResidentEnded { name, status, said }, b"");
        self.ending = true;
    }

    /// Leaders of the sessions that init started, without `except`.
    pub(super) fn leaders(&self, except: Option<Pid>) -> Vec<Pid> {
        let workers = self.workers.values().map(|w| w.pid);
        let tasks = self.tasks.iter().filter(|t| t.running()).map(|t| t.pid);
        let resident = self.resident.iter().map(|b| b.pid);
        workers.chain(tasks).chain(resident).filter(|&pid| Some(pid) != except).collect()
    }
}
