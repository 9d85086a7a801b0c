//! SYS: parts of the kernel that a guest must not reach. `sys_table.rs` goes through all calls; these are the ways that exploits take.

use super::{Attack, Verdicts, attack, warm};
use cloister_core::event::StateAfter;
use cloister_tests::rig::plain;

const GUEST: &str = include_str!("../guests/sys.py");
const FOREIGN: &str = include_str!("../guests/foreign.c");
const EPERM: &[&str] = &["EPERM"];

async fn guest(attack: &Attack, function: &str) -> Verdicts {
    attack.verdicts(&format!("{GUEST}\n{function}()\nverdicts()")).await
}

/// SYS-02: i386 calls by `int 0x80`, and the x32 numbering.
#[tokio::test(flavor = "multi_thread")]
async fn calls_by_another_numbering_end_the_program_that_makes_them() {
    attack(plain(), async |a| {
        if !a.program("foreign", FOREIGN).await {
            return;
        }
        let run =
            async |arguments: &str| a.shell(&format!("./foreign {arguments}; echo status $?")).await.stdout;
        assert!(run("getpid").await.starts_with("lives: "));
        // mount, ptrace, unshare by their i386 numbers; getpid, ptrace and an own number of x32.
        for numbers in
            ["int80 21", "int80 26", "int80 310", "int80 20", "x32 39", "x32 101", "x32 521", "x32 165"]
        {
            assert_eq!(run(numbers).await, "status 159\n", "{numbers} was not killed by SIGSYS");
        }
        // The kernel drops the upper half of the number: this is ptrace, and refused like it.
        assert_eq!(run("high 101").await, "lives: -1\nstatus 0\n");
    })
    .await;
}

/// SYS-03: namespaces by every call that makes or enters one, while threads and processes work.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn no_namespace_can_be_made_or_entered_and_threads_and_processes_work() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "namespaces").await;
            v.refused("unshare", EPERM);
            v.refused("clone ", EPERM);
            v.refused("clone3", &["ENOSYS"]);
            v.refused("setns", EPERM);
            assert_eq!((v.get("threads"), v.get("subprocess"), v.get("spawn")), ("[1]", "works\n", "0"));
        })
        .await;
    }
}

/// SYS-04: io_uring, which runs other calls behind the filter's back.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_io_uring() {
    attack(plain(), async |a| {
        let v = guest(a, "io_uring").await;
        for name in ["setup", "enter", "register"] {
            v.refused(name, &["ENOSYS"]);
        }
        v.refused("aio", EPERM);
    })
    .await;
}

/// SYS-05: crypto sockets, and page references that move between subsystems.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn crypto_sockets_and_splices_are_refused() {
    attack(plain(), async |a| {
        let sockets = guest(a, "sockets").await;
        assert_eq!((sockets.get("family alg"), sockets.get("family high bits")), ("EPERM", "EPERM"));
        let options = guest(a, "options").await;
        for name in ["splice", "tee", "vmsplice", "option alg"] {
            options.refused(name, EPERM);
        }
    })
    .await;
}

/// SYS-06: socket families, types and protocols, all of them.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn only_unix_tcp_and_udp_sockets_can_be_made() {
    attack(plain(), async |a| {
        let v = guest(a, "sockets").await;
        assert_eq!((v.get("extra"), v.get("missing")), ("[]", "[]"));
        assert!(v.get("refused").parse::<u32>().is_ok_and(|n| n > 5000), "{v:?}");
        v.refused("family", EPERM);
        v.refused("pair", EPERM);
    })
    .await;
}

/// SYS-07: options that load modules, filters or IPsec into an ordinary socket.
#[tokio::test(flavor = "multi_thread")]
async fn options_that_reach_behind_a_socket_are_refused() {
    attack(plain(), async |a| {
        let v = guest(a, "options").await;
        v.refused("option", EPERM);
        v.refused("read zerocopy", EPERM);
        v.refused("oob", EPERM);
    })
    .await;
}

/// SYS-08: the first step of most kernel exploits of the last years.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_user_namespace_cannot_be_had_by_any_tool() {
    attack(plain(), async |a| {
        for tool in [
            "unshare -Ur id",
            "unshare -Urn true",
            "bwrap --dev-bind / / true",
            "python3 -c 'import os; os.unshare(os.CLONE_NEWUSER)'",
        ] {
            let ran = a.shell(&format!("{tool} >out 2>&1; echo $?")).await;
            assert_ne!(ran.stdout.trim(), "0", "{tool}: {ran:?}");
        }
    })
    .await;
}

