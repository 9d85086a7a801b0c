//! EXE, FD: what the first line of guest code finds around itself.

use super::{attack, compile, warm};
use cloister_core::command::ToolCall;
use cloister_core::event::Outcome;
use cloister_core::policy::Policy;
use cloister_tests::rig::{Rig, plain};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const POSTURE: &str = include_str!("../guests/posture.py");
const NAMESPACES: [&str; 7] = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"];

/// Variables of guest programs: the image's (`image.toml`), and those that the server sets.
const ENVIRONMENT: [&str; 12] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PWD",
    "TMPDIR",
    "CLOISTER_NETWORK",
    "CLOISTER_POLICY",
    "CLOISTER_ALLOWED",
    "PATH",
    "LANG",
    "TZ",
    "TERM",
];

/// The golden record of one thread, without the namespaces and the limits, whose numbers differ from host to host.
fn golden() -> Value {
    let nothing = "0000000000000000";
    json!({
        "Uid": ["65532", "65532", "65532", "65532"],
        "Gid": ["65532", "65532", "65532", "65532"],
        "Groups": [],
        "CapInh": nothing, "CapPrm": nothing, "CapEff": nothing, "CapBnd": nothing, "CapAmb": nothing,
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "several filters": true,
        "landlock": if knows_devices() { "EACCES" } else { "ENOTTY" },
        "TracerPid": "0",
        "SigBlk": nothing,
        "umask": "0o77",
        "cwd": "/workspace",
        "dumpable": 1,
        "securebits": 0,
        "nice": 0,
        "scheduler": 0,
        "score": "1000",
        "terminal": "0",
        // Python's own: SIGPIPE and SIGXFSZ.
        "ignored": [13, 25],
    })
}

/// Whether the kernel's Landlock refuses requests to devices (6.10).
fn knows_devices() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(10))
}

/// Soft and hard limits; those that are not named here are the host's.
fn limits(policy: &Policy) -> Value {
    let both = |value: u64| json!([value, value]);
    json!({
        "CORE": both(1),
        "FSIZE": both(policy.filesystem.max_file),
        "NOFILE": both(policy.resources.open_files),
        "MEMLOCK": both(8 << 20),
        "SIGPENDING": both(1024),
        "NICE": both(0),
        "RTPRIO": both(0),
    })
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// EXE-01: identity, privileges, filters, namespaces, descriptors, directory, limits and environment, seen by the first guest code, by a
/// second thread, by a child, and by a program, for each way to start.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_first_guest_code_finds_every_wall_standing_on_every_thread_and_in_every_program() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let ran = a.session.python(&format!("SOURCE = {POSTURE:?}\n{POSTURE}")).await;
            let mut seen: Value =
                serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
            let mut shared: Option<Value> = None;
            for place in ["main thread", "another thread", "child", "program"] {
                let record = seen[place].as_object_mut().unwrap();
                let namespaces = record.remove("namespaces").unwrap();
                let found = record.remove("limits").unwrap();
                for kind in NAMESPACES {
                    let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
                    assert_ne!(
                        namespaces[kind].as_str(),
                        host.to_str(),
                        "{place} is in the host's {kind} namespace"
                    );
                }
                assert_eq!(
                    shared.get_or_insert(namespaces.clone()),
                    &namespaces,
                    "{place} is in other namespaces"
                );
                for (name, wanted) in limits(&a.rig.policy).as_object().unwrap() {
                    assert_eq!(&found[name], wanted, "{place}: RLIMIT_{name}");
                }
                let processes = found["NPROC"][1].as_u64().unwrap();
                // The group's limit is the lower one, where there is a group.
                let allowed = a.rig.policy.resources.pids;
                assert!((allowed..=2 * allowed).contains(&processes), "{place}: {processes} processes");
                // 819200 is the kernel's default, which is lower.
                assert!(found["MSGQUEUE"][1].as_u64().is_some_and(|bytes| bytes <= 1 << 20));
                if !nix::unistd::geteuid().is_root() {
                    record.insert("Groups".into(), json!([]));
                }
                assert_eq!(Value::Object(record.clone()), golden(), "{place}");
            }
            // The cell channel and the driver's copies of its streams: closed by every exec.
            let descriptors = json!([
                ["/dev/null", "private"],
                ["pipe", "private"],
                ["pipe", "private"],
                ["socket", "private"]
            ]);
            let driver = &seen["process"];
            assert_eq!(driver["descriptors"], descriptors);
            assert_eq!(
                (&driver["leader"], &driver["parent"], &driver["home"]),
                (&json!(true), &json!(1), &json!("/home/agent"))
            );
            let program = &seen["program's process"];
            assert_eq!(program["descriptors"], json!([]));
            for process in [driver, program] {
                assert_eq!(process["standard"], json!(["/dev/null", "pipe", "pipe"]));
            }
            let image = std::fs::read_to_string(
                cloister_tests::needs::images().unwrap().join("analysis/current/image.toml"),
            )
            .unwrap();
            let image: toml::Table = image.parse().unwrap();
            let of_image = image["env"].as_table().unwrap().keys().map(String::as_str);
            let allowed: BTreeSet<&str> = of_image.chain(ENVIRONMENT).collect();
            for process in [driver, program] {
                assert_eq!(names(&process["environment"]), allowed, "the environment");
            }
        })
        .await;
    }
}

