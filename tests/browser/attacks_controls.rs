//! Controls: the same Chromium with a wall taken away, so that what the other tests do not see is known to be held back by that wall.
//!
//! ```text
//!   uncovered   the image's own program in the canary's network, no sandbox of ours and no proxy   packets that go where they like
//!   unfiltered  in our sandbox, spoken to over its pipe with no broker in between                  files that a client may name
//! ```

use crate::attacks_canary::{Canary, PUBLIC, until};
use cloister_tests::browser::{shipped, with_browser};
use cloister_tests::needs;
use cloister_tests::server::Place;
use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Who it runs as: its own sandbox wants no root.
const USER: u32 = 64_124;

/// A Chromium outside of every wall of ours. Its own sandbox stands.
struct Uncovered {
    child: Child,
    to: std::fs::File,
    from: BufReader<std::fs::File>,
    last: u64,
}

impl Uncovered {
    /// Starts the program of the whole Chromium's image, which takes every hint that a page gives, in the network and the mounts of this thread.
    fn start(folder: &std::path::Path) -> Self {
        let root = needs::images().unwrap().join("chromium/current/root").canonicalize().unwrap();
        // Not in root's home, where nobody else may go; and no other root, from which nobody may make the namespaces of a sandbox.
        let (image, home) = (std::path::Path::new("/mnt"), folder.join("home"));
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
        std::os::unix::fs::chown(&home, Some(USER), Some(USER)).unwrap();
        let none = None::<&str>;
        // INVARIANT: outside of the test's folder and read-only, or the folder's removal would be the image's.
        mount(Some(&root), image, none, MsFlags::MS_BIND, none).unwrap();
        mount(none, image, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
        let ((reads, to), (from, writes)) = (nix::unistd::pipe().unwrap(), nix::unistd::pipe().unwrap());
        // The shell puts the pipe's ends where Chromium looks for them.
        let script = format!(
            "exec 3<&{} 4>&{}; exec setpriv --reuid={USER} --regid={USER} --clear-groups env LD_LIBRARY_PATH=\"$0/usr/lib/x86_64-linux-gnu\" \"$0/usr/lib/chromium/chromium\" --headless=new --remote-debugging-pipe --user-data-dir=\"$HOME\" --disable-gpu --disable-breakpad --disable-dev-shm-usage about:blank",
            reads.as_raw_fd(),
            writes.as_raw_fd()
        );
        let child = Command::new("bash")
            .args(["-c", &script])
            .arg(image)
            .env_clear()
            .envs([
                ("PATH", "/usr/sbin:/usr/bin:/bin"),
                ("HOME", home.to_str().unwrap()),
                ("TMPDIR", home.to_str().unwrap()),
                ("TZ", "UTC"),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        drop((reads, writes));
        let [to, from] = [to, from].map(std::fs::File::from);
        Self { child, to, from: BufReader::new(from), last: 0 }
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            assert!(self.from.read_until(0, &mut bytes).unwrap() > 0, "the browser has ended");
            bytes.pop();
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == self.last {
                return message["result"].clone();
            }
        }
    }

    /// A page at a URL.
    fn page(&mut self, url: &str) -> String {
        let target = self.call(None, "Target.createTarget", json!({ "url": url }))["targetId"].clone();
        let attached = self.call(None, "Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        attached["sessionId"].as_str().unwrap().to_owned()
    }

    fn evaluate(&mut self, page: &str, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        self.call(Some(page), "Runtime.evaluate", params)["result"]["value"].clone()
    }
}

impl Drop for Uncovered {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// NET-14, BRW-13, BRW-14, BRW-03: without our network and proxy, the very same pages send what the other tests do not see.
#[test]
fn without_the_walls_webrtc_hints_and_forbidden_addresses_arrive() {
    if !nix::unistd::geteuid().is_root() {
        return needs::skip_unless_root("a network of the test's own needs root");
    }
    if !needs::image("chromium") {
        return;
    }
    let world = std::thread::Builder::new().name("without the walls".to_owned());
    let done = world.spawn(|| {
        let Some(place) = Place::new() else { return };
        let canary = Canary::new(place.path());
        // WebRTC speaks from addresses of interfaces, loopback's excepted.
        for arguments in ["link add eth0 type veth peer name eth1", "addr add 192.0.2.7/24 dev eth0", "link set eth0 up", "link set eth1 up"] {
            let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
            if !output.status.success() {
                return needs::skip("this kernel has no pairs of interfaces (veth)");
            }
        }
        let mut browser = Uncovered::start(place.path());
        let page = browser.page(&format!("http://{PUBLIC}/start"));
        until("the page", || browser.evaluate(&page, "document.readyState + document.title") == "completecanary");
        browser.evaluate(
            &page,
            &format!(
                "(async () => {{ const peer = new RTCPeerConnection({{iceServers: [{{urls: 'stun:{PUBLIC}:3478'}}, {{urls: 'stun:169.254.169.254:80'}}]}});
                   peer.createDataChannel('x'); await peer.setLocalDescription(await peer.createOffer()); window.peer = peer; }})()"
            ),
        );
        browser.evaluate(&page, "for (const [rel, host] of [['dns-prefetch', 'secret-in-a-name.test'], ['preconnect', '93.184.215.98'], ['prefetch', '93.184.215.99']]) { const l = document.createElement('link'); l.rel = rel; l.href = `http://${host}/hint`; document.head.append(l); }");
        // Pages of the public may not fetch from private networks, says Chromium itself; a person may go there.
        for host in ["169.254.169.254", "10.0.0.5", "127.0.0.1", "metadata.test"] {
            browser.page(&format!("http://{host}/opened"));
        }
        for packet in [&format!("udp {PUBLIC}:3478"), "udp 169.254.169.254:80", "tcp 93.184.215.98:80", "tcp 93.184.215.99:80"] {
            until(packet, || canary.sent().iter().any(|sent| sent == packet));
        }
        until("the name of the hint", || canary.names().iter().any(|name| name.starts_with("secret-in-a-name.test ")));
        for address in ["169.254.169.254", "10.0.0.5", "127.0.0.1"] {
            let opened = format!("{address}:80 GET /opened");
            until(&opened, || canary.asked().contains(&opened));
        }
        until("the metadata service by its name", || canary.asked().iter().filter(|asked| asked.starts_with("169.254.")).count() > 1);
    });
    if let Err(panic) = done.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// BRW-06, BRW-02, BRW-20: without the broker, the browser takes every file of its root, opens it as a page, and lets certificates be.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_broker_a_client_names_every_file_and_ignores_certificates() {
    with_browser(shipped("browser"), async |browser| {
        let page = browser.page().await;
        browser.navigate(&page, "data:text/html,<input type=file id=f>").await;
        let input = browser
            .call(Some(&page), "Runtime.evaluate", json!({"expression": "document.querySelector('#f')"}))
            .await;
        let object = &input["result"]["result"]["objectId"];
        let params = json!({"files": ["/etc/passwd"], "objectId": object});
        let answer = browser.call(Some(&page), "DOM.setFileInputFiles", params).await;
        assert!(answer["error"].is_null(), "{answer}");
        let text = browser.evaluate(&page, "document.querySelector('#f').files[0].text()").await;
        assert!(text.as_str().unwrap().contains("root:"), "{text}");
        browser.navigate(&page, "file:///etc/passwd").await;
        let text = browser.evaluate(&page, "document.body.innerText").await;
        assert!(text.as_str().unwrap().contains("root:"), "{text}");
        let answer =
            browser.call(Some(&page), "Security.setIgnoreCertificateErrors", json!({"ignore": true})).await;
        assert!(answer["error"].is_null(), "{answer}");
    })
    .await;
}
