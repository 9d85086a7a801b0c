//! Makes sandboxes: intent on disk, cgroup, order to zygote or launcher, report, greeting; undone in reverse if a step fails.
//!
//! ```text
//!   directory + record ─▶ ctl.sock ─▶ cgroup ─▶ Order{Plan} ─▶ report pipe ─▶ attach ─▶ egress ─▶ Sandbox
//! ```
//!
//! Every step leaves what it has made in [`Remains`], which takes it down unless it ends up in a [`Sandbox`].

use crate::allowed;
use crate::backend::ProcessConfig;
use crate::control::{Control, End};
use crate::ids::{Ids, Outer};
use crate::image::Image;
use crate::launcher::Launcher;
use crate::lower::{self, Identity, Places};
use crate::orders::OrderError;
use crate::precedence::Precedence;
use crate::reconcile::Record;
use crate::remains::{Lodging, Remains};
use crate::report;
use crate::sandbox::Sandbox;
use crate::walls;
use crate::zygote::{Zygote, Zygotes};
use cloister_core::SandboxId;
use cloister_core::backend::{Provenance, StartError};
use cloister_core::browser::Proxies;
use cloister_core::egress::Provisions;
use cloister_core::policy::{Policy, StartMode, Wall};
use cloister_jail::cgroup::{self, Group};
use cloister_jail::plan::{Jail, Order, Plan, Started};
use cloister_jail::probe::Finding;
use cloister_jail::setup::container;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, PipeReader};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// Everything that making a sandbox needs.
pub(crate) struct Maker {
    /// System call filters by the name of their list; taken out of the configuration, since they can be exchanged.
    filters: RwLock<HashMap<String, Vec<Vec<u64>>>>,
    pub(crate) config: ProcessConfig,
    pub(crate) launcher: Arc<Launcher>,
    pub(crate) groups: Option<cgroup::Host>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) zygotes: Zygotes,
    /// Of clients over pools; whoever makes keeps to it.
    pub(crate) precedence: Precedence,
    ids: Ids,
    /// A wall that every sandbox goes without.
    #[cfg(debug_assertions)]
    pub(crate) missing: std::sync::OnceLock<cloister_jail::plan::Missing>,
}

/// Whether a sandbox may be forked from a zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fork {
    IfPossible,
    No,
}

/// Why an attempt came to nothing.
enum Failure {
    /// The launcher or the zygote was lost over it. The next attempt does not meet it.
    Lost(OrderError),
    Start(StartError),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(error) => step(ORDER, error.into()),
            Failure::Start(error) => error,
        }
    }
}

/// The step that an order is.
const ORDER: &str = "make the sandbox's processes";

/// What a new sandbox is called, and who it is.
struct Birth {
    id: SandboxId,
    /// The same in small letters: its host name, and its directory in the image of a container.
    name: String,
    nonce: String,
    outer: Outer,
    jail: Jail,
}

impl Maker {
    pub(crate) fn new(
        mut config: ProcessConfig,
        launcher: Arc<Launcher>,
        groups: Option<cgroup::Host>,
        findings: Vec<Finding>,
    ) -> Self {
        Self {
            filters: RwLock::new(std::mem::take(&mut config.filters)),
            config,
            launcher,
            groups,
            findings,
            zygotes: Zygotes::default(),
            precedence: Precedence::new(),
            ids: Ids::new(),
            #[cfg(debug_assertions)]
            missing: std::sync::OnceLock::new(),
        }
    }

    /// A new sandbox under `policy`. Given up half-way, it is finished in the background and taken down there.
    pub(crate) async fn make(self: &Arc<Self>, policy: Arc<Policy>) -> Result<Sandbox, StartError> {
        self.make_with(policy, Proxies::default()).await
    }

    /// The same with upstream proxies behind its way out.
    pub(crate) async fn make_with(
        self: &Arc<Self>,
        policy: Arc<Policy>,
        proxies: Proxies,
    ) -> Result<Sandbox, StartError> {
        self.make_of(policy, proxies, None).await
    }

