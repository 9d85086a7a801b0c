//! Zygotes: one per image and environment, replaced after a while so that not every sandbox shares one memory layout.
//!
//! ```text
//!   get ──▶ slot ─┬─ running ──────────────────────▶ fork from it; the 200th child or ten minutes: the next call starts another
//!                 ├─ none, or it has gone ─▶ start ─▶ fork from it
//!                 └─ did not start lately ─────────▶ none: execute from scratch
//! ```

use crate::ids::Ids;
use crate::image::Image;
use crate::launcher::Launcher;
use crate::orders::{self, Orders};
use cloister_core::lock::lock;
use cloister_jail::plan::{Order, VERSION, ZygotePlan};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Sandboxes of one zygote. Its children share hash seed and address layout, so a leak in one would help in all (process.md §3.1).
const CHILDREN: u32 = 200;
/// Age at which it is replaced.
const AGE: Duration = Duration::from_secs(600);
/// Pause after one that did not start: until then every start would wait for its failure, one after the other.
const PAUSE: Duration = Duration::from_secs(30);

/// A running zygote. Dropping it kills it; its children live on.
#[derive(Debug)]
pub(crate) struct Zygote {
    pub(crate) orders: Orders,
    pidfd: OwnedFd,
    born: Instant,
    children: AtomicU32,
}

impl Zygote {
    /// Starts one and waits for its imports. Blocking, a second or so.
    pub(crate) fn start(
        launcher: &Launcher,
        library: &Path,
        image: &Image,
        env: &[(String, String)],
        ids: &Ids,
        log_path: &Path,
    ) -> io::Result<Self> {
        let Some((argv, preload)) = &image.zygote else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the image has no zygote"));
        };
        let mut env = env.to_vec();
        let fd = cloister_jail::setup::zygote::LIBRARY_FD;
        env.push(("CLOISTER_ZYGOTE_LIB".into(), format!("/proc/self/fd/{fd}")));
        env.push(("CLOISTER_ZYGOTE_PRELOAD".into(), preload.join(",")));
        let library = File::open(library)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", library.display())))?;
        let log = OpenOptions::new().create(true).append(true).open(log_path)?;
        let (ours, theirs) = orders::pair()?;
        let orders = Orders::new(ours)?;
        let plan = ZygotePlan {
            version: VERSION,
            root: image.root.clone(),
            argv: argv.clone(),
            env,
            uids: ids.zygote_uids(),
            gids: ids.zygote_gids(),
            privileged: ids.privileged(),
        };
        let order = Order::Zygote { plan: Box::new(plan) };
        let pidfd = launcher.give(&order, &[theirs.as_raw_fd(), library.as_raw_fd(), log.as_raw_fd()])?;
        drop(theirs);
        let zygote = Self { orders, pidfd, born: Instant::now(), children: AtomicU32::new(0) };
        let ready = zygote.orders.wait_ready();
        ready.map_err(|e| io::Error::new(e.kind(), format!("{e}: {}", last_line(log_path))))?;
        Ok(zygote)
    }

    /// Counts a child; true when it is time for a successor.
    fn counts_child(&self) -> bool {
        self.children.fetch_add(1, Ordering::Relaxed) + 1 >= CHILDREN || self.is_old()
    }

    fn is_old(&self) -> bool {
        self.born.elapsed() > AGE
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It would end by itself, since its socket closes, but not if it hangs.
        if let Err(errno) = cloister_jail::kill(&self.pidfd) {
            tracing::warn!(%errno, "cannot kill a zygote");
        }
    }
}

/// The zygote of one image and environment.
#[derive(Debug, Default)]
struct Slot {
    zygote: Option<Arc<Zygote>>,
    failed: Option<Instant>,
}

impl Slot {
    /// Whether it is worth keeping: images are rebuilt and policies change, and an idle zygote holds a hundred megabytes.
    fn is_fresh(&self) -> bool {
        self.zygote.as_ref().is_some_and(|zygote| !zygote.is_old()) || self.is_pausing()
    }

    fn is_pausing(&self) -> bool {
        self.failed.is_some_and(|at| at.elapsed() < PAUSE)
    }
}

