//! The walls around a browser, and Chromium's own inside of them: read in /proc of every process, and tried.

use cloister_core::SandboxId;
use cloister_core::browser::{BrowserHost, Proxies, UpstreamProxy};
use cloister_core::egress::{EgressCounters, EgressFactory, EgressHandle, HostUse};
use cloister_core::policy::Policy;
use cloister_tests::browser::{Driven, Process, launch, rig, shipped, with_browser};
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Rig, plain};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// The processes of a browser with a page.
async fn processes(browser: &mut Driven) -> Vec<Process> {
    let page = browser.page().await;
    browser.navigate(&page, "data:text/html,<h1>here</h1>").await;
    browser.processes()
}

/// BRW-01, BRW-19: users and privileges of every process.
#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_the_sandboxs_user_in_its_pid_namespace_without_privileges() {
    with_browser(shipped("browser"), async |browser| {
        let all = processes(browser).await;
        assert!(all.len() > 4, "{all:?}");
        let own_uid = all[0].field("Uid");
        for process in &all {
            assert_eq!(process.field("NoNewPrivs"), "1", "{process:?}");
            assert_eq!(process.field("Seccomp"), "2", "{process:?}");
            assert_eq!(process.field("Uid"), own_uid, "{process:?}");
            assert!(process.depth() >= 2, "{process:?}");
            // Inside a user namespace of its own making Chromium keeps what it needs to make the next sandbox.
            if process.depth() == 2 {
                for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                    assert_eq!(process.field(set).trim_matches('0'), "", "{set} of {process:?}");
                }
            }
        }
    })
    .await;
}

/// BRW-01, BRW-19: a renderer's own namespaces, filter and empty root.
#[tokio::test(flavor = "multi_thread")]
async fn renderers_stand_behind_chromiums_own_walls_as_well() {
    with_browser(shipped("browser"), async |browser| {
        let all = processes(browser).await;
        let outer: u32 = all[0].field("Seccomp_filters").parse().unwrap();
        let renderers: Vec<&Process> = all.iter().filter(|p| p.is_renderer()).collect();
        assert!(!renderers.is_empty(), "{all:?}");
        for renderer in renderers {
            // The host's, the sandbox's, the zygote's, its own.
            assert!(renderer.depth() >= 4, "{renderer:?}");
            assert!(renderer.field("Seccomp_filters").parse::<u32>().unwrap() > outer, "{renderer:?}");
            assert_eq!(renderer.field("CapEff").trim_matches('0'), "", "{renderer:?}");
            if nix::unistd::geteuid().is_root() {
                for namespace in ["user", "pid", "net"] {
                    assert_ne!(renderer.namespace(namespace), all[0].namespace(namespace), "{renderer:?}");
                }
                let root = std::fs::read_dir(format!("/proc/{}/root/", renderer.pid));
                assert!(root.is_err() || root.is_ok_and(|entries| entries.count() == 0), "{renderer:?}");
            }
        }
        assert_eq!(browser.wall("chromium_sandbox"), "on: namespaces, seccomp");
        assert_eq!(browser.wall("renderer_seccomp_mode"), "2");
        assert!(browser.wall("renderer_pid_namespaces").parse::<u32>().unwrap() >= 3);
    })
    .await;
}

/// BRW-01: switches that take a wall away or open a port.
#[tokio::test(flavor = "multi_thread")]
async fn no_process_is_told_to_do_without_its_sandbox_or_to_open_a_port() {
    with_browser(shipped("browser"), async |browser| {
        for process in processes(browser).await {
            for word in process.command() {
                let bare = ["--no-sandbox", "--single-process", "--disable-seccomp-filter-sandbox"];
                assert!(!bare.contains(&word.as_str()), "{process:?}");
                assert!(!word.starts_with("--remote-debugging-port"), "{process:?}");
            }
        }
    })
    .await;
}

/// BRW-02: what a page finds if it does get at files.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_page_can_name_are_the_images_and_none_of_the_hosts() {
    with_browser(shipped("browser"), async |browser| {
        let page = browser.page().await;
        browser.navigate(&page, "file:///etc/passwd").await;
        let shown = browser.evaluate(&page, "document.body.innerText").await;
        let users: Vec<&str> =
            shown.as_str().unwrap_or("").lines().filter_map(|l| l.split(':').next()).collect();
        assert_eq!(users, ["root", "agent", "nobody"]);
        // The host's own, which every Debian has.
        browser.navigate(&page, "file:///var/lib/dpkg/status").await;
        let shown = browser.evaluate(&page, "document.body.innerText").await;
        assert!(!shown.as_str().unwrap_or("").contains("Package:"), "{shown}");
        assert!(std::fs::exists("/var/lib/dpkg/status").unwrap());
    })
    .await;
}