    /// The same from an image that has been loaded already.
    pub(crate) async fn make_from(
        self: &Arc<Self>,
        policy: Arc<Policy>,
        image: Image,
    ) -> Result<Sandbox, StartError> {
        self.make_of(policy, Proxies::default(), Some(image)).await
    }

    async fn make_of(
        self: &Arc<Self>,
        policy: Arc<Policy>,
        proxies: Proxies,
        image: Option<Image>,
    ) -> Result<Sandbox, StartError> {
        walls::check(&self.findings, &policy)?;
        let maker = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || maker.make_blocking(&policy, &proxies, image)).await;
        made.map_err(|e| step("make the sandbox", io::Error::other(e)))?
    }

    fn make_blocking(
        &self,
        policy: &Policy,
        proxies: &Proxies,
        image: Option<Image>,
    ) -> Result<Sandbox, StartError> {
        let image = image.map_or_else(|| Image::load(&self.config.images_dir, &policy.image), Ok);
        let image =
            image.map_err(|e| StartError::Image { image: policy.image.clone(), what: e.to_string() })?;
        match self.attempt(policy, proxies, &image, Fork::IfPossible) {
            Err(Failure::Lost(error)) => {
                tracing::warn!(%error, "what was begun of a sandbox is taken down, and it is made anew, from scratch");
                Ok(self.attempt(policy, proxies, &image, Fork::No)?)
            }
            other => Ok(other?),
        }
    }

    /// One attempt, which leaves nothing if it fails.
    fn attempt(
        &self,
        policy: &Policy,
        proxies: &Proxies,
        image: &Image,
        fork: Fork,
    ) -> Result<Sandbox, Failure> {
        let filters = self.filters(policy)?;
        let jail = walls::jail(&self.findings, policy);
        let may_fork = jail == Jail::Namespaces && fork == Fork::IfPossible;
        let zygote = if may_fork { self.zygote_for(policy, image) } else { None };
        let birth = self.birth(jail)?;
        let mut remains = Remains::default();
        let listener = self.intend(&birth, image, &mut remains)?;
        let provisions = self.config.egress.provisions(policy);
        let doors = self.furnish(&birth, policy, image, &provisions, &mut remains)?;
        let identity = Identity {
            sandbox: birth.name.clone(),
            nonce: birth.nonce.clone(),
            machine_id: random_hex()?,
            outer: if zygote.is_some() { birth.outer.zygote } else { birth.outer.launcher },
            privileged: self.ids.privileged(),
            cgroups: doors.len(),
            warm: zygote.is_some(),
            orphan: self.config.orphan,
            jail,
            provisions,
        };
        let plan = lower::lower(policy, image, filters, identity);
        #[cfg(debug_assertions)]
        let plan = Plan { missing: self.missing.get().copied(), ..plan };
        let pipe = self.order(plan, zygote.as_deref(), listener, doors, &mut remains)?;
        stand(report::read(pipe, report::PATIENCE))?;
        let mut sandbox = self.attach(birth, policy, proxies, remains)?;
        let origin = if zygote.is_some() { "zygote" } else { "exec" };
        sandbox.walls.push(("start".into(), origin.into()));
        sandbox.walls.push(("image".into(), image.name.clone()));
        let digest = Some(image.digest.clone()).filter(|digest| !digest.is_empty());
        sandbox.provenance = Provenance { image: digest, artifact: image.artifact.clone() };
        Ok(sandbox)
    }

    fn birth(&self, jail: Jail) -> Result<Birth, StartError> {
        let id = SandboxId::random().map_err(random)?;
        let name = id.as_str().to_lowercase();
        Ok(Birth { id, name, nonce: random_hex()?, outer: self.ids.next(), jail })
    }

    /// What is on disk before the first kernel object exists: a directory with the way to speak to the sandbox, and where it lives.
    fn intend(
        &self,
        birth: &Birth,
        image: &Image,
        remains: &mut Remains,
    ) -> Result<UnixListener, StartError> {
        let directory = self.config.state_dir.join(birth.id.as_str());
        let made = fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|e| step("create the sandbox's directory", e))?;
        remains.directory = Some(directory.clone());
        let (uid, gid) = birth.outer.launcher;
        let lodging =
            (birth.jail == Jail::Container).then(|| (image.root.clone(), birth.name.clone(), uid, gid));
        let cgroups = self.groups.as_ref().map(|host| host.existing(birth.id.as_str()).directories());
        let record =
            Record { version: 1, nonce: birth.nonce.clone(), lodging, cgroups: cgroups.unwrap_or_default() };
        record.write(&directory).map_err(|e| step("write the sandbox's record", e))?;
        listen(&directory).map_err(|e| step("listen on the control socket", e))
    }

    /// Its cgroup, whose doors are returned, and the storage of one that cannot mount any.
    fn furnish(
        &self,
        birth: &Birth,
        policy: &Policy,
        image: &Image,
        provisions: &Provisions,
        remains: &mut Remains,
    ) -> Result<Vec<OwnedFd>, StartError> {
        remains.group = self.group(policy, birth.id.as_str())?;
        if birth.jail == Jail::Container {
            let (uid, gid) = birth.outer.launcher;
            let (root, sandbox) = (image.root.clone(), birth.name.clone());
            let launcher = Arc::clone(&self.launcher);
            remains.lodging = Some(Lodging { root, sandbox, uid, gid, launcher });
            let places = Places::of(birth.jail, &birth.name, &policy.filesystem.workspace);
            let told = allowed::notices(policy, image, &places, provisions);
            container::prepare(&image.root, &birth.name, (uid, gid), &told)
                .map_err(|e| step(&e.step, e.errno.into()))?;
        }
        let doors = remains.group.as_ref().map_or(Ok(Vec::new()), Group::doors);
        doors.map_err(|e| step("open the cgroup", io::Error::other(e)))
    }

    /// Has its processes made. Returns the pipe on which the sandbox reports.
    fn order(
        &self,
        plan: Plan,
        zygote: Option<&Zygote>,
        listener: UnixListener,
        doors: Vec<OwnedFd>,
        remains: &mut Remains,
    ) -> Result<PipeReader, Failure> {
        let (pipe, theirs) = io::pipe().map_err(|e| step("make a pipe", e))?;
        let mut fds: Vec<RawFd> = vec![listener.as_raw_fd(), theirs.as_raw_fd()];
        fds.extend(doors.iter().map(AsRawFd::as_raw_fd));
        let order = Order::Sandbox { plan: Box::new(plan) };
        let given = match zygote {
            Some(zygote) => zygote.orders.give(&order, &fds),
            None => self.launcher.give(&order, &fds),
        };
        remains.pidfd = Some(given.map_err(|error| match error {
            OrderError::Refused(source) => Failure::Start(step(ORDER, source)),
            lost @ OrderError::Broken(_) => Failure::Lost(lost),
        })?);
        Ok(pipe)
    }

    /// Speaks to a sandbox whose walls stand. Inside the runtime.
    fn attach(
        &self,
        birth: Birth,
        policy: &Policy,
        proxies: &Proxies,
        mut remains: Remains,
    ) -> Result<Sandbox, StartError> {
        let failed = |e| step("attach to the sandbox", e);
        let stream = connect(remains.directory.as_deref().unwrap_or(Path::new(""))).map_err(failed)?;
        let (stream, hello) = Control::attach(stream, &birth.nonce).map_err(failed)?;
        if let Some(listener) = hello.proxy {
            let served = self.config.egress.serve(birth.id.clone(), policy, proxies.clone(), listener);
            remains.egress = Some(served.map_err(|e| step("serve the sandbox's way out", e))?);
        }
        let (sender, gone) = watch::channel(None);
        let gauges = remains.group.as_ref().map(|group| Arc::new(group.gauges()));
        let measured = gauges.clone();
        let told = move |end: End| {
            let out_of_memory = end.killed && measured.is_some_and(|gauges| gauges.usage().oom_kills > 0);
            let memory = if out_of_memory { "; the session had reached its memory limit" } else { "" };
            sender.send_replace(Some(end.why + memory));
        };
        let control = Control::start(stream, &birth.nonce, told).map_err(failed)?;
        let mut walls: Vec<_> = hello.walls.into_iter().collect();
        walls.push(("cgroup".into(), self.groups.as_ref().map_or("none", cgroup::Host::layout).into()));
        if birth.jail == Jail::Container {
            walls.push(("jail".into(), "container: user, chroot, Landlock, seccomp; no namespaces".into()));
        }
        let (browser, engine) = (Mutex::new(hello.browser), Mutex::new(hello.engine));
        Ok(Sandbox {
            id: birth.id,
            control,
            walls,
            provenance: Provenance::default(),
            writable: Places::of(birth.jail, &birth.name, &policy.filesystem.workspace).listed(&policy.tier),
            gone,
            browser,
            engine,
            gauges,
            remains: Mutex::new(Some(remains)),
        })
    }

    /// Other system call lists from now on; returns the names of those that are not what they were.
    pub(crate) fn renew_filters(&self, filters: HashMap<String, Vec<Vec<u64>>>) -> HashSet<String> {
        // A poisoned lock is no danger: the only write is this exchange of a finished table.
        let mut current = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, filters);
        let differs = |name: &&String| old.get(*name) != current.get(*name);
        old.keys().chain(current.keys()).filter(differs).cloned().collect()
    }

    fn filters(&self, policy: &Policy) -> Result<Vec<Vec<u64>>, StartError> {
        if !policy.isolation.require.contains(&Wall::Seccomp) {
            return Ok(Vec::new());
        }
        let name = &policy.isolation.seccomp;
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no list named {name}"));
        let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        filters.ok_or_else(|| step("find the system call list", missing()))
    }

    fn group(&self, policy: &Policy, name: &str) -> Result<Option<Group>, StartError> {
        let Some(host) = &self.groups else { return Ok(None) };
        let resources = &policy.resources;
        // One more for init.
        let limits =
            cgroup::Limits { memory: resources.memory, pids: resources.pids + 1, cpu: resources.cpu };
        host.create(name, limits).map(Some).map_err(|e| step("create the cgroup", io::Error::other(e)))
    }

    /// The zygote to fork from, started if there is none. `None` means exec: asked for by the policy, or all that is left.
    fn zygote_for(&self, policy: &Policy, image: &Image) -> Option<Arc<Zygote>> {
        if policy.start == StartMode::Exec || image.zygote.is_none() {
            return None;
        }
        let places = Places::of(Jail::Namespaces, "", &policy.filesystem.workspace);
        let provisions = self.config.egress.provisions(policy);
        let env = lower::environment(image, policy, &places, &provisions);
        let key = format!("{}\0{}\0{env:?}", image.root.display(), image.name);
        let log = self.config.state_dir.join("zygote.log");
        let (launcher, library) = (&self.launcher, &self.config.zygote_library);
        let start = || Zygote::start(launcher, library, image, &env, &self.ids, &log);
        self.zygotes.get(&key, start).unwrap_or_else(|error| {
            tracing::warn!(image = image.name, %error, log = %log.display(), "no zygote; sandboxes are executed from scratch");
            None
        })
    }
}

/// What the sandbox says of its walls.
fn stand(report: io::Result<Option<Started>>) -> Result<(), StartError> {
    match report.map_err(|e| step("read the sandbox's report", e))? {
        Some(Started::Up) => Ok(()),
        Some(Started::Failed { step: what, errno }) => Err(step(&what, io::Error::from_raw_os_error(errno))),
        None => Err(step("start the sandbox", io::Error::other("it died before its walls stood"))),
    }
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
