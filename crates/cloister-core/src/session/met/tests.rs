//! Promises about the rules that are told from errors.

use super::*;
use crate::denial::DenialId;
use crate::event::{GuestError, PathFailure, Task};
use std::time::{Duration, SystemTime};

fn walls(change: impl FnOnce(&mut Policy)) -> Walls {
    let mut policy = Policy::built_in("test");
    change(&mut policy);
    let places = ["/workspace", "/home/agent", "/tmp", "/dev/shm"].map(str::to_owned).to_vec();
    Walls::new(Arc::new(policy), places)
}

fn met(walls: &Walls, outcome: &mut Outcome, stderr: &str) -> Vec<Noted> {
    let mut note = |denial| Noted { id: DenialId::random().unwrap(), at: SystemTime::UNIX_EPOCH, denial };
    walls.met(outcome, stderr.as_bytes(), &mut note)
}

/// Rule and what was asked, of a call that ended with an exception.
fn raised(name: &str, message: &str) -> Vec<(String, String)> {
    let error = GuestError { name: name.into(), message: message.into(), traceback: String::new() };
    let execution = Execution { exit_code: 1, error: Some(error), ..Execution::default() };
    refused(execution, "")
}

/// The same of a command.
fn said(exit_code: i32, stderr: &str) -> Vec<(String, String)> {
    let execution = Execution { exit_code, ..Execution::default() };
    refused(execution, stderr)
}

fn refused(execution: Execution, stderr: &str) -> Vec<(String, String)> {
    let noted = met(&walls(|_| ()), &mut Outcome::Executed(execution), stderr);
    noted.into_iter().map(|noted| (noted.denial.rule, noted.denial.asked)).collect()
}

fn one(rule: &str, asked: &str) -> Vec<(String, String)> {
    vec![(rule.to_owned(), asked.to_owned())]
}

#[test]
fn exceptions_of_every_runtime_name_the_rule_that_they_met() {
    for (name, message, rule, asked) in [
        ("OSError", "[Errno 30] Read-only file system: '/etc/x'", "filesystem.workspace", "a change in /etc"),
        ("Error", "EROFS: read-only file system, open '/usr/x'", "filesystem.workspace", "a change in /usr"),
        (
            "PermissionDenied",
            "Permission denied (os error 13): readfile '/etc/shadow'",
            "filesystem.workspace",
            "access to a file in /etc",
        ),
        (
            "PermissionError",
            "[Errno 13] Permission denied: '/etc/shadow'",
            "filesystem.workspace",
            "access to a file in /etc",
        ),
        (
            "PermissionError",
            "[Errno 1] Operation not permitted",
            "isolation.seccomp",
            "what a program asked of the kernel",
        ),
        ("OSError", "[Errno 28] No space left on device", "filesystem.disk", "more storage"),
        ("OSError", "[Errno 27] File too large", "filesystem.max_file", "a larger file"),
        ("OSError", "[Errno 24] Too many open files: '/dev/null'", "resources.open_files", "more open files"),
        ("OperationalError", "database or disk is full", "filesystem.disk", "more storage"),
        ("RuntimeError", "can't start new thread", "resources.pids", "more processes and threads"),
        (
            "gaierror",
            "[Errno -3] Temporary failure in name resolution",
            "network.mode",
            "a connection, or the lookup of a name",
        ),
        (
            "Error",
            "getaddrinfo EAI_AGAIN example.com",
            "network.mode",
            "a connection, or the lookup of a name",
        ),
    ] {
        assert_eq!(raised(name, message), one(rule, asked), "{name}: {message}");
    }
}