/// All zygotes, by what makes them different.
#[derive(Debug, Default)]
pub(crate) struct Zygotes {
    /// A slot is locked while its zygote is being started, so that it is started once.
    slots: Mutex<HashMap<String, Arc<Mutex<Slot>>>>,
}

impl Zygotes {
    /// The zygote to fork from, started if there is none. Blocking. The error is one of `start`; for a while after it, there is none.
    pub(crate) fn get(
        &self,
        key: &str,
        start: impl FnOnce() -> io::Result<Zygote>,
    ) -> io::Result<Option<Arc<Zygote>>> {
        let slot = self.slot(key);
        let mut slot = lock(&slot);
        if let Some(running) = slot.zygote.clone().filter(|zygote| !zygote.orders.is_broken()) {
            if running.counts_child() {
                // The next one starts its successor. This one ends when whoever still forks from it lets go.
                slot.zygote = None;
            }
            return Ok(Some(running));
        }
        slot.zygote = None;
        if slot.is_pausing() {
            return Ok(None);
        }
        match start() {
            Ok(zygote) => {
                let zygote = Arc::new(zygote);
                *slot = Slot { zygote: Some(Arc::clone(&zygote)), failed: None };
                Ok(Some(zygote))
            }
            Err(error) => {
                slot.failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Ends all of them.
    pub(crate) fn end(&self) {
        lock(&self.slots).clear();
    }

    fn slot(&self, key: &str) -> Arc<Mutex<Slot>> {
        let mut slots = lock(&self.slots);
        // One that is locked is being started.
        slots.retain(|other, slot| other == key || slot.try_lock().map_or(true, |slot| slot.is_fresh()));
        Arc::clone(slots.entry(key.to_owned()).or_default())
    }
}

/// What the zygote's log ends with: the reason, in most cases.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("its log is empty").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// A process that can be killed like a zygote, and the other end of its socket.
    fn zygote() -> (Zygote, Child, OwnedFd) {
        let child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pidfd = cloister_jail::pidfd(child.id() as i32).unwrap();
        let (ours, theirs) = orders::pair().unwrap();
        let orders = Orders::new(ours).unwrap();
        (Zygote { orders, pidfd, born: Instant::now(), children: AtomicU32::new(0) }, child, theirs)
    }

    #[test]
    fn a_zygote_is_started_once_and_replaced_when_it_has_gone() {
        let zygotes = Zygotes::default();
        let (first, mut child, theirs) = zygote();
        let first = zygotes.get("a", || Ok(first)).unwrap().unwrap();
        let again = zygotes.get("a", || panic!("it runs")).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        drop((theirs, again));
        assert!(first.orders.give(&Order::Sweep { uid: 0, gid: 0 }, &[]).is_err());
        let (second, mut other, _theirs) = zygote();
        let second = zygotes.get("a", || Ok(second)).unwrap().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        drop((first, second));
        child.wait().unwrap();
        zygotes.end();
        other.wait().unwrap();
    }

    #[test]
    fn one_that_does_not_start_is_not_tried_again_at_once() {
        let zygotes = Zygotes::default();
        assert!(zygotes.get("a", || Err(io::Error::other("no such module"))).is_err());
        assert!(zygotes.get("a", || panic!("too soon")).unwrap().is_none());
    }

    #[test]
    fn the_last_child_is_still_forked_while_the_next_one_starts_a_successor() {
        let zygotes = Zygotes::default();
        let (old, mut child, _theirs) = zygote();
        old.children.store(CHILDREN - 2, Ordering::Relaxed);
        let old = zygotes.get("a", || Ok(old)).unwrap().unwrap();
        for _ in 0..2 {
            let running = zygotes.get("a", || panic!("it runs")).unwrap().unwrap();
            assert!(Arc::ptr_eq(&old, &running));
            if old.children.load(Ordering::Relaxed) == CHILDREN {
                break;
            }
        }
        assert!(child.try_wait().unwrap().is_none(), "somebody holds it");
        drop(old);
        child.wait().unwrap();
        assert!(zygotes.get("a", || Err(io::Error::other("asked"))).is_err(), "a successor is started");
    }
}
