//! Makes sandboxes: intent on disk, cgroup, order to zygote or launcher, report, greeting; undone in reverse if a step fails.
//!
//! ```text
//!   directory + record ─▶ ctl.sock ─▶ cgroup ─▶ Order{Plan} ─▶ report pipe ─▶ attach ─▶ egress ─▶ Sandbox
//! ```

use crate::backend::ProcessConfig;
use crate::control::{Control, Hello};
use crate::ids::Ids;
use crate::image::Image;
use crate::lower::{self, Identity, Places};
use crate::orders::Launcher;
use crate::reconcile::Record;
use crate::sandbox::{Lodging, Remains, Sandbox, remove_group};
use crate::zygote::Zygote;
use cloister_core::SandboxId;
use cloister_core::backend::{StartError, Unavailable};
use cloister_core::policy::{NetworkMode, Policy, StartMode, Wall};
use cloister_jail::cgroup::{self, Group};
use cloister_jail::plan::{Jail, Order, Plan, Started};
use cloister_jail::probe::Finding;
use cloister_jail::setup::container;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Everything that making a sandbox needs.
pub(crate) struct Maker {
    pub(crate) config: ProcessConfig,
    pub(crate) launcher: Arc<Launcher>,
    pub(crate) groups: Option<cgroup::Host>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) ids: Ids,
    zygotes: Mutex<HashMap<String, Slot>>,
}

/// The zygote of one image and environment. Locked while it is being started, so that it is started once.
type Slot = Arc<Mutex<Option<Arc<Zygote>>>>;

/// What the blocking part hands to the asynchronous one.
struct Made {
    id: SandboxId,
    nonce: String,
    stream: UnixStream,
    hello: Hello,
    origin: &'static str,
    image: String,
    undo: Undo,
    pidfd: OwnedFd,
}

impl Maker {
    pub(crate) fn new(
        config: ProcessConfig,
        launcher: Arc<Launcher>,
        groups: Option<cgroup::Host>,
        findings: Vec<Finding>,
    ) -> Self {
        Self { config, launcher, groups, findings, ids: Ids::new(), zygotes: Mutex::default() }
    }

    /// Refuses a policy that requires a wall which this host cannot build.
    pub(crate) fn check_walls(&self, policy: &Policy) -> Result<(), Unavailable> {
        for wall in &policy.isolation.require {
            let found = self.findings.iter().find(|f| f.wall == wall.name());
            if let Some(finding) = found.filter(|f| !f.ok) {
                return Err(Unavailable {
                    what: format!("{} ({})", wall.name(), finding.detail),
                    advice: finding.advice.clone(),
                });
            }
        }
        if self.jail(policy) == Jail::Container {
            // What stands in for namespaces there is not optional: without it one wall would be left.
            let stands = |wall: Wall| policy.isolation.require.contains(&wall);
            let chroot = self.findings.iter().find(|f| f.wall == "container");
            if let Some(finding) = chroot.filter(|f| !f.ok) {
                return Err(Unavailable {
                    what: format!("container ({})", finding.detail),
                    advice: finding.advice.clone(),
                });
            }
            if !stands(Wall::Landlock) || !stands(Wall::Seccomp) || policy.network.mode != NetworkMode::None {
                return Err(Unavailable {
                    what: "namespaces".into(),
                    advice: "without them a policy must require landlock and seccomp, and have no network"
                        .into(),
                });
            }
        }
        Ok(())
    }

    /// Namespaces wherever they can be made; the container's walls only where they cannot and the policy does not require them.
    fn jail(&self, policy: &Policy) -> Jail {
        let can = self.findings.iter().any(|f| f.wall == Wall::Namespaces.name() && f.ok);
        let must = policy.isolation.require.iter().any(|w| matches!(w, Wall::Namespaces | Wall::Root));
        if can || must { Jail::Namespaces } else { Jail::Container }
    }

    /// A new sandbox under `policy`.
    pub(crate) async fn make(self: &Arc<Self>, policy: Arc<Policy>) -> Result<Sandbox, StartError> {
        self.check_walls(&policy)?;
        let maker = Arc::clone(self);
        let blocking = tokio::task::spawn_blocking({
            let policy = Arc::clone(&policy);
            move || maker.make_blocking(&policy)
        });
        let made = blocking.await.map_err(|e| step("make the sandbox", io::Error::other(e)))??;
        self.finish(made, &policy).map_err(|e| step("attach to the sandbox", e))
    }