#[test]
fn commands_that_were_refused_something_name_the_rule_too() {
    for (stderr, rule, asked) in [
        ("touch: cannot touch '/etc/x': Read-only file system\n", "filesystem.workspace", "a change in /etc"),
        ("/bin/bash: line 1: /etc/x: Read-only file system\n", "filesystem.workspace", "a change in /etc"),
        (
            "/bin/sh: 1: cannot create /etc/x: Read-only file system\n",
            "filesystem.workspace",
            "a change in /etc",
        ),
        (
            "/bin/sh: 1: cannot create /etc/x: Permission denied\n",
            "filesystem.workspace",
            "access to a file in /etc",
        ),
        ("cp: error writing 'a': File too large\n", "filesystem.max_file", "a larger file"),
        (
            "fatal: unable to access 'https://a.example/b.git/': Could not resolve host: a.example\n",
            "network.mode",
            "a connection, or the lookup of a name",
        ),
        ("cat: /root/.ssh: Permission denied\n", "filesystem.workspace", "access to a file in /root"),
        (
            "python3: can't open file '/root/a': [Errno 13] Permission denied",
            "filesystem.workspace",
            "access to a file in /root",
        ),
        (
            "mount: only root can do that\nunshare: unshare failed: Operation not permitted\n",
            "isolation.seccomp",
            "what a program asked of the kernel",
        ),
        (
            "curl: (6) Could not resolve host: example.com\n",
            "network.mode",
            "a connection, or the lookup of a name",
        ),
    ] {
        assert_eq!(said(1, stderr), one(rule, asked), "{stderr}");
    }
    // A signal says it without words.
    assert_eq!(said(153, ""), one("filesystem.max_file", "a larger file"));
    assert_eq!(said(159, ""), one("isolation.seccomp", "what a program asked of the kernel"));
    // Whatever a shell says at the end.
    assert_eq!(said(0, "cat: /root/a: Permission denied\n").len(), 1);
}

#[test]
fn what_an_exception_was_raised_from_counts_and_the_code_around_it_does_not() {
    let raised = |traceback: &str| {
        let error = GuestError { name: "E".into(), message: "failed".into(), traceback: traceback.into() };
        let execution = Execution { exit_code: 1, error: Some(error), ..Execution::default() };
        met(&walls(|_| ()), &mut Outcome::Executed(execution), "").len()
    };
    let node = "<cell 2>:1\nawait fetch('https://a.example/')\n\nTypeError: fetch failed\n    at node:internal\n  [cause]: Error: getaddrinfo EAI_AGAIN a.example\n";
    let python = "Traceback (most recent call last):\nsocket.gaierror: [Errno -3] Temporary failure in name resolution\n\n\
                  During handling of the above exception, another exception occurred:\n\nrequests.ConnectionError: failed\n";
    assert_eq!((raised(node), raised(python)), (1, 1));
    for code in [
        "<cell 2>:1\nthrow new Error('Read-only file system' && 'failed')\n\nError: failed\n",
        "  File \"<cell 1>\", line 1, in <module>\n    check('x: Permission denied: /etc/x')\nE: failed\n",
    ] {
        assert_eq!(raised(code), 0, "{code}");
    }
}

#[test]
fn what_is_no_walls_doing_names_none() {
    assert_eq!(raised("PermissionError", "[Errno 13] Permission denied: 'own.txt'"), []);
    assert_eq!(raised("PermissionError", "[Errno 13] Permission denied: '/workspace/own.txt'"), []);
    assert_eq!(raised("ValueError", "no such thing"), []);
    assert_eq!(said(126, "/bin/bash: line 1: ./not-executable: Permission denied\n"), []);
    assert_eq!(said(1, "grep: /workspace: Is a directory\n"), []);
    let line = format!("{} Permission denied", "data ".repeat(300));
    assert_eq!(said(1, &line), []);
    // Of the session's own doing, or of an application's.
    for (name, message) in [
        ("PermissionError", "[Errno 13] Permission denied"),
        ("PermissionError", "[Errno 1] Operation not permitted: 'dir' -> 'd2'"),
        ("ValueError", "File too large"),
        ("NotImplementedError", "Function not implemented"),
        ("HTTPError", "Permission denied"),
    ] {
        assert_eq!(raised(name, message), [], "{message}");
    }
    for stderr in [
        "/bin/sh: 1: cannot create out.txt: Permission denied\n",
        "/usr/bin/ld: cannot open output file a.out: Permission denied\n",
        "rg: dir/file: Permission denied (os error 13)\n",
        "MulterError: File too large\n",
        "Disk quota: 40% used\n",
        "{\"error\":\"Permission denied\",\"path\":\"/admin\"}\n",
        "Permission denied\n",
    ] {
        assert_eq!(said(1, stderr), [], "{stderr}");
    }
}

