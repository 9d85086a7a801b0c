//! Policy and image to a plan: pure, and complete before anything happens.

use crate::allowed;
use crate::image::Image;
use crate::wasm::WASM_TIER;
use cloister_core::egress::Provisions;
use cloister_core::policy::{
    Filesystem, Isolation, Languages, NetworkMode, Output, Policy, Resources, StartMode, Time, Wall,
};
use cloister_jail::plan::{
    BrowserProgram, EngineProgram, Jail, Limits, NOTICES, PROXY_PORT, Plan, Programs, TRUSTED, VERSION, World,
};
use cloister_jail::setup::container;
use std::time::Duration;

pub(crate) use cloister_core::policy::BROWSER_TIER;

/// Background commands at once per session.
const TASKS: u32 = 16;
/// The tier of policies whose sessions are processes that run code.
pub(crate) const PROCESS_TIER: &str = "process";
/// Directory for shared memory, where a sandbox has mounts of its own.
pub(crate) const SHARED: &str = "/dev/shm";
/// Home directory; a mount point of every image.
const HOME: &str = "/home/agent";

/// What lowering needs besides policy and image.
pub(crate) struct Identity {
    /// The sandbox's id.
    pub(crate) sandbox: String,
    /// Its secret for the control channel.
    pub(crate) nonce: String,
    /// Its machine id.
    pub(crate) machine_id: String,
    /// Kernel user and group id, as the process that executes the plan sees them.
    pub(crate) outer: (u32, u32),
    /// Whether that process may map any id.
    pub(crate) privileged: bool,
    /// How many cgroup descriptors go with the plan.
    pub(crate) cgroups: usize,
    /// Whether the interpreter comes warm from a zygote.
    pub(crate) warm: bool,
    /// How long it waits for a server that has gone.
    pub(crate) orphan: Duration,
    /// What the walls are made of.
    pub(crate) jail: Jail,
    /// What its programs need for the way out.
    pub(crate) provisions: Provisions,
}

impl Places {
    /// The working directory.
    pub(crate) fn workspace(&self) -> &str {
        &self.workspace
    }

    /// The home directory.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// Whether they are mounts of the sandbox's own.
    pub(crate) fn mounted(&self) -> bool {
        self.tmp == "/tmp"
    }

    /// The places in which the session may write.
    pub(crate) fn writable(&self) -> [&str; 3] {
        [&self.workspace, &self.home, &self.tmp]
    }

    /// The same, with shared memory. The wasm tier has none, and a container that of all its sessions.
    pub(crate) fn listed(&self, tier: &str) -> Vec<String> {
        let shared = (tier != WASM_TIER && self.mounted()).then_some(SHARED);
        self.writable().into_iter().chain(shared).map(str::to_owned).collect()
    }
}

/// Where a session's writable places are, as the guest names them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    workspace: String,
    home: String,
    tmp: String,
    /// Where it finds what it is told of itself.
    notices: String,
}

impl Places {
    /// Mounted in the usual places, or, where nothing can be mounted, directories of the session's own.
    pub(crate) fn of(jail: Jail, sandbox: &str, workspace: &str) -> Self {
        match jail {
            Jail::Namespaces => Self {
                workspace: workspace.into(),
                home: HOME.into(),
                tmp: "/tmp".into(),
                notices: NOTICES.into(),
            },
            Jail::Container => {
                let own = container::storage(sandbox);
                Self {
                    workspace: format!("{own}/workspace"),
                    home: format!("{own}/home"),
                    tmp: format!("{own}/tmp"),
                    notices: container::notices(sandbox),
                }
            }
        }
    }
}

/// The places in which a session may write, as its programs name them; everything else is read-only, or not there. (Where nothing can
/// be mounted they are directories of the session's own, under other names.)
pub fn writable(policy: &Policy) -> Vec<String> {
    Places::of(Jail::Namespaces, "", &policy.filesystem.workspace).listed(&policy.tier)
}