/// EXE-01: the same privileges for shells, background commands and the other runtimes.
#[tokio::test(flavor = "multi_thread")]
async fn shells_tasks_and_other_runtimes_stand_behind_the_same_walls() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let look = "grep -E '^(Uid|Cap|NoNew|Seccomp:|SigBlk)' /proc/self/status | tr '\\t\\n' '  '; umask; pwd; ls /proc/self/fd | tr '\\n' ' '; awk '/core/ {print $5 $6}' /proc/self/limits";
            let nothing = "0000000000000000 ";
            let caps: String = ["Inh", "Prm", "Eff", "Bnd", "Amb"].iter().map(|set| format!("Cap{set}: {nothing}")).collect();
            let id = "Uid: 65532 65532 65532 65532 ";
            let wanted = format!("{id}SigBlk: {nothing}{caps}NoNewPrivs: 1 Seccomp: 2 0077\n/workspace\n0 1 2 3 11\n");
            let squeezed = |text: &str| text.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
            assert_eq!(squeezed(&a.shell(look).await.stdout), squeezed(&wanted));
            let task = a.session.start_task(look).await;
            let task = a.session.ended_task(&task.id).await;
            assert_eq!(squeezed(&String::from_utf8_lossy(&task.stdout)), squeezed(&wanted));
            use cloister_core::command::{Language, Runtime};
            let wanted = squeezed(&format!("{id}{caps}NoNewPrivs: 1 Seccomp: 2"));
            let node = "const { readdirSync: list, readFileSync: read } = require('fs');";
            let deno = "const list = (at) => [...Deno.readDirSync(at)].map((entry) => entry.name); const read = (at) => Deno.readTextFileSync(at);";
            let every = "for (const task of list('/proc/self/task')) console.log(read(`/proc/self/task/${task}/status`, 'utf8').split('\\n').filter((line) => /^(Uid|Cap|NoNew|Seccomp:)/.test(line)).join(' '));";
            for (runtime, begin) in [(Runtime::Nodejs, node), (Runtime::Deno, deno)] {
                let ran = a.session.code(Language::JavaScript, runtime, &format!("{begin}\n{every}")).await;
                let threads: Vec<String> = ran.stdout.lines().map(|line| squeezed(&line.replace('\t', " "))).collect();
                assert!(threads.len() > 4, "{runtime:?}: {ran:?}");
                assert!(threads.iter().all(|thread| *thread == wanted), "{runtime:?}, wanted {wanted}: {ran:?}");
            }
        })
        .await;
    }
}

