//! The way out of sessions, through the real server: targets on this machine that the operator has named, and nothing beside them.

use crate::server::{Answer, Place, Server};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

/// Asks for a URL through the proxy that the environment names. Loopback is the session's own to its programs (NO_PROXY says so),
/// and the machine's to a program that lets go of that variable, as a browser does.
const GET: &str = "
import os, urllib.request, urllib.error
for name in ('NO_PROXY', 'no_proxy'):
    os.environ.pop(name, None)
def get(url):
    try:
        answer = urllib.request.urlopen(url, timeout=20)
        return f'{answer.status} {answer.read().decode()}'
    except urllib.error.HTTPError as error:
        return f'{error.code} {error.read().decode()}'
    except OSError as error:
        return f'no answer: {error}'
";

/// A page on loopback, and how often it has been asked for.
struct Page {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _end: mpsc::Sender<()>,
}

impl Page {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (end, ended) = mpsc::channel::<()>();
        let counter = Arc::clone(&asked);
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while matches!(ended.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                let Ok((mut stream, _)) = listener.accept() else {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    continue;
                };
                counter.fetch_add(1, SeqCst);
                stream.set_nonblocking(false).unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nthe page");
            }
        });
        Self { address, asked, _end: end }
    }
}

fn start(place: &Place, arguments: &[&str]) -> Server {
    let config = place.path().join("cloister.toml");
    std::fs::write(&config, "[server]\npolicies_by_name = 'all'\n").unwrap();
    let mut all = vec!["--config", config.to_str().unwrap()];
    all.extend(arguments);
    place.serve_with(0, &all)
}

fn session(server: &Server, policy: &str) -> String {
    let answer: Answer = server.request("POST", "/v1/sessions", &[], Some(json!({ "interpreter": policy })));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn get(server: &Server, session: &str, url: &str) -> String {
    server.value(session, &format!("{GET}\nget({url:?})"))
}

#[test]
fn a_named_loopback_target_is_reached_by_sessions_with_a_network_and_by_no_others() {
    let Some(place) = Place::new() else { return };
    let (named, other) = (Page::new(), Page::new());
    let server = start(&place, &["--allow-loopback", &format!("localhost:{}", named.address.port())]);
    let public = session(&server, "public");
    for host in ["127.0.0.1", "localhost"] {
        let answer = get(&server, &public, &format!("http://{host}:{}/", named.address.port()));
        assert!(answer.contains("200 the page"), "{answer}");
    }
    for url in [
        format!("http://127.0.0.1:{}/", other.address.port()),
        format!("http://127.0.0.2:{}/", named.address.port()),
        format!("http://{}/livez", server.address()),
        "http://169.254.169.254/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
    ] {
        let answer = get(&server, &public, &url);
        assert!(answer.contains("403 cloister refused"), "{url}: {answer}");
    }
    let asked = named.asked.load(SeqCst);
    let closed = session(&server, "default");
    let answer = get(&server, &closed, &format!("http://127.0.0.1:{}/", named.address.port()));
    assert!(answer.contains("no answer"), "{answer}");
    assert_eq!((named.asked.load(SeqCst), other.asked.load(SeqCst)), (asked, 0));
    assert!(server.terminate().success());
}

#[test]
fn a_target_that_is_not_loopback_stops_the_server_with_a_sentence() {
    let Some(place) = Place::new() else { return };
    for target in ["10.0.0.1:80", "169.254.169.254:80", "[::ffff:127.0.0.1]:80", "0.0.0.0:80"] {
        let refused = place.refused(&format!("exec \"$@\" --allow-loopback '{target}'"));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && said.contains("opens loopback only"), "{target}: {said}");
    }
}

#[test]
fn a_command_of_this_machine_gets_the_servers_variables_its_own_streams_and_its_own_exit_code() {
    let Some(place) = Place::new() else { return };
    let run = |script: &str| {
        let data = place.path().to_str().unwrap();
        place.command(&["run", "--data-dir", data, "--", "sh", "-c", script])
    };
    let alone = run("true");
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(alone.status.code() == Some(125) && said.contains("no cloister server answers at"), "{said}");

    let server = place.serve(0);
    let ran = run("echo $AWS_ENDPOINT_URL_BEDROCK_AGENTCORE; echo $PYTHONPATH; echo two >&2; exit 7");
    assert_eq!(ran.status.code(), Some(7));
    let shim = place.path().canonicalize().unwrap().join("shim");
    let expected = format!("http://{}\n{}\n", server.address(), shim.display());
    assert_eq!(String::from_utf8_lossy(&ran.stdout), expected);
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "two\n");
    let data = place.path().to_str().unwrap();
    let missing = place.command(&["run", "--data-dir", data, "--", "/no/such/program"]);
    assert_eq!(missing.status.code(), Some(127));
}
