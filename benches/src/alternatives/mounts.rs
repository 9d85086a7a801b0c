//! A thread with mounts of its own: what a runtime needs changed, or would itself change, nobody else on the host notices.
//!
//! crun 1.8 refuses hosts that have both cgroup trees. Where the second one is not mounted it works, and so it can be measured here.
//! runsc gives its standard streams to the container's user, and with them the host's null device.

use crate::failure::Failure;
use nix::fcntl::AT_FDCWD;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknod};
use std::path::Path;
use std::sync::mpsc::{self, Sender};

/// The second tree of a hybrid host.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

type Job = Box<dyn FnOnce() + Send>;

/// The thread. Programs that are started by its jobs see its mounts.
#[derive(Debug)]
pub(super) struct PrivateMounts(Sender<Job>);

impl PrivateMounts {
    /// Starts the thread, with the changes of `alter` to its mounts.
    pub(super) fn enter(alter: impl FnOnce() -> nix::Result<()> + Send + 'static) -> Result<Self, Failure> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let entered = make_private().and_then(|()| alter());
            let failed = entered.is_err();
            if tell.send(entered).is_err() || failed {
                return;
            }
            while let Ok(job) = inbox.recv() {
                job();
            }
        });
        match told.recv() {
            Ok(Ok(())) => Ok(Self(jobs)),
            Ok(Err(errno)) => {
                Err(Failure::Unavailable(format!("no private mount namespace ({errno}); run as root")))
            }
            Err(_) => Err(Failure::Unavailable("the thread for private mounts ended".into())),
        }
    }

    /// Runs a job there and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _: Result<(), _> = tell.send(job());
        });
        let ended = |_| Failure::Unavailable("the thread for private mounts ended".into());
        self.0.send(job).map_err(|_| ended(mpsc::RecvError))?;
        told.recv().map_err(ended)
    }
}

fn make_private() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
}

/// The host with one cgroup tree.
pub(super) fn hide_unified() -> nix::Result<()> {
    if Path::new(UNIFIED).join("cgroup.procs").exists() {
        umount2(UNIFIED, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

/// The host with a null device of one's own, made on a file system at `place`, a folder.
pub(super) fn own_null(place: &Path) -> nix::Result<()> {
    const NAME: &str = "/dev/null";
    let none = None::<&str>;
    mount(Some("null"), place, Some("tmpfs"), MsFlags::MS_NOSUID, Some("size=4k,mode=0755"))?;
    let (node, all) = (place.join("null"), Mode::from_bits_truncate(0o666));
    mknod(&node, SFlag::S_IFCHR, all, makedev(1, 3))?;
    fchmodat(AT_FDCWD, &node, all, FchmodatFlags::FollowSymlink)?; // whatever the umask has left of it
    mount(Some(&node), NAME, none, MsFlags::MS_BIND, none)
}