    fn make_blocking(&self, policy: &Policy) -> Result<Made, StartError> {
        let image = Image::load(&self.config.images_dir, &policy.image)
            .map_err(|e| StartError::Image { image: policy.image.clone(), what: e.to_string() })?;
        let filters = self.filters(policy)?;
        let jail = self.jail(policy);
        let zygote = if jail == Jail::Namespaces { self.zygote_for(policy, &image) } else { None };
        let origin = if zygote.is_some() { "zygote" } else { "exec" };
        let id = SandboxId::random().map_err(random)?;
        let nonce = random_hex()?;
        let mut undo = Undo::default();

        let directory = self.config.state_dir.join(id.as_str());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|e| step("create the sandbox's directory", e))?;
        undo.directory = Some(directory.clone());
        let outer = self.ids.next();
        let name = id.as_str().to_lowercase();
        let lodging = (jail == Jail::Container)
            .then(|| (image.root.clone(), name.clone(), outer.launcher.0, outer.launcher.1));
        let record = Record { version: 1, nonce: nonce.clone(), lodging };
        record.write(&directory).map_err(|e| step("write the sandbox's record", e))?;
        let listener = listen(&directory).map_err(|e| step("listen on the control socket", e))?;

        let group = self.group(policy, id.as_str())?;
        undo.group.clone_from(&group);
        let doors = group.as_ref().map_or(Ok(Vec::new()), Group::doors);
        let doors = doors.map_err(|e| step("open the cgroup", io::Error::other(e)))?;

        if jail == Jail::Container {
            let (uid, gid) = outer.launcher;
            undo.lodging = Some(Lodging {
                root: image.root.clone(),
                sandbox: name.clone(),
                uid,
                gid,
                launcher: Arc::clone(&self.launcher),
            });
            container::prepare(&image.root, &name, uid, gid).map_err(|e| step(&e.step, e.errno.into()))?;
        }
        let identity = Identity {
            sandbox: name,
            nonce: nonce.clone(),
            machine_id: random_hex()?,
            outer: if zygote.is_some() { outer.zygote } else { outer.launcher },
            privileged: self.ids.privileged(),
            cgroups: doors.len(),
            warm: zygote.is_some(),
            jail,
        };
        let plan = lower::lower(policy, &image, filters, identity);
        let (mut report, theirs) = io::pipe().map_err(|e| step("make a pipe", e))?;
        let mut fds: Vec<RawFd> = vec![listener.as_raw_fd(), theirs.as_raw_fd()];
        fds.extend(doors.iter().map(AsRawFd::as_raw_fd));
        let pidfd = self.order(plan, zygote.as_deref(), &fds)?;
        undo.pidfd = pidfd.try_clone().ok();
        drop((theirs, listener, doors));

