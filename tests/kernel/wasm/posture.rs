//! What an engine is to the kernel: nobody, with nothing, who may ask for next to nothing. Whoever broke out of WebAssembly would be there.

use super::wasm;
use cloister_tests::needs;
use cloister_tests::rig::Rig;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const ENGINE: &str = include_str!("../../../policies/seccomp/engine.json");
const AROUND: &str = include_str!("../../../policies/seccomp/wasm.json");

/// The process of the rig's engine; `None` after a skip for users who may not look at it.
fn engine(rig: &Rig) -> Option<i32> {
    if !nix::unistd::geteuid().is_root() {
        needs::skip_unless_root("only root looks at an engine from outside");
        return None;
    }
    let named = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("engine"))
    };
    let found: Vec<i32> = rig.engine_pids().into_iter().filter(named).collect();
    assert_eq!(found.len(), 1, "one engine, and not {found:?}");
    found.first().copied()
}

fn threads(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_nobody_with_no_privilege_two_lists_of_calls_and_no_network_on_every_thread() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let session = rig.session().await;
    session.python("1").await;
    let Some(pid) = engine(&rig) else { return };
    let filters = [AROUND, ENGINE]
        .map(|list| cloister_jail::seccomp::compile(list).unwrap().len())
        .iter()
        .sum::<usize>();
    let threads = threads(pid);
    assert!(threads.len() > 8, "{threads:?}");
    for thread in threads {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).unwrap();
        let field = |name: &str| -> Vec<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect()
        };
        for privileges in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(privileges), ["0000000000000000"], "{privileges}");
        }
        assert_eq!((field("NoNewPrivs"), field("Seccomp")), (vec!["1"], vec!["2"]));
        let standing: usize = field("Seccomp_filters")[0].parse().unwrap();
        assert!(standing >= filters, "{standing} filters stand, and {filters} belong to the two lists");
        let users: BTreeSet<u32> = field("Uid").iter().map(|uid| uid.parse().unwrap()).collect();
        assert!(
            users.len() == 1 && users.iter().all(|&uid| uid >= cloister_jail::plan::FIRST_SANDBOX_ID),
            "{users:?}"
        );
        assert!(field("Groups").len() <= 1, "{:?}", field("Groups"));
    }
    for kind in ["ipc", "mnt", "net", "pid", "user", "uts", "cgroup"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(of("self"), of(&pid.to_string()), "the engine is in the host's {kind} namespace");
    }
    let devices = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let devices: Vec<_> =
        devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(devices, ["lo"]);
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_holds_sockets_and_its_own_sealed_files_and_sees_no_file_of_the_host() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let session = rig.session().await;
    session.python("f = open('f', 'w'); g = open('/lib/python/os.py')").await;
    let Some(pid) = engine(&rig) else { return };
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned();
        let kinds = ["socket:", "pipe:", "anon_inode:[eventpoll]", "/memfd:interpreter", "/proc/"];
        let own = ["/dev/null", "/python.cwasm", "/lib.pack"];
        let expected = kinds.iter().any(|kind| target.starts_with(kind)) || own.contains(&target.as_str());
        assert!(expected, "descriptor {:?} is {target}", entry.file_name());
        if target.starts_with("/proc/") {
            assert!(target.ends_with("/pagemap"), "{target}");
        }
    }
    let root: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/root"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    for absent in ["root", "bin", "sbin", "var", "opt", "work", "boot", "sys"] {
        assert!(!root.contains(absent), "{root:?}");
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(
        !String::from_utf8_lossy(&environment).contains("PATH="),
        "{}",
        String::from_utf8_lossy(&environment)
    );
    session.stop().await;
    rig.end().await;
}

/// Calls that are refused for some arguments only, with such arguments. `name`, then the six.
const ALSO: &[(&str, [u64; 6])] = &[
    // Memory that can be executed.
    ("mmap", [0, 4096, 7, 0x22, u64::MAX, 0]),
    ("mmap", [0, 4096, 5, 0x22, u64::MAX, 0]),
    ("mprotect", [0, 0, 4, 0, 0, 0]),
    ("mprotect", [0, 0, 7, 0, 0, 0]),
    // Processes, and threads in namespaces of their own.
    ("clone", [17, 0, 0, 0, 0, 0]),
    ("clone", [0x1000_0000 | 0x10900, 0, 0, 0, 0, 0]),
    ("clone", [0x4000_0000 | 0x10900, 0, 0, 0, 0, 0]),
    // PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_MM.
    ("prctl", [1, 9, 0, 0, 0, 0]),
    ("prctl", [4, 1, 0, 0, 0, 0]),
    ("prctl", [22, 2, 0, 0, 0, 0]),
    ("prctl", [35, 1, 0, 0, 0, 0]),
    // F_SETOWN, F_SETSIG, F_SETLEASE, F_ADD_SEALS.
    ("fcntl", [3, 8, 1, 0, 0, 0]),
    ("fcntl", [3, 10, 9, 0, 0, 0]),
    ("fcntl", [3, 1024, 0, 0, 0, 0]),
    ("fcntl", [6, 1033, 1, 0, 0, 0]),
    // MSG_OOB.
    ("sendto", [3, 0, 0, 1, 0, 0]),
    ("recvfrom", [3, 0, 0, 1, 0, 0]),
];

/// Calls that the kernel lets pass by every filter since 6.14; in a program that is not traced by it they end the program.
const PAST_EVERY_FILTER: [&str; 2] = ["uretprobe", "uprobe"];

