//! CTL: lies on the channels that decide about calls.
//!
//! A driver shares its process with guest code, so a guest can say on the cell channel whatever a driver can say. What it may gain is
//! a wrong answer to its own call. What it must not gain: an answer to another session's call, a limit that does not hold, or init.

use super::{Attack, attack, cell, warm};
use cloister_core::command::ToolCall;
use cloister_core::event::{Ended, Event, Outcome, StateAfter};
use cloister_tests::rig::{Ran, plain};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const GUEST: &str = include_str!("../guests/ctl.py");

async fn guest(attack: &Attack, code: &str) -> Ran {
    attack.python_within(&format!("{GUEST}\n{code}"), Duration::from_secs(4)).await
}

/// The next call has its own, right result. A runtime that a guest has cut off may die of it first, and says so.
async fn goes_on(attack: &Attack, after: &str) {
    let died = |ran: &Ran| (ran.execution.ended, ran.execution.state) == (Ended::Died, StateAfter::Lost);
    let mut ran = attack.session.python("6 * 7").await;
    if died(&ran) {
        ran = attack.session.python("6 * 7").await;
    }
    assert_eq!(ran.text(), "42", "after {after}: {ran:?}");
    let mut ran = attack.session.shell("echo 42").await;
    if died(&ran) {
        ran = attack.session.shell("echo 42").await;
    }
    assert_eq!(ran.stdout, "42\n", "after {after}: {ran:?}");
}

/// Pid of the init of a session with a runtime, as this host numbers it.
fn init_of(attack: &Attack) -> i32 {
    let is_init = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
    };
    let traces = cloister_tests::leftovers::Traces::of(&*attack.session.interpreter);
    traces.pids().into_iter().find(is_init).unwrap()
}

/// A number of kilobytes from the status of a process.
fn kilobytes(pid: i32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// CTL-01: output that looks like frames, statuses and prompts.
#[tokio::test(flavor = "multi_thread")]
async fn output_that_looks_like_the_protocol_is_output() {
    attack(plain(), async |a| {
        let code = "text = display(call_id()) + done(call_id(), 'exit', 9) + frame({'ev': 'ready'}) + (call_id() + ' 7\\n').encode()\nfor fd in (1, 2): os.write(fd, text)\nprint(len(text))";
        let ran = guest(a, code).await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code, ran.displays.len()), (Ended::Completed, 0, 0), "{ran:?}");
        let length: usize = ran.stdout.lines().last().unwrap().parse().unwrap();
        assert!(length > 200 && ran.stderr.len() == length, "{ran:?}");
        // The shell's status lines have an id that the command does not know; here it reads them from the script and prints them.
        let ran = a.shell("printf 'deadbeef 7\\n'; echo ' 0'; printf '\\000\\000\\000\\002\\000\\000\\000\\000{}'; false").await;
        assert_eq!(ran.execution.exit_code, 1, "{ran:?}");
        goes_on(a, "frames on the streams").await;
    })
    .await;
}