        let mut text = Vec::new();
        report.read_to_end(&mut text).map_err(|e| step("read the sandbox's report", e))?;
        match serde_json::from_slice(&text) {
            Ok(Started::Up) => {}
            Ok(Started::Failed { step: what, errno }) => {
                return Err(step(&what, io::Error::from_raw_os_error(errno)));
            }
            Err(_) => {
                return Err(step("start the sandbox", io::Error::other("it died before its walls stood")));
            }
        }
        let stream = connect(&directory).map_err(|e| step("connect to the sandbox", e))?;
        let (stream, hello) =
            Control::attach(stream, &nonce).map_err(|e| step("attach to the sandbox", e))?;
        Ok(Made { id, nonce, stream, hello, origin, image: image.name, undo, pidfd })
    }

    /// The asynchronous end: from here on, the sandbox cleans up behind itself.
    fn finish(&self, made: Made, policy: &Policy) -> io::Result<Sandbox> {
        let Made { id, nonce, stream, hello, origin, image, mut undo, pidfd } = made;
        let egress = match hello.proxy {
            Some(listener) => Some(self.config.egress.serve(id.clone(), policy.network.clone(), listener)?),
            None => None,
        };
        let (sender, gone) = watch::channel(None);
        let control = Control::start(stream, &nonce, move |why| {
            sender.send_replace(Some(why));
        })?;
        let mut walls: Vec<_> = hello.walls.into_iter().collect();
        walls.push(("start".into(), origin.into()));
        walls.push(("image".into(), image));
        let layout = self.groups.as_ref().map_or("none", cgroup::Host::layout);
        walls.push(("cgroup".into(), layout.into()));
        let (directory, group, lodging) = (undo.directory.take(), undo.group.take(), undo.lodging.take());
        undo.pidfd = None;
        if lodging.is_some() {
            walls.push(("jail".into(), "container: user, chroot, Landlock, seccomp; no namespaces".into()));
        }
        let remains = Remains {
            pidfd,
            group: group.clone(),
            directory: directory.unwrap_or_default(),
            egress,
            lodging,
        };
        Ok(Sandbox { id, control, walls, gone, group, remains: Mutex::new(Some(remains)) })
    }

    fn filters(&self, policy: &Policy) -> Result<Vec<Vec<u64>>, StartError> {
        if !policy.isolation.require.contains(&Wall::Seccomp) {
            return Ok(Vec::new());
        }
        let name = &policy.isolation.seccomp;
        self.config.filters.get(name).cloned().ok_or_else(|| {
            step(
                "find the system call list",
                io::Error::new(io::ErrorKind::NotFound, format!("no list named {name}")),
            )
        })
    }

    fn group(&self, policy: &Policy, name: &str) -> Result<Option<Group>, StartError> {
        let Some(host) = &self.groups else { return Ok(None) };
        let resources = &policy.resources;
        // One more for init, which must be able to fork even beside a guest that has used up its own.
        let limits =
            cgroup::Limits { memory: resources.memory, pids: resources.pids + 2, cpu: resources.cpu };
        host.create(name, limits).map(Some).map_err(|e| step("create the cgroup", io::Error::other(e)))
    }

    fn order(&self, plan: Plan, zygote: Option<&Zygote>, fds: &[RawFd]) -> Result<OwnedFd, StartError> {
        let orders = zygote.map_or(&self.launcher.orders, |z| &z.orders);
        let order = Order::Sandbox { plan: Box::new(plan) };
        orders.give(&order, fds).map_err(|e| step("make the sandbox's namespaces", e))
    }

    /// The zygote to fork from, started if there is none. `None` means exec: asked for by the policy, or all that is left.
    fn zygote_for(&self, policy: &Policy, image: &Image) -> Option<Arc<Zygote>> {
        if policy.start == StartMode::Exec || image.zygote.is_none() {
            return None;
        }
        let places = Places::of(Jail::Namespaces, "", &policy.filesystem.workspace);
        let env = lower::environment(image, policy, &places);
        let key = format!("{}\0{}\0{env:?}", image.root.display(), image.name);
        let slot = Arc::clone(lock(&self.zygotes).entry(key).or_default());
        let mut zygote = lock(&slot);
        if let Some(running) = zygote.as_ref() {
            let running = Arc::clone(running);
            if running.counts_child() {
                // The next sandbox starts its successor; the kernel ends this one when its last order has been answered.
                *zygote = None;
            }
            return Some(running);
        }
        let log = self.config.state_dir.join("zygote.log");
        match Zygote::start(&self.launcher, &self.config.zygote_library, image, &env, &self.ids, &log) {
            Ok(started) => {
                let started = Arc::new(started);
                *zygote = Some(Arc::clone(&started));
                Some(started)
            }
            Err(error) => {
                tracing::warn!(image = image.name, %error, log = %log.display(), "no zygote; sandboxes are executed from scratch");
                None
            }
        }
    }

    /// Ends the zygotes.
    pub(crate) fn end_zygotes(&self) {
        lock(&self.zygotes).clear();
    }
}

/// What has been made so far. Dropped before the end, it takes it down again.
#[derive(Default)]
struct Undo {
    directory: Option<PathBuf>,
    group: Option<Group>,
    pidfd: Option<OwnedFd>,
    lodging: Option<Lodging>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(pidfd) = self.pidfd.take()
            && let Err(errno) = cloister_jail::kill(&pidfd)
        {
            tracing::warn!(%errno, "cannot kill a sandbox that did not start");
        }
        if let Some(Err(error)) = self.lodging.take().map(Lodging::clear) {
            tracing::warn!(%error, "storage left behind by a sandbox that did not start");
        }
        if let Some(group) = self.group.take() {
            for left in remove_group(&group) {
                tracing::warn!(left, "left behind by a sandbox that did not start");
            }
        }
        if let Some(directory) = self.directory.take()
            && let Err(error) = fs::remove_dir_all(&directory)
        {
            tracing::warn!(directory = %directory.display(), %error, "left behind by a sandbox that did not start");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn step(what: &str, source: io::Error) -> StartError {
    StartError::Step { step: what.to_owned(), source }
}

fn random(error: getrandom::Error) -> StartError {
    step("get random bytes", io::Error::other(error))
}

fn random_hex() -> Result<String, StartError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// A socket address holds 107 bytes of path, and data directories may be longer: the directory is named by a descriptor.
pub(crate) fn short(directory: &Path) -> io::Result<(fs::File, PathBuf)> {
    let open = fs::File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/ctl.sock", open.as_raw_fd()));
    Ok((open, path))
}

fn listen(directory: &Path) -> io::Result<UnixListener> {
    let (_open, path) = short(directory)?;
    UnixListener::bind(path)
}

pub(crate) fn connect(directory: &Path) -> io::Result<UnixStream> {
    let (_open, path) = short(directory)?;
    UnixStream::connect(path)
}