#[test]
fn no_more_of_a_path_is_noted_than_where_it_begins() {
    let asked = |path: &str| raised("PermissionError", &format!("[Errno 13] Permission denied: '{path}'"));
    assert_eq!(asked("/etc/api?token=abc"), []);
    assert_eq!(asked("/etc/ssl/private/key.pem"), one("filesystem.workspace", "access to a file in /etc"));
    assert_eq!(asked("/pass=word/x"), one("filesystem.workspace", "access to a file"));
    assert_eq!(asked(&format!("/{}/x", "a".repeat(40))), one("filesystem.workspace", "access to a file"));
    assert_eq!(asked("/ but the password is hunter2"), []);
}

#[test]
fn a_place_is_not_another_that_begins_like_it() {
    assert_eq!(
        raised("PermissionError", "[Errno 13] Permission denied: '/workspaces/a'"),
        one("filesystem.workspace", "access to a file in /workspaces")
    );
    assert_eq!(
        raised("OSError", "[Errno 30] Read-only file system: '/workspace/a' -> '/etc/a'"),
        one("filesystem.workspace", "a change in /etc")
    );
}

#[test]
fn programs_that_do_not_run_where_one_writes_are_told_of_only_where_that_is_the_rule() {
    let strict = walls(|policy| policy.filesystem.exec = false);
    let run = |exit_code, stderr: &str| {
        let execution = Execution { exit_code, ..Execution::default() };
        let noted = met(&strict, &mut Outcome::Executed(execution), stderr);
        noted.into_iter().map(|noted| noted.denial.rule).collect::<Vec<_>>()
    };
    assert_eq!(run(126, "bash: line 1: /workspace/a: Permission denied\n"), ["filesystem.exec"]);
    assert_eq!(run(126, "/bin/bash: line 1: ./a: Permission denied\n"), ["filesystem.exec"]);
    assert_eq!(run(1, "cat: ./a: Permission denied\n"), Vec::<String>::new());
    assert_eq!(
        run(1, "ImportError: /workspace/a.so: failed to map segment from shared object\n"),
        ["filesystem.exec"]
    );
    assert_eq!(run(1, "spawnSync ./mine EACCES\n"), ["filesystem.exec"]);
    assert_eq!(said(1, "spawnSync ./mine EACCES\n"), []);
}

#[test]
fn limits_are_rules_with_their_values() {
    let limits = vec![
        LimitHit::Memory { limit: 1 },
        LimitHit::Disk { limit: 1 },
        LimitHit::Deadline { limit: Duration::from_secs(1) },
    ];
    // A call that went well was refused nothing, whatever state it leaves.
    let well = Execution { limits: limits.clone(), ..Execution::default() };
    assert_eq!(met(&walls(|_| ()), &mut Outcome::Executed(well), "").len(), 0);
    let execution = Execution { exit_code: 137, limits, ..Execution::default() };
    let walls = walls(|policy| policy.resources.memory = 300 << 20);
    let noted = met(&walls, &mut Outcome::Executed(execution), "");
    assert_eq!(noted.len(), 1);
    let text = noted[0].text();
    assert!(
        text.starts_with(
            "cloister refused more memory: the session's limit is 300MiB (rule resources.memory"
        ),
        "{text}"
    );
    assert!(text.ends_with("to raise resources.memory in the session's policy."), "{text}");
}

#[test]
fn each_rule_is_named_once_and_only_a_few_of_them() {
    let many = "a: /etc/1: Read-only file system\n".repeat(50)
        + "b: No space left on device\nc: write error: File too large\nd: Too many open files\ne: /etc/2: Read-only file system\n";
    let rules: Vec<_> = said(1, &many).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["filesystem.workspace", "resources.open_files", "filesystem.max_file"]);
}

#[test]
fn a_network_that_goes_through_the_proxy_says_so() {
    let walls = walls(|policy| policy.network.mode = NetworkMode::Open);
    let execution = Execution { exit_code: 1, ..Execution::default() };
    let noted =
        met(&walls, &mut Outcome::Executed(execution), "ping: example.com: Name or service not known\n");
    assert!(noted[0].text().contains("Send HTTP and HTTPS through the proxy"), "{}", noted[0].text());
}

