//! Zygotes: one per image and environment, replaced after a while so that not every sandbox shares one memory layout.

use crate::ids::Ids;
use crate::image::Image;
use crate::orders::{self, Launcher, Orders};
use cloister_jail::plan::{Order, VERSION, ZygotePlan};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Sandboxes of one zygote. Its children share hash seed and address layout, so a leak in one would help in all (process.md §3.1).
const CHILDREN: u32 = 200;
/// Age at which it is replaced.
const AGE: Duration = Duration::from_secs(600);

/// A running zygote.
#[derive(Debug)]
pub(crate) struct Zygote {
    pub(crate) orders: Orders,
    _pidfd: OwnedFd,
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
        let pidfd =
            launcher.orders.give(&order, &[theirs.as_raw_fd(), library.as_raw_fd(), log.as_raw_fd()])?;
        drop(theirs);
        let orders = Orders::new(ours)?;
        orders.wait_ready().map_err(|e| io::Error::new(e.kind(), format!("{e}: {}", last_line(log_path))))?;
        Ok(Self { orders, _pidfd: pidfd, born: Instant::now(), children: AtomicU32::new(0) })
    }

    /// Counts a child; true when it is time for a successor.
    pub(crate) fn counts_child(&self) -> bool {
        self.children.fetch_add(1, Ordering::Relaxed) + 1 >= CHILDREN || self.born.elapsed() > AGE
    }
}

/// What the zygote's log ends with: the reason, in most cases.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("its log is empty").to_owned()
}
