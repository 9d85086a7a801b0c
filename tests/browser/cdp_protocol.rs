//! The policy of CDP methods against the protocol of the Chromium that is installed: what a new version brings is found by name.

use cloister_tests::needs;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the image is made of, too.
const PROGRAM: &str = "/usr/lib/chromium/chromium-headless-shell";
/// An ordinary user: Chromium's own sandbox stays on.
const USER: u32 = 31_500;
const PLENTY: Duration = Duration::from_secs(60);

struct Chromium {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its other processes end a moment later, and write until then.
        while self.folder.path().exists() {
            drop(std::fs::remove_dir_all(self.folder.path()));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `/json/protocol` of a Chromium on a port of the loopback that it chooses itself, with no page in it but the empty one.
fn protocol() -> Option<Value> {
    if !Path::new(PROGRAM).exists() {
        needs::skip(&format!("{PROGRAM} is not there (apt-get install chromium-headless-shell)"));
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    if nix::unistd::geteuid().is_root() {
        chown(folder.path(), Some(USER), Some(USER)).unwrap();
        command.uid(USER).gid(USER);
    }
    let child = command
        .args(["--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "about:blank"])
        .arg(format!("--user-data-dir={}", folder.path().display()))
        .env_clear()
        .env("HOME", folder.path())
        .env("TZ", "UTC")
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let chromium = Chromium { child, folder };
    let published = chromium.folder.path().join("DevToolsActivePort");
    let started = Instant::now();
    let port: u16 = loop {
        let text = std::fs::read_to_string(&published).unwrap_or_default();
        if let Some(port) = text.lines().next().and_then(|line| line.parse().ok()) {
            break port;
        }
        assert!(started.elapsed() < PLENTY, "Chromium opens no port");
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(PLENTY)).unwrap();
    write!(connection, "GET /json/protocol HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
    let (mut answer, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let got = connection.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..got]);
        let split = answer.windows(4).position(|four| four == b"\r\n\r\n");
        // The description is one JSON document; it is whole when it can be read.
        if let Some(Ok(whole)) = split.map(|at| serde_json::from_slice(&answer[at + 4..])) {
            return Some(whole);
        }
        assert_ne!(got, 0, "Chromium's answer is no description of a protocol: {} bytes", answer.len());
    }
}

#[test]
fn every_method_of_the_installed_browser_is_classified_and_none_that_it_does_not_have() {
    let Some(protocol) = protocol() else { return };
    let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
    let list = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
    let mut has = BTreeSet::new();
    for domain in list(&protocol, "domains") {
        let name = text(&domain, "domain");
        has.extend(
            list(&domain, "commands").iter().map(|command| format!("{name}.{}", text(command, "name"))),
        );
    }
    assert!(has.len() > 600, "{}", has.len());
    let policy: Value = serde_json::from_str(include_str!("../../policies/cdp/methods.json")).unwrap();
    let mut classified = BTreeSet::new();
    for rule in list(&policy, "rules") {
        let domain = text(&rule, "domain");
        classified
            .extend(list(&rule, "methods").iter().map(|name| format!("{domain}.{}", name.as_str().unwrap())));
    }
    let listed: Value = serde_json::from_str(include_str!("../../policies/cdp/protocol.json")).unwrap();
    let mut known = BTreeSet::new();
    for (domain, names) in listed["domains"].as_object().unwrap() {
        let names = names.as_array().unwrap().iter();
        known.extend(names.map(|name| format!("{domain}.{}", name.as_str().unwrap())));
    }
    for (file, holds) in [("methods.json", &classified), ("protocol.json", &known)] {
        let open: Vec<_> = has.difference(holds).collect();
        let idle: Vec<_> = holds.difference(&has).collect();
        assert!(
            open.is_empty() && idle.is_empty(),
            "policies/cdp/{file}: not in it: {open:?}; not in the browser: {idle:?}"
        );
    }
}