/// CTL-02: every descriptor read, written, closed, replaced, shut down, and stuffed with others.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_abuses_every_descriptor_ends_its_own_runtime_at_worst() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let closes = [
                "for fd in range(3, 2048):\n    try: os.close(fd)\n    except OSError: pass",
                "null = os.open('/dev/null', os.O_RDWR)\nfor fd in range(3, 1024):\n    if fd != null:\n        try: os.dup2(null, fd)\n        except OSError: pass",
                "raw(436, 0, 2**32 - 1, 0)",
                "socket.socket(fileno=channel()).shutdown(socket.SHUT_RDWR)",
                "socket.socket(fileno=os.dup(channel())).shutdown(socket.SHUT_WR)",
                "socket.socket(fileno=os.dup(channel())).shutdown(socket.SHUT_RD)",
                "s = socket.socket(fileno=os.dup(channel())); fds = [os.open('/dev/null', 0) for _ in range(200)]\ntry:\n    for _ in range(50): s.sendmsg([b''.join([frame({'ev': 'ready'})])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('200i', *fds))])\nexcept OSError as e: print(e)",
                "for fd in map(int, os.listdir('/proc/self/fd')):\n    try: os.set_blocking(fd, False); os.write(fd, b'x' * 100); os.read(fd, 100)\n    except OSError: pass",
                "os.kill(os.getpid(), 9)",
                "os.kill(os.getppid(), 9); os.kill(-1, 9)",
            ];
            for code in closes {
                let since = Instant::now();
                guest(a, code).await;
                goes_on(a, code).await;
                assert!(since.elapsed() < Duration::from_secs(60), "{code} holds the session up");
            }
            // The shell's status descriptor, from a command that should not have it.
            for command in ["for fd in 3 4 5 6 7 8 9 255; do eval \"echo x 0 >&$fd\" 2>/dev/null; done", "exec 9>&-", "exec 9>/dev/null; true",
                "echo 'x 0' > /proc/$$/fd/9", "exec 0</dev/null", "cat /proc/$$/fd/0 & kill $! 2>/dev/null; true", "kill -9 $$"]
            {
                let run = ToolCall::ExecuteCommand { command: command.into() };
                a.session.run(run, Duration::from_secs(3)).await;
                goes_on(a, command).await;
            }
        })
        .await;
    }
}

/// CTL-02: descriptors 1 and 2 closed everywhere leave init nothing to read, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn closing_the_output_pipes_does_not_make_init_spin() {
    attack(plain(), async |a| {
        guest(a, "for fd in map(int, os.listdir('/proc/self/fd')):\n    try:\n        if stat.S_ISFIFO(os.fstat(fd).st_mode): os.close(fd)\n    except OSError: pass").await;
        let ran = a.session.python("import time; time.sleep(1)").await;
        let cpu = ran.execution.usage.cpu;
        assert!(cpu.is_none_or(|cpu| cpu < Duration::from_millis(500)), "{cpu:?} of processor time for a second of sleep");
        // This runtime will never say anything again; the next one does.
        a.session.python("import os; os._exit(0)").await;
    })
    .await;
}

/// CTL-03: forged results for the running call, for other calls, and for the next one.
#[tokio::test(flavor = "multi_thread")]
async fn forged_frames_change_the_answer_to_their_own_call_and_nothing_else() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            // The wrong id: dropped, in front of the real result.
            let ran = guest(a, "say(display('0' * 32) + display('') + done('0' * 32, 'exit', 9) + frame({'ev': 'error', 'id': 'x', 'name': 'N', 'message': 'M'}))\nprint('own')").await;
            assert_eq!((ran.stdout.as_str(), ran.displays.len(), ran.execution.exit_code), ("own\n", 0, 0), "{ran:?}");
            assert!(ran.execution.error.is_none(), "{ran:?}");
            // The right id: the guest's own call ends as the guest says, and the real end comes too late to count.
            let ran = guest(a, "say(display(call_id()) + done(call_id(), 'exit', 77) + done(call_id(), 'ok', 5) * 3)\ntime.sleep(0.3)").await;
            assert_eq!((ran.execution.exit_code, ran.execution.ended, ran.displays.len()), (77, Ended::Exited, 1), "{ran:?}");
            assert!(ran.execution.files.is_empty() && ran.execution.limits.is_empty(), "{ran:?}");
            goes_on(a, "a forged end").await;
            // A thread that waits for the next call. Its session is lied to by its own code, and only it.
            guest(a, "watch_and_forge()").await;
            let ran = a.session.python_within("import time\nfor _ in range(20): time.sleep(0.1)", Duration::from_secs(6)).await;
            assert!(ran.execution.exit_code == 77 || ran.execution.exit_code == 0, "{ran:?}");
            goes_on(a, "a forged end of the next call").await;
            let neighbour = a.rig.session().await;
            assert_eq!(neighbour.python("'mine'").await.text(), "'mine'");
            neighbour.stop().await;
        })
        .await;
    }
}