#[test]
fn answers_without_a_place_for_refusals_have_the_text_where_the_error_is() {
    let walls = walls(|_| ());
    let mut failed = Outcome::Failed { message: "/etc/x: read-only: the image cannot be changed".into() };
    let noted = met(&walls, &mut failed, "");
    assert!(matches!(failed, Outcome::Failed { message } if message.ends_with(&noted[0].text())));

    let failure = |path: &str| PathFailure { path: path.into(), reason: "permission denied".into() };
    let mut removed = Outcome::Removed {
        removed: Vec::new(),
        failed: vec![failure("/etc/a"), failure("/etc/b"), failure("own")],
    };
    let noted = met(&walls, &mut removed, "");
    let Outcome::Removed { failed, .. } = removed else { panic!() };
    assert_eq!(noted.len(), 1);
    assert!(failed[0].reason.ends_with(&noted[0].text()), "{failed:?}");
    assert_eq!(failed[2].reason, "permission denied");

    let mut task = Outcome::Task(Task {
        id: "t".into(),
        status: TaskStatus::Failed,
        stdout: "".into(),
        stderr: "cp: cannot create '/etc/x': Read-only file system".into(),
        exit_code: Some(1),
        wall: Duration::ZERO,
    });
    let noted = met(&walls, &mut task, "");
    let Outcome::Task(task) = task else { panic!() };
    let stderr = String::from_utf8(task.stderr.to_vec()).unwrap();
    assert!(stderr.ends_with(&format!("Read-only file system\n{}\n", noted[0].text())), "{stderr}");
}

#[test]
fn a_full_storage_is_one_of_bytes_or_of_files_and_none_where_there_is_no_quota() {
    let full = |walls: &Walls, limits| {
        let execution = Execution { exit_code: 1, limits, ..Execution::default() };
        let noted = met(walls, &mut Outcome::Executed(execution), "cp: b: No space left on device\n");
        noted.into_iter().map(|noted| noted.denial.rule).collect::<Vec<_>>()
    };
    let files = vec![LimitHit::Files { limit: 1 }];
    assert_eq!(full(&walls(|_| ()), files), ["filesystem.inodes"]);
    assert_eq!(full(&walls(|_| ()), vec![LimitHit::Disk { limit: 1 }]), ["filesystem.disk"]);
    let places = vec!["/var/lib/own/workspace".to_owned()];
    let container = Walls::new(Arc::new(Policy::built_in("test")), places);
    assert_eq!(full(&container, Vec::new()), Vec::<String>::new());
}

#[test]
fn a_wasm_session_makes_no_system_calls_and_has_no_network_to_be_refused() {
    let walls = walls(|policy| policy.tier = WASM_TIER.into());
    for stderr in ["a: [Errno 1] Operation not permitted\n", "a: Temporary failure in name resolution\n"] {
        let execution = Execution { exit_code: 1, ..Execution::default() };
        assert_eq!(met(&walls, &mut Outcome::Executed(execution), stderr).len(), 0, "{stderr}");
    }
}

#[test]
fn looking_at_a_task_again_finds_the_same_refusal() {
    let walls = walls(|_| ());
    let look = || {
        let mut task = Outcome::Task(Task {
            id: "t".into(),
            status: TaskStatus::Failed,
            stdout: "".into(),
            stderr: "cp: '/etc/x': Read-only file system\n".into(),
            exit_code: Some(1),
            wall: Duration::ZERO,
        });
        met(&walls, &mut task, "")[0].id.clone()
    };
    assert_eq!(look(), look());
}

#[test]
fn what_is_not_text_or_half_a_form_is_read_without_harm() {
    for text in [
        "''''''",
        "‘’‘: permission denied",
        "x: é/etc’: Permission denied",
        ": : : ",
        "spawn",
        "spawn EACCES",
    ] {
        assert_eq!(said(1, text), [], "{text}");
    }
    let execution = Execution { exit_code: 1, ..Execution::default() };
    let mut note = |denial| Noted { id: DenialId::random().unwrap(), at: SystemTime::UNIX_EPOCH, denial };
    let noted = walls(|_| ()).met(
        &mut Outcome::Executed(execution),
        b"\xff\xfe: /etc/x: Read-only file system",
        &mut note,
    );
    assert_eq!(noted.len(), 1);
}