/// The plan of one sandbox.
///
/// Every struct is taken apart without `..`: a new policy field does not compile until somebody decides here.
pub(crate) fn lower(policy: &Policy, image: &Image, filters: Vec<Vec<u64>>, who: Identity) -> Plan {
    let Policy {
        name: _,
        description: _,
        tier,
        image: _,
        start,
        network,
        packages: _,
        secrets: _, // given out by whoever serves the way out
        resources,
        filesystem,
        time,
        languages,
        output,
        browser: _,   // kept by the server, outside of the sandbox
        snapshots: _, // of the wasm tier only
        audit: _,     // kept by the server
        isolation,
    } = policy;
    let Resources { memory, cpu: _, pids, open_files } = resources; // cpu: by cgroup only
    let Filesystem { disk, inodes, max_file, exec, workspace } = filesystem;
    let Time { session_default: _, session_max, call: _, grace, task } = time;
    let Languages { runtimes, shell } = languages;
    let Output { stream, display, displays, figures: _, files: _, files_max, text: _ } = output;
    let Isolation { require, seccomp: _ } = isolation;
    let Identity { sandbox, nonce, machine_id, outer, privileged, cgroups, warm, orphan, jail, provisions } =
        who;

    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let runners = image.runners.iter().filter(|(name, _)| runtimes.contains(name));
    let eager = runtimes.iter().find(|r| *r == "python" && image.runners.contains_key(*r)).cloned();
    let proxy = network.mode != NetworkMode::None;
    let places = Places::of(jail, &sandbox, workspace);
    Plan {
        version: VERSION,
        sandbox,
        nonce,
        machine_id,
        world: World {
            root: image.root.clone(),
            outer_uid: outer.0,
            outer_gid: outer.1,
            privileged,
            storage_bytes: *disk,
            storage_inodes: *inodes,
            storage_exec: *exec,
            env: environment(image, policy, &places, &provisions),
            // An engine hands its sessions theirs; a container's are laid by `maker.rs`.
            notices: if tier != WASM_TIER && jail == Jail::Namespaces {
                allowed::notices(policy, image, &places, &provisions)
            } else {
                Vec::new()
            },
            trust: provisions.trust,
            workspace: places.workspace,
            home: places.home,
            tmp: places.tmp,
        },
        jail,
        limits: Limits {
            // Below the group's limit, so that a runaway allocation meets MemoryError before the killer.
            cell_memory: memory / 10 * 9,
            // Init counts as one. Where the group has the limit it must be met first: the group counts its refusals, and only so can
            // the answer name the limit. Twice as many, since a fork counts here from its beginning and in the group at its end: in a
            // bomb, each process has one under way.
            pids: if cgroups > 0 { pids.saturating_mul(2) } else { pids + 1 },
            open_files: *open_files,
            file_bytes: *max_file,
            stream: *stream,
            display: *display,
            displays: *displays,
            files: *files_max,
            grace_ms: millis(*grace),
            task_ms: millis(*task),
            tasks: TASKS,
        },
        programs: Programs {
            runners: runners.map(|(name, runner)| (name.clone(), runner.clone())).collect(),
            shell: if *shell { image.shell.clone() } else { Vec::new() },
            eager: eager.filter(|_| warm || *start != StartMode::Exec || runtimes.len() == 1),
            browser: image.browser.as_ref().filter(|_| tier == BROWSER_TIER).map(|argv| browser(argv, proxy)),
            engine: image.wasm.as_ref().filter(|_| tier == WASM_TIER).map(|_| engine()),
        },
        filters,
        landlock: require.contains(&Wall::Landlock),
        proxy,
        cgroups,
        ttl_ms: millis(*session_max),
        orphan_ms: millis(orphan),
        #[cfg(debug_assertions)]
        missing: None,
    }
}

/// The engine's program: in the root that [`crate::wasm`] has had made.
fn engine() -> EngineProgram {
    EngineProgram { argv: vec!["/engine".into(), "serve".into()] }
}

/// The browser's program. What a client says never becomes an argument.
fn browser(argv: &[String], proxy: bool) -> BrowserProgram {
    let mut argv = argv.to_vec();
    if proxy {
        // Before the last, which is the first page. `<-loopback>`: loopback addresses, too, are judged by the proxy and not dialled inside.
        let place = argv.len().saturating_sub(1).max(1).min(argv.len());
        let flags = [
            format!("--proxy-server=http://127.0.0.1:{PROXY_PORT}"),
            "--proxy-bypass-list=<-loopback>".into(),
        ];
        argv.splice(place..place, flags);
    }
    BrowserProgram { argv }
}