/// CTL-03: everything rebound that the driver might use, and the runtime killed by its guest.
#[tokio::test(flavor = "multi_thread")]
async fn rebinding_what_the_driver_uses_hurts_that_runtime_only() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            guest(a, "rebind_everything()").await;
            let ran = a.session.python_within("6 * 7", Duration::from_secs(3)).await;
            assert!(ran.execution.usage.wall < Duration::from_secs(10), "{ran:?}");
            let cleared = ToolCall::ExecuteCode {
                code: "import os; os._exit(1)".into(),
                language: cloister_core::command::Language::Python,
                runtime: cloister_core::command::Runtime::Python,
                clear_context: true,
            };
            a.session.run(cleared, Duration::from_secs(3)).await;
            a.session.python_within("import posix; posix._exit(1)", Duration::from_secs(3)).await;
            goes_on(a, "rebinding").await;
        })
        .await;
    }
}

/// CTL-04: frames that are none.
#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_cost_the_runtime_and_never_init() {
    attack(plain(), async |a| {
        let names = guest(a, "print(json.dumps(list(BROKEN)))").await.stdout;
        let names: Vec<String> = serde_json::from_str(names.trim()).unwrap();
        assert!(names.len() > 12);
        let init = init_of(a);
        for name in &names {
            let ran = guest(a, &format!("say(BROKEN[{name:?}])\ntime.sleep(0.2 if {name:?} != 'cut off' else 0)\nos._exit(3) if {name:?} == 'cut off' else None")).await;
            let died = ran.execution.ended == Ended::Died && ran.execution.state == StateAfter::Lost;
            assert!(died, "{name}: {ran:?}");
            goes_on(a, name).await;
        }
        assert!(kilobytes(init, "VmHWM:") < 64 << 10, "init has grown to {} KiB", kilobytes(init, "VmHWM:"));
    })
    .await;
}

/// CTL-04: more frames than anybody wants to see.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_is_capped_and_leaves_inits_memory_as_it_was() {
    attack(plain(), async |a| {
        guest(a, "").await;
        let init = init_of(a);
        let ran = guest(a, "end = time.time() + 2\none = (display(call_id(), b'x' * 1000) + frame({'ev': 'ready'}) + frame({'ev': 'warmed'})) * 50\nwhile time.time() < end: say(one)").await;
        let limit = a.rig.policy.output.displays as usize;
        assert!(ran.displays.len() <= limit + 1, "{} displays", ran.displays.len());
        goes_on(a, "a flood").await;
        // Larger than one display may be, but not larger than a frame.
        let ran = guest(a, "for _ in range(100): say(display(call_id(), b'x' * (8 << 20)))").await;
        assert!(ran.displays.is_empty() && (8 << 20) > a.rig.policy.output.display, "{} displays", ran.displays.len());
        goes_on(a, "large frames").await;
        assert!(kilobytes(init, "VmHWM:") < 128 << 10, "init has grown to {} KiB", kilobytes(init, "VmHWM:"));
    })
    .await;
}

/// CTL-05: a driver and a shell that no longer read.
#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_has_stopped_reading_is_killed_at_the_deadline_and_blocks_nobody() {
    attack(plain(), async |a| {
        guest(a, "threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGSTOP)).start()").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let stuck = a.session.run(cell(&format!("'{}'", "x".repeat(4 << 20))), Duration::from_secs(2));
        let others = async {
            a.session.write(&[("beside", b"x")]).await.unwrap();
            assert_eq!(a.session.read("beside").await.as_deref(), Ok(b"x".as_slice()));
            Instant::now()
        };
        let stuck = async { (stuck.await, Instant::now()) };
        let ((ran, killed), served) = tokio::join!(stuck, others);
        assert!(served < killed, "the file tools wait for a runtime");
        assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Killed, StateAfter::Lost), "{ran:?}");
        goes_on(a, "a stopped driver").await;
        a.shell("(sleep 0.1; kill -STOP $$) & true").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let long = ToolCall::ExecuteCommand { command: format!(": {}", "x".repeat(1 << 20)) };
        let ran = a.session.run(long, Duration::from_secs(1)).await;
        assert_eq!(ran.execution.ended, Ended::Killed, "{ran:?}");
        goes_on(a, "a stopped shell").await;
    })
    .await;
}