/// Holds the listener and serves nobody.
#[derive(Default)]
struct Idle(Mutex<Vec<Proxies>>);

struct Held {
    _listener: TcpListener,
}

impl EgressFactory for Idle {
    fn serve(
        &self,
        _: SandboxId,
        _: &Policy,
        proxies: Proxies,
        listener: TcpListener,
    ) -> std::io::Result<Box<dyn EgressHandle>> {
        self.0.lock().unwrap().push(proxies);
        Ok(Box::new(Held { _listener: listener }))
    }
}

impl EgressHandle for Held {
    fn counters(&self) -> EgressCounters {
        EgressCounters::default()
    }

    fn hosts(&self) -> Vec<HostUse> {
        Vec::new()
    }
}

/// Local addresses of the TCP sockets that listen in the browser's network namespace, as the kernel writes them.
fn listeners(browser: &Driven) -> Vec<String> {
    let all = browser.processes();
    let main = all.iter().find(|p| p.is_browser()).expect("a browser process");
    let tables = ["tcp", "tcp6"].map(|name| {
        std::fs::read_to_string(format!("/proc/{}/net/{name}", main.pid)).expect("the table of sockets")
    });
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 0A is LISTEN.
    fields.filter(|f| f.get(3) == Some(&"0A")).map(|f| f[1].to_owned()).collect()
}

/// BRW-01, BRW-12: a debugging port.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_inside_but_the_way_out_of_a_policy_that_has_one() {
    with_browser(shipped("browser"), async |browser| {
        processes(browser).await;
        assert_eq!(listeners(browser), Vec::<String>::new());
    })
    .await;
    let policy = shipped("browser-open");
    if rig(policy.clone()).is_none() {
        return;
    }
    let Some(rig) = Rig::configured(policy, |config| config.egress = Arc::new(Idle::default())) else {
        return;
    };
    let mut browser = launch(&rig).await;
    let all = processes(&mut browser).await;
    // 127.0.0.1:3128.
    assert_eq!(listeners(&browser), ["0100007F:0C38"]);
    let main = all.iter().find(|p| p.is_browser()).expect("a browser process");
    assert!(main.command().contains(&"--proxy-server=http://127.0.0.1:3128".to_owned()), "{main:?}");
    browser.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxies_of_a_start_reach_its_way_out() {
    let policy = shipped("browser-open");
    if rig(policy.clone()).is_none() {
        return;
    }
    let seen = Arc::new(Idle::default());
    let factory = Arc::clone(&seen);
    let Some(rig) = Rig::configured(policy, |config| config.egress = factory) else { return };
    let upstream = UpstreamProxy { server: "proxy.example".into(), port: 8080, domains: Vec::new() };
    let proxies = Proxies { upstream: vec![upstream], bypass: vec![".direct.example".into()] };
    let chromium = rig.backend.launch(Arc::clone(&rig.policy), proxies.clone()).await.expect("a browser");
    chromium.sandbox.stop(std::time::Duration::from_secs(1)).await;
    assert_eq!(*seen.0.lock().unwrap(), [proxies]);
    drop(chromium);
    rig.end().await;
}

/// What a guest under the browsers' list tries with the user namespace that it may make.
const GAIN: &str = r#"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    return "ok" if libc.syscall(number, *args) >= 0 else errno.errorcode[ctypes.get_errno()]
def sock(*args):
    try:
        socket.socket(*args).close()
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]
USER, NS, NET, PID, UTS, IPC, CGROUP, TIME = 0x10000000, 0x20000, 0x40000000, 0x20000000, 0x4000000, 0x8000000, 0x2000000, 0x80
said = {}
for name, flag in (("ns", NS), ("net", NET), ("uts", UTS), ("ipc", IPC), ("cgroup", CGROUP), ("time", TIME), ("user and ns", USER | NS)):
    said["unshare " + name] = call(272, flag)
for name, flag in (("ns", NS), ("uts", UTS), ("ipc", IPC), ("cgroup", CGROUP)):
    said["clone user and " + name] = call(56, USER | flag | 17, 0, 0, 0, 0)