/// EXE-02: code and commands with everything in them that a shell or an argument parser could take for its own.
#[tokio::test(flavor = "multi_thread")]
async fn code_and_commands_are_never_taken_for_arguments_or_scripts_of_ours() {
    attack(plain(), async |a| {
        for text in [
            "--version",
            "-c",
            "'; echo injected; '",
            "$(echo injected)",
            "`echo injected`",
            "\n\necho injected\n",
            "%p",
            "\\",
            "'\"'\"'",
        ] {
            let ran = a.session.python(&format!("print({text:?})")).await;
            assert_eq!(ran.stdout, format!("{text}\n"), "{ran:?}");
        }
        for command in [
            "echo 'it'\\''s'",
            "echo \"a'b\"",
            "printf '%s' \"'\"; echo",
            "echo end' 9>&-\nbuiltin printf injected >&9\n'",
        ] {
            let ran = a.shell(command).await;
            assert!(ran.stdout.lines().all(|line| line != "injected"), "{ran:?}");
        }
        // A quotation that does not end, or a command that reads its own script, ends with that command.
        for command in
            ["echo 'unclosed", "cat", "read x; echo \"[$x]\"", "}", "esac; echo", "exec 0<&-", "eval '"]
        {
            a.session.shell_within(command, std::time::Duration::from_secs(3)).await;
            assert_eq!(a.session.shell("echo 42").await.stdout, "42\n", "after {command}");
        }
    })
    .await;
}

/// FD-01: descriptors of the server, the launcher and init in any program of a guest.
#[tokio::test(flavor = "multi_thread")]
async fn no_descriptor_of_the_server_reaches_a_guest() {
    // Open in this process without close-on-exec, as a careless library would leave it.
    let careless = std::fs::File::open("/etc/hostname").unwrap();
    nix::fcntl::fcntl(&careless, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let list = "for n in sorted(os.listdir('/proc/self/fd'), key=int):\n    try: print(n, os.readlink(f'/proc/self/fd/{n}'))\n    except OSError: pass";
            let program = format!("import os, subprocess, sys\n{list}\nsys.stdout.flush()\nsubprocess.run(['ls', '-l', '/proc/self/fd'], close_fds=False)");
            let shown = a.python(&program).await.stdout + &a.shell("ls -l /proc/self/fd").await.stdout;
            for word in ["hostname", "ctl.sock", "record", "cgroup", "memfd", "anon_inode", "eventpoll", "signalfd", "cloister", "/etc", "/root", "image", "oom_score"] {
                assert!(!shown.contains(word), "{word}: {shown}");
            }
            let sockets = a.python("print(sum('socket' in os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{n}')))").await;
            assert_eq!(sockets.stdout, "1\n", "more sockets than the cell channel");
        })
        .await;
    }
    drop(careless);
}

/// SYS-22: a filter that the kernel does not take.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_filter_cannot_be_installed_does_not_start() {
    let policy = plain();
    let name = policy.isolation.seccomp.clone();
    let broken = vec![vec![0xffff_0000_0000_0000_u64; 4]];
    let Some(rig) = Rig::configured(policy, |config| drop(config.filters.insert(name, broken))) else {
        return;
    };
    let refused = rig.try_session(std::time::Duration::from_secs(60)).await;
    let error = refused.err().expect("a session started without its filter").to_string();
    assert!(error.contains("filter"), "{error}");
    rig.end().await;
}

/// EXE-04: names of programs, runtimes and files that come from the client and might be read before the walls stand.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sends_is_read_inside_and_files_that_are_no_programs_start_nothing() {
    attack(plain(), async |a| {
        if compile("foreign", include_str!("../guests/foreign.c")).is_none() {
            return;
        }
        // A programme header that names an interpreter of the host, and one that is cut off.
        for (name, text) in
            [("host", "#!/usr/sbin/init\n"), ("self", "#!/workspace/self\n"), ("cut", "\x7fELF\x02\x01\x01")]
        {
            a.session.write(&[(name, text.as_bytes())]).await.unwrap();
            let ran = a.shell(&format!("chmod 700 {name}; ./{name}; echo $?")).await;
            assert!(!ran.stdout.starts_with("0\n"), "{name}: {ran:?}");
        }
        let task = a.tool(ToolCall::StartCommandExecution { command: "./host".into() }).await;
        assert!(matches!(task, Outcome::Task(_)), "{task:?}");
        let unknown = a.tool(ToolCall::GetTask { task_id: "../../x\0".into() }).await;
        assert!(matches!(unknown, Outcome::Failed { .. }), "{unknown:?}");
    })
    .await;
}
