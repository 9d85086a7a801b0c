//! PRC: what /proc, /sys and /dev tell.

use super::{Attack, Verdicts, attack, warm};
use cloister_tests::rig::{Rig, plain};
use std::collections::BTreeSet;

const GUEST: &str = include_str!("../guests/prc.py");
const NEWBORN: &str = include_str!("../guests/newborn.c");
const MEMORY: &str = include_str!("../guests/memory.py");

/// Files of /proc that say something, in a sandbox on any kernel. They speak of the machine as a whole (its processor, load and memory),
/// which programs size their pools by. What is not here is covered or closed.
const SPEAKING: [&str; 29] = [
    "buddyinfo",
    "cgroups",
    "consoles",
    "cpuinfo",
    "crypto",
    "devices",
    "diskstats",
    "dma",
    "fb",
    "filesystems",
    "loadavg",
    "locks",
    "mdstat",
    "meminfo",
    "misc",
    "mounts",
    "partitions",
    "schedstat",
    "softirqs",
    "stat",
    "swaps",
    "uptime",
    "version",
    "version_signature",
    "vmstat",
    "zoneinfo",
    "allocinfo",
    "kpagecgroup",
    "mtrr",
];

async fn guest(attack: &Attack, function: &str) -> Verdicts {
    attack.verdicts(&format!("{GUEST}\n{function}()\nverdicts()")).await
}

/// The nonce of a session's control channel, from the server's record of it.
fn nonce(rig: &Rig, session: &cloister_tests::rig::Session) -> String {
    let record = rig
        .directory
        .path()
        .join("sandboxes")
        .join(session.interpreter.sandbox().as_str())
        .join("record.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    record["nonce"].as_str().unwrap().to_owned()
}

/// Whether a variable is one that this process has and no session: what cargo sets, and what `test-as-user.sh` does.
fn of_server(name: &str) -> bool {
    name.starts_with("CARGO") || name.starts_with("SERVER")
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// PRC-01: processes of the host, of other sessions, and init.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_sessions_own_processes_are_there_and_init_is_not_among_them() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "processes").await;
            assert_eq!(v.get("seen"), v.get("listed"), "a process can be reached that is not listed");
            let seen: Vec<i32> = serde_json::from_str(v.get("seen")).unwrap();
            assert!(seen.len() == 1 && seen != [1], "processes of others: {v:?}");
            for (_, uids) in v.0.iter().filter(|(name, _)| name.starts_with("uid")) {
                assert_eq!(uids, "65532\t65532\t65532\t65532");
            }
            v.refused("init", &["ENOENT"]);
        })
        .await;
    }
}

/// PRC-01: a program that init is starting is a copy of init until its exec, and guests know the next pid.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_being_started_cannot_be_read_while_it_is_a_copy_of_init() {
    attack(plain(), async |a| {
        if !a.program("newborn", NEWBORN).await {
            return;
        }
        let wanted = reversed(&nonce(&a.rig, &a.session)[16..]);
        let watcher = a.session.start_task(&format!("./newborn {wanted} 2")).await;
        let mut started = 0;
        while a.session.get_task(&watcher.id).await.exit_code.is_none() {
            let task = a.session.start_task("true").await;
            a.session.ended_task(&task.id).await;
            started += 1;
        }
        let said = String::from_utf8(a.session.get_task(&watcher.id).await.stdout.to_vec()).unwrap();
        let (reads, copies) = said.trim().split_once(' ').unwrap();
        assert!(started > 5 && reads != "0", "the test has watched nothing: {started} starts, {said}");
        assert_eq!(copies, "0", "memory of init was read");
    })
    .await;
}

/// PRC-02: secrets in the environment and in the memory that an interpreter inherits, its own session's and its neighbour's.
#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_inherits_no_secret_and_no_variable_of_the_server() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let neighbour = a.rig.session().await;
            // Half a nonce: the allocator writes its own pointers over the beginning of freed memory.
            let needles: Vec<String> =
                [&a.session, &neighbour].iter().map(|s| reversed(&nonce(&a.rig, s)[16..])).collect();
            let neighbours_id = reversed(&neighbour.interpreter.sandbox().as_str().to_lowercase());
            let state = reversed(&a.rig.directory.path().display().to_string());
            let needles: Vec<&str> =
                needles.iter().chain([&neighbours_id, &state]).map(String::as_str).collect();
            for session in [&neighbour, &a.session] {
                let needles = if std::ptr::eq(session, &a.session) { &needles[..] } else { &needles[..2] };
                let search = format!(
                    "{}\nNEEDLES = {needles:?}\n{MEMORY}\nsearch(NEEDLES)\nverdicts()",
                    super::PRELUDE
                );
                let v = Verdicts::of(&session.python(&search).await);
                assert_eq!(v.0.keys().collect::<Vec<_>>(), ["searched"], "{v:?}");
            }
            let foreign: Vec<String> =
                std::env::vars().map(|(name, _)| name).filter(|name| of_server(name)).collect();
            let shown =
                a.shell("env; cat /proc/self/environ; cat /proc/*/environ | tr '\\0' '\\n'").await.stdout;
            assert!(
                !foreign.is_empty() && foreign.iter().all(|name| !shown.contains(name.as_str())),
                "{shown}"
            );
            neighbour.stop().await;
        })
        .await;
    }
}

/// PRC-03: files that leak addresses, keys, hardware or boot parameters of the host.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_speak_of_the_kernel_and_the_hardware_are_empty_or_absent() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "leaks").await;
            v.refused("proc", &["done", "ENOENT", "EACCES", "EPERM"]);
            v.refused("sys /", &["ENOENT"]);
            assert_eq!(v.get("sys"), "[]");
        })
        .await;
    }
}