/// SYS-10, SYS-11: tracing and memory of other processes.
#[tokio::test(flavor = "multi_thread")]
async fn no_process_can_be_traced_or_its_memory_taken_by_a_call() {
    attack(plain(), async |a| {
        let v = guest(a, "spying").await;
        for name in ["ptrace", "vm", "kcmp", "pidfd_getfd", "madvise", "move_pages", "robust"] {
            v.refused(name, EPERM);
        }
        v.refused("init mem", &["ENOENT"]);
    })
    .await;
}

/// SYS-12: key rings, which no namespace separates.
#[tokio::test(flavor = "multi_thread")]
async fn key_rings_are_out_of_reach_and_under_root_every_session_has_a_user_of_its_own() {
    attack(plain(), async |a| {
        guest(a, "keys").await.refused("", EPERM);
        let neighbour = a.rig.session().await;
        let outer = async |session: &cloister_tests::rig::Session| {
            session.shell("awk '{print $2}' /proc/self/uid_map").await.stdout
        };
        let (one, other) = (outer(&a.session).await, outer(&neighbour).await);
        if nix::unistd::geteuid().is_root() {
            assert_ne!(one, other);
        } else {
            // Weaker: an ordinary user has no second id to give. Then the filter alone keeps sessions from the user's key rings.
            assert_eq!((one.trim(), &one), (nix::unistd::geteuid().to_string().as_str(), &other));
        }
        neighbour.stop().await;
    })
    .await;
}

/// SYS-13: BPF, performance counters, page faults in user space, and other powers over the machine.
#[tokio::test(flavor = "multi_thread")]
async fn powers_over_the_kernel_and_the_machine_are_refused() {
    attack(plain(), async |a| guest(a, "powers").await.refused("", &["EPERM", "ENOENT"])).await;
}

/// SYS-14: characters typed into a terminal that somebody else reads.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_terminal_to_type_into() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "terminals").await;
            v.refused("ioctl", EPERM);
            v.refused("tty", &["ENOENT"]);
            v.refused("ptmx", &["ENOENT"]);
            assert_eq!(v.get("terminals"), "");
            assert_eq!(
                a.shell("cut -d' ' -f7 /proc/self/stat").await.stdout,
                "0\n",
                "a controlling terminal"
            );
        })
        .await;
    }
}

/// SYS-15, SYS-19: filters and listeners of the guest's own, and as many Landlock layers as the kernel allows.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_guest_installs_no_filter_and_can_only_confine_itself_further() {
    attack(plain(), async |a| {
        let v = guest(a, "filters").await;
        for name in ["seccomp", "prctl", "strict", "actions"] {
            v.refused(name, EPERM);
        }
        assert!(v.get("layers").parse::<i32>().is_ok_and(|layers| (1..16).contains(&layers)), "{v:?}");
    })
    .await;
}

/// SYS-16: everything that one process may do to another of its user, aimed at init.
#[tokio::test(flavor = "multi_thread")]
async fn init_ignores_signals_and_cannot_be_demoted_or_limited() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "init").await;
            v.refused("demote", EPERM);
            v.refused("limit", EPERM);
            for name in ["session", "join group", "migrate", "reap"] {
                v.refused(name, &["EPERM", "ESRCH", "EACCES"]);
            }
            let init = cloister_tests::leftovers::Traces::of(&*a.session.interpreter).pids();
            let stat =
                init.iter().filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
            let states: Vec<String> = stat
                .filter_map(|s| {
                    s.rsplit(')').next().and_then(|rest| rest.split(' ').nth(1).map(str::to_owned))
                })
                .collect();
            assert!(
                !states.is_empty() && states.iter().all(|state| state != "T" && state != "Z"),
                "{states:?}"
            );
            assert_eq!(a.python("print(1)").await.execution.state, StateAfter::Kept);
        })
        .await;
    }
}

/// SYS-17: labels and clocks of processes.
#[tokio::test(flavor = "multi_thread")]
async fn labels_and_clock_offsets_cannot_be_written() {
    attack(plain(), async |a| {
        let v = guest(a, "labels").await;
        v.refused("label", &["EACCES", "EPERM", "ENOENT", "EINVAL", "EROFS"]);
        v.refused("init's", &["ENOENT"]);
    })
    .await;
}