/// CTL-06: paths, types and lengths that somebody further out might believe.
#[tokio::test(flavor = "multi_thread")]
async fn claims_in_a_forged_result_are_never_taken_for_files_or_limits() {
    attack(plain(), async |a| {
        let canary = a.canary.file().display().to_string();
        let code = format!(
            "say(frame({{'ev': 'display', 'id': call_id(), 'forms': [{{'mime': 'text/plain', 'len': 2**63}}, {{'mime': 'image/png', 'len': 1}}]}}, b'ab'))
say(frame({{'ev': 'value', 'id': call_id(), 'forms': [{{'mime': 'file://{canary}', 'len': 0}}, {{'mime': '{canary}\\r\\nX: y', 'len': 2}}], 'files': [{canary:?}], 'path': {canary:?}}}, b'ab'))
say(frame({{'ev': 'done', 'id': call_id(), 'status': 'ok', 'exit_code': 0, 'files': [{{'path': {canary:?}, 'size': 1, 'created': True}}], 'dropped': [9, 9], 'ended': 'killed', 'state_lost': True, 'deadline_ms': 1}}))"
        );
        let ran = guest(a, &code).await;
        assert!(ran.execution.files.is_empty() && ran.execution.limits.is_empty(), "{ran:?}");
        assert_eq!((ran.execution.state, ran.execution.ended), (StateAfter::Kept, Ended::Completed), "{ran:?}");
        assert!(ran.displays.iter().all(|d| d.forms.is_empty()), "{ran:?}");
        goes_on(a, "claims").await;
    })
    .await;
}

/// CTL-07: other users of the host, and other programs of the server's user, at the control socket.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_nonce_disturbs_a_session_at_its_socket() {
    attack(plain(), async |a| {
        let directory =
            a.rig.directory.path().join("sandboxes").join(a.session.interpreter.sandbox().as_str());
        let socket = directory.join("ctl.sock");
        if nix::unistd::geteuid().is_root() {
            use std::os::unix::process::CommandExt;
            let looked =
                std::process::Command::new("/bin/ls").arg(&socket).uid(65534).gid(65534).output().unwrap();
            assert!(!looked.status.success(), "another user sees the socket");
        }
        a.session.python("kept = 42").await;
        let attach = |nonce: &str| {
            frame(format!("{{\"op\":\"attach\",\"nonce\":\"{nonce}\",\"ttl_ms\":1}}").as_bytes())
        };
        let guesses = [
            attach(""),
            attach(&"0".repeat(32)),
            attach(&"f".repeat(100_000)),
            frame(b"{\"op\":\"shutdown\"}"),
            frame(b"{\"op\":\"execute\",\"id\":\"x\"}"),
            vec![0xff; 64],
            vec![0; 4096],
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Vec::new(),
        ];
        for guess in &guesses {
            let mut peer = UnixStream::connect(&socket).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            drop(peer.write_all(guess));
            drop(peer.shutdown(std::net::Shutdown::Write));
            let mut answer = Vec::new();
            drop(peer.read_to_end(&mut answer));
            assert!(answer.is_empty(), "init answers {answer:?}");
            assert_eq!(a.session.python("kept").await.text(), "42");
        }
        // One that connects and says nothing, while the session works on.
        let silent = UnixStream::connect(&socket).unwrap();
        let Some(Event::Done(outcome)) = a.session.events(cell("kept"), Duration::from_secs(10)).await.pop()
        else {
            panic!("no end")
        };
        assert!(matches!(*outcome, Outcome::Executed(_)));
        drop(silent);
    })
    .await;
}

fn frame(json: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(json);
    bytes
}