said["unshare user"] = call(272, USER)
with open("/proc/self/status") as status:
    caps = [line.split()[1] for line in status if line.startswith("CapEff")][0]
said["has capabilities of its own namespace"] = str(int(caps, 16) != 0)
os.makedirs("/workspace/in", exist_ok=True)
said["mount"] = call(165, b"none", b"/workspace/in", b"tmpfs", 0, 0)
said["bind"] = call(165, b"/", b"/workspace/in", 0, 4096, 0)
said["fsopen"] = call(430, b"tmpfs", 0)
said["open_tree"] = call(428, -100, b"/", 1)
said["pivot_root"] = call(155, b".", b".")
said["setns"] = call(308, os.open("/proc/self/ns/user", os.O_RDONLY), 0)
said["ptrace"] = call(101, 0, 0, 0, 0)
said["bpf"] = call(321, 0, 0, 0)
said["keyctl"] = call(250, 0, 0, 0)
said["perf_event_open"] = call(298, 0, 0, -1, -1, 0)
said["userfaultfd"] = call(323, 0)
said["io_uring_setup"] = call(425, 1, 0)
said["sethostname"] = call(170, b"x", 1)
said["mknod"] = call(133, b"/workspace/sda", 0o60666, 0x800)
said["netlink"] = sock(socket.AF_NETLINK, socket.SOCK_RAW, 0)
said["packet"] = sock(socket.AF_PACKET, socket.SOCK_RAW, 0)
said["raw"] = sock(socket.AF_INET, socket.SOCK_RAW, 6)
said["echo"] = sock(socket.AF_INET, socket.SOCK_DGRAM, 1)
said["echo by hand"] = sock(socket.AF_INET, socket.SOCK_RAW, 1)
said["echo of the sixth"] = sock(socket.AF_INET6, socket.SOCK_DGRAM, 58)
said["group membership by hand"] = sock(socket.AF_INET, socket.SOCK_RAW, 2)
said["sctp"] = sock(socket.AF_INET, socket.SOCK_STREAM, 132)
said["udplite"] = sock(socket.AF_INET, socket.SOCK_DGRAM, 136)
said["mptcp"] = sock(socket.AF_INET, socket.SOCK_STREAM, 262)
said["vsock"] = sock(40, socket.SOCK_STREAM, 0)
said["interface flags"] = call(16, socket.socket(socket.AF_INET, socket.SOCK_DGRAM).fileno(), 0x8914, 0)
# Into a directory and out of it by the classic way: what is reached is the image's root.
before = sorted(os.listdir("/"))
inside = os.open("/", os.O_RDONLY)
os.makedirs("/workspace/cage", exist_ok=True)
said["chroot"] = call(161, b"/workspace/cage")
os.fchdir(inside)
for _ in range(50):
    os.chdir("..")
libc.chroot(b".")
said["out of the chroot is the image"] = str(sorted(os.listdir("/")) == before)
try:
    open("/usr/owned", "w").close()
    said["write to the image"] = "ok"
except OSError as e:
    said["write to the image"] = errno.errorcode[e.errno]
print(said)
"#;

/// BRW-19, NET-09: a program in the browser's place, with all that its list allows.
#[tokio::test(flavor = "multi_thread")]
async fn the_user_namespace_that_a_browser_may_make_opens_no_other_door() {
    let mut policy: Policy = plain();
    policy.isolation.seccomp = "seccomp/browser.json".into();
    in_session(policy, async |session| {
        // In a process of its own: the interpreter stays as it is.
        let file = [("gain.py", GAIN.as_bytes())];
        session.write(&file).await.unwrap();
        let ran = session.shell("python3 gain.py").await;
        let lines: Vec<&str> = ran.stdout.trim().trim_matches(['{', '}']).split(", ").collect();
        assert!(lines.len() > 30, "{ran:?}");
        for line in lines {
            let (what, answer) = line.split_once(": ").unwrap();
            let expected: &[&str] = match what.trim_matches('\'') {
                "unshare user" | "chroot" => &["ok"],
                "has capabilities of its own namespace" | "out of the chroot is the image" => &["True"],
                "io_uring_setup" => &["ENOSYS"],
                "write to the image" => &["EROFS", "EACCES"],
                _ => &["EPERM"],
            };
            assert!(expected.contains(&answer.trim_matches('\'')), "{line}");
        }
    })
    .await;
}