/// The environment of guest programs: the image's, the places, and the proxy if there is one. Nothing of the server's.
pub(crate) fn environment(
    image: &Image,
    policy: &Policy,
    places: &Places,
    provisions: &Provisions,
) -> Vec<(String, String)> {
    let mut env = image.env.clone();
    env.extend(provisions.env.iter().cloned());
    // Read by the image's pip, which explains a missing network in a sentence instead of failing on a name that does not resolve.
    env.insert("CLOISTER_NETWORK".into(), policy.network.mode.name().into());
    env.insert("CLOISTER_POLICY".into(), policy.name.clone());
    if policy.tier != BROWSER_TIER {
        env.insert("CLOISTER_ALLOWED".into(), format!("{}/{}", places.notices, allowed::TEXT));
    }
    if places.home != HOME {
        // The image's variables name the usual home: caches, tools that pip and npm install.
        for value in env.values_mut() {
            *value = value.replace(HOME, &places.home);
        }
    }
    for (name, value) in [
        ("HOME", places.home.as_str()),
        ("USER", "agent"),
        ("LOGNAME", "agent"),
        ("PWD", &places.workspace),
        ("TMPDIR", &places.tmp),
    ] {
        env.insert(name.into(), value.into());
    }
    if policy.network.mode != NetworkMode::None {
        let url = format!("http://127.0.0.1:{PROXY_PORT}");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            env.insert(name.into(), url.clone());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            env.insert(name.into(), "localhost,127.0.0.1,::1".into());
        }
        // Node 24 reads the proxy variables only when it is told to.
        env.insert("NODE_USE_ENV_PROXY".into(), "1".into());
        // It brings certificates of its own, without those that a site has added to the image.
        env.insert("NODE_EXTRA_CA_CERTS".into(), TRUSTED.into());
        env.insert("GIT_SSL_CAINFO".into(), TRUSTED.into());
    }
    env.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::policy::Policy;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn image() -> Image {
        let runner = cloister_jail::plan::Runner {
            argv: vec!["/usr/bin/python3".into()],
            interrupt: cloister_jail::plan::Interrupt::Signal,
        };
        Image {
            name: "test".into(),
            description: String::new(),
            digest: String::new(),
            artifact: None,
            root: PathBuf::from("/image"),
            runners: BTreeMap::from([("python".to_owned(), runner.clone()), ("nodejs".to_owned(), runner)]),
            shell: vec!["/bin/bash".into()],
            browser: Some(vec!["/chromium".into(), "--remote-debugging-pipe".into(), "about:blank".into()]),
            wasm: None,
            env: BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]),
            zygote: None,
        }
    }

    fn plan(policy: &Policy) -> Plan {
        let who = Identity {
            sandbox: "s".into(),
            nonce: "n".into(),
            machine_id: "m".into(),
            outer: (1, 1),
            privileged: false,
            cgroups: 0,
            warm: false,
            orphan: Duration::from_secs(60),
            jail: Jail::Namespaces,
            provisions: Provisions::default(),
        };
        lower(policy, &image(), Vec::new(), who)
    }

    #[test]
    fn without_a_network_there_is_no_proxy_and_no_variable_that_names_one() {
        let plan = plan(&Policy::built_in("test"));
        assert!(!plan.proxy);
        assert!(plan.world.env.iter().all(|(name, _)| !name.to_lowercase().contains("proxy")));
    }

    #[test]
    fn the_policy_decides_over_the_image_what_can_be_started() {
        let mut policy = Policy::built_in("test");
        policy.languages.runtimes = vec!["nodejs".into()];
        policy.languages.shell = false;
        let plan = plan(&policy);
        assert_eq!(plan.programs.runners.keys().collect::<Vec<_>>(), ["nodejs"]);
        assert!(plan.programs.shell.is_empty());
    }

    #[test]
    fn only_a_browser_policy_starts_the_images_browser_and_only_a_network_gives_it_a_proxy() {
        let mut policy = Policy::built_in("test");
        assert!(plan(&policy).programs.browser.is_none());
        policy.tier = BROWSER_TIER.into();
        let argv = |policy: &Policy| plan(policy).programs.browser.unwrap().argv;
        assert_eq!(argv(&policy), ["/chromium", "--remote-debugging-pipe", "about:blank"]);
        policy.network.mode = NetworkMode::Open;
        let open = argv(&policy);
        assert_eq!(open.first().map(String::as_str), Some("/chromium"));
        assert_eq!(open.last().map(String::as_str), Some("about:blank"));
        assert!(open.contains(&"--proxy-server=http://127.0.0.1:3128".to_owned()), "{open:?}");
        assert!(open.contains(&"--proxy-bypass-list=<-loopback>".to_owned()), "{open:?}");
    }

    #[test]
    fn an_image_cannot_choose_the_home_directory() {
        let plan = plan(&Policy::built_in("test"));
        assert!(plan.world.env.contains(&("HOME".to_owned(), HOME.to_owned())));
    }
}