/// Names that the list allows for all or for some arguments.
fn allowed() -> BTreeSet<String> {
    let list: Value = serde_json::from_str(ENGINE).unwrap();
    let rules = list["rules"].as_array().unwrap().iter().filter(|rule| rule["action"] == "allow");
    let calls = rules.flat_map(|rule| rule["calls"].as_array().unwrap().iter());
    calls.map(|call| call.as_str().unwrap().to_owned()).collect()
}

/// Makes system calls in a thread of another process, as code that an attacker has brought in would: the thread waits in one, so its
/// next instruction but one is `syscall`. Gives the errno of each, or 0.
fn inject(thread: i32, calls: &[(String, u64, [u64; 6])]) -> Vec<(String, i32)> {
    let thread = Pid::from_raw(thread);
    let stopped = || match waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap() {
        WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => {}
        other => panic!("the thread did not stop: {other:?}"),
    };
    ptrace::seize(thread, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(thread).unwrap();
    stopped();
    let before = ptrace::getregs(thread).unwrap();
    let mut code = [0; 2];
    let memory = File::open(format!("/proc/{thread}/mem")).unwrap();
    memory.read_exact_at(&mut code, before.rip - 2).unwrap();
    assert_eq!(code, [0x0f, 0x05], "the thread does not wait in a system call");
    let mut answers = Vec::new();
    for (name, number, [a, b, c, d, e, f]) in calls {
        let mut registers = before;
        registers.rip = before.rip - 2;
        registers.rax = *number;
        // No call is under way that the kernel might take up again.
        registers.orig_rax = u64::MAX;
        (registers.rdi, registers.rsi, registers.rdx) = (*a, *b, *c);
        (registers.r10, registers.r8, registers.r9) = (*d, *e, *f);
        ptrace::setregs(thread, registers).unwrap();
        ptrace::step(thread, None).unwrap();
        stopped();
        let answer = ptrace::getregs(thread).unwrap().rax.cast_signed();
        answers.push((
            name.clone(),
            if (-4095..0).contains(&answer) { i32::try_from(-answer).unwrap() } else { 0 },
        ));
    }
    ptrace::setregs(thread, before).unwrap();
    ptrace::detach(thread, None).unwrap();
    answers
}

/// WAS-05: a stand-in for native code of an attacker makes every call that the list does not have, in the engine's own threads.
#[tokio::test(flavor = "multi_thread")]
async fn native_code_in_an_engine_could_open_start_and_reach_nothing() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let session = rig.session().await;
    session.python("x = 1").await;
    let Some(pid) = engine(&rig) else { return };
    let allowed = allowed();
    assert!(allowed.len() < 60, "the list has grown to {} calls", allowed.len());
    let known = cloister_jail::syscalls::X86_64
        .iter()
        .map(|&(name, number)| (name.to_owned(), number.cast_unsigned()));
    let refused =
        known.filter(|(name, _)| !allowed.contains(name) && !PAST_EVERY_FILTER.contains(&name.as_str()));
    let mut calls: Vec<_> = refused.map(|(name, number)| (name, number, [0; 6])).collect();
    assert!(calls.len() > 300, "{}", calls.len());
    let number = |name: &str| cloister_jail::syscalls::number(name).unwrap().cast_unsigned();
    calls.extend(ALSO.iter().map(|&(name, arguments)| (name.to_owned(), number(name), arguments)));
    // What the next kernels bring.
    calls.extend((500..564).map(|number| (format!("call {number}"), number, [0; 6])));
    let waits = |thread: &i32| {
        let call = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).unwrap_or_default();
        call.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .is_some_and(|n: u64| [number("epoll_wait"), number("epoll_pwait")].contains(&n))
    };
    let thread = threads(pid).into_iter().find(waits).expect("a thread of the crew waits");
    let answers = std::thread::spawn(move || inject(thread, &calls)).join().unwrap();
    let wrong: Vec<_> =
        answers.iter().filter(|(_, errno)| ![nix::libc::EPERM, nix::libc::ENOSYS].contains(errno)).collect();
    assert!(wrong.is_empty(), "not refused: {wrong:?}");
    assert!(answers.len() > 360);
    assert_eq!(session.python("x").await.text(), "1", "the engine goes on");
    session.stop().await;
    rig.end().await;
}

/// WAS-08: what is not compiled in cannot be attacked.
#[test]
fn wasmtime_is_built_without_components_other_compilers_threads_and_collectors() {
    let workspace: toml::Value = toml::from_str(include_str!("../../../Cargo.toml")).unwrap();
    let wasmtime = &workspace["workspace"]["dependencies"]["wasmtime"];
    assert_eq!(wasmtime["default-features"].as_bool(), Some(false));
    let features: BTreeSet<&str> =
        wasmtime["features"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    let known = BTreeSet::from(["cranelift", "parallel-compilation", "runtime", "std"]);
    assert_eq!(features, known, "a feature more is an attack surface more: say here why it is needed");
    assert!(
        wasmtime["version"].as_str().is_some_and(|version| version.starts_with("=48.")),
        "the long-term release"
    );
    let lock = include_str!("../../../Cargo.lock");
    for absent in [
        "wasmtime-wasi\"",
        "wasmtime-wasi-http",
        "wasmtime-internal-winch",
        "winch-codegen",
        "wasmtime-internal-component-macro",
    ] {
        assert!(!lock.contains(&format!("name = \"{absent}")), "{absent} is in the lock file");
    }
}