/// PRC-04: paths of the host, of the server or of a session in the tables of /proc.
#[tokio::test(flavor = "multi_thread")]
async fn mounts_and_groups_show_no_path_of_the_server_and_no_other_sessions_name() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let neighbour = a.rig.session().await;
            let v = guest(a, "paths").await;
            let forbidden = [
                a.rig.directory.path().display().to_string(),
                neighbour.interpreter.sandbox().as_str().to_lowercase(),
                a.session.interpreter.sandbox().as_str().to_lowercase(),
                "/cloister/".to_owned() + &a.session.interpreter.sandbox().as_str().to_lowercase(),
            ];
            for (name, text) in &v.0 {
                for path in &forbidden {
                    assert!(!text.to_lowercase().contains(path.as_str()), "{name} shows {path}: {text}");
                }
            }
            for line in v.get("cgroup").lines() {
                assert!(line.ends_with(":/"), "a group's path is shown: {line}");
            }
            neighbour.stop().await;
        })
        .await;
    }
}

/// PRC-05: the network as /proc shows it.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn only_a_loopback_interface_and_no_socket_of_the_host_is_shown() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "network").await;
            let devices: Vec<&str> = v
                .get("net dev")
                .split("\\n")
                .filter_map(|l| l.split_once(':'))
                .map(|(name, _)| name.trim())
                .collect();
            assert!(devices.iter().any(|name| name.ends_with("lo")), "{v:?}");
            let others = ["eth", "ens", "enp", "docker", "veth", "wl", "br-"];
            assert!(others.iter().all(|other| !v.get("net dev").contains(other)), "{v:?}");
            // The ends of the cell channel, which have no name.
            let sockets = v.get("net unix");
            assert!(!sockets.contains('@') && !sockets.contains('/'), "{sockets}");
            for table in ["tcp", "tcp6", "udp", "arp", "packet"] {
                let lines = v.get(&format!("net {table}")).matches("\\n").count();
                assert!(lines <= 1, "{table} shows something: {}", v.get(&format!("net {table}")));
            }
        })
        .await;
    }
}

/// PRC-06: what tells one host, or one session, from another.
#[tokio::test(flavor = "multi_thread")]
async fn names_and_machine_ids_are_made_up_for_each_session() {
    attack(plain(), async |a| {
        let neighbour = a.rig.session().await;
        let look = format!("{}\n{GUEST}\nidentity()\nverdicts()", super::PRELUDE);
        let (one, other) = (guest(a, "identity").await, Verdicts::of(&neighbour.python(&look).await));
        let own = a.session.interpreter.sandbox().as_str().to_lowercase();
        assert_eq!((one.get("hostname"), one.get("etc hostname")), (own.as_str(), own.as_str()));
        assert_ne!(one.get("machine-id"), other.get("machine-id"));
        assert_eq!(one.get("machine-id").len(), 32);
        let host = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        assert_ne!(one.get("machine-id"), host.trim());
        let v = guest(a, "leaks").await;
        let speaking: BTreeSet<String> = serde_json::from_str(v.get("speaking")).unwrap();
        let new: Vec<_> = speaking.iter().filter(|name| !SPEAKING.contains(&name.as_str())).collect();
        assert!(new.is_empty(), "files of /proc that nobody has looked at yet: {new:?}");
        neighbour.stop().await;
    })
    .await;
}

/// PRC-07: a guest that protects itself from the out-of-memory killer, or takes another identity. The server is protected here, as a
/// service manager would do it: that protection must not come down to guests.
#[tokio::test(flavor = "multi_thread")]
async fn no_guest_takes_the_servers_protection_or_another_identity() {
    const SCORE: &str = "/proc/self/oom_score_adj";
    let before = std::fs::read_to_string(SCORE).unwrap();
    let protected = std::fs::write(SCORE, "-300").is_ok();
    let Some(rig) = Rig::new(plain()) else { return };
    std::fs::write(SCORE, before.trim()).unwrap();
    if !protected {
        cloister_tests::needs::note(
            "nobody may lower an out-of-memory score here, so the server has none to pass on",
        );
    }
    let session = rig.session().await;
    let v =
        Verdicts::of(&session.python(&format!("{}\n{GUEST}\nscores()\nverdicts()", super::PRELUDE)).await);
    v.refused("score -", &["EACCES"]);
    assert_eq!(v.get("score"), "1000");
    v.refused("old score", &["ENOENT", "EACCES"]);
    v.refused("score of init", &["ENOENT"]);
    for name in ["set", "capset", "securebits", "keepcaps"] {
        v.refused(name, &["EPERM", "EINVAL"]);
    }
    session.stop().await;
    rig.end().await;
}

/// PRC-08: a crash whose memory goes to a file, or to the host's core handler, which runs as root.
#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaves_a_core_or_calls_the_hosts_handler() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "cores").await;
            // Not 0: at 0 the kernel starts a handler behind a pipe.
            assert_eq!(v.get("limit"), "(1, 1)");
            for name in ["setrlimit", "prlimit", "filter", "undumpable"] {
                v.refused(name, &["EPERM"]);
            }
            for number in [11, 6, 3, 31] {
                assert_eq!(
                    (v.get(&format!("died {number}")), v.get(&format!("dumped {number}"))),
                    (number.to_string().as_str(), "False")
                );
            }
            assert_eq!(
                a.shell("find / -xdev -name 'core*' -newer /etc/hostname -type f 2>/dev/null; ls")
                    .await
                    .stdout,
                ""
            );
        })
        .await;
    }
}
