//! `pip install` from inside a session: through the egress proxy where the policy gives a network, a sentence where it does not.
//!
//! ```text
//!   session ── pip ──▶ proxy ──▶ the index of this test: one page, one wheel, on a loopback address of its own
//! ```

use crate::server::{Place, Server};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A package that no other index has.
const NAME: &str = "cloister_test_wheel";

/// A simple repository (PEP 503) with one package.
struct Index {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Index {
    fn open() -> Self {
        // 127.0.0.0/8 is this host's; an address of this process's own, which no proxy variable exempts.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let listener = TcpListener::bind((Ipv4Addr::new(127, 83, high, low), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ending) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&ending));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                answer(stream, &log);
            }
        });
        Self { address, asked, ending, thread: Some(thread) }
    }

    /// What was asked for since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The arguments of a `pip install` from here.
    fn arguments(&self) -> String {
        let Self { address, .. } = self;
        format!("--index-url http://{address}/simple --trusted-host {} {NAME}", address.ip())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// One request of one connection.
fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(request) = lines.next() else { return };
    lines.for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let file = format!("{NAME}-1.0-py3-none-any.whl");
    let (status, kind, body) = if path.ends_with(&file) {
        ("200 OK", "application/octet-stream", wheel())
    } else if path.contains(&NAME.replace('_', "-")) {
        ("200 OK", "text/html", format!("<!DOCTYPE html><a href=\"/files/{file}\">{file}</a>").into_bytes())
    } else {
        ("404 Not Found", "text/plain", Vec::new())
    };
    log.lock().unwrap().push(path);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
}

fn wheel() -> Vec<u8> {
    wheel_of(NAME)
}

/// A pure wheel of a module: a zip archive whose files are stored as they are.
pub fn wheel_of(module: &str) -> Vec<u8> {
    let info = format!("{module}-1.0.dist-info");
    let files = [
        (format!("{module}.py"), "VALUE = 6 * 7\n".to_owned()),
        (format!("{info}/METADATA"), format!("Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
        (
            format!("{info}/RECORD"),
            format!("{module}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"),
        ),
    ];
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let long = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    for (name, text) in &files {
        // Version 2.0, no flags, stored, 1 January 1980.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32fast::hash(text.as_bytes()).to_le_bytes());
        common.extend(long(text.len()));
        common.extend(long(text.len()));
        common.extend(short(name.len()));
        common.extend(short(0));
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, first disk, text, a regular file.
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(long(archive.len()));
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(text.as_bytes());
    }
    let begin = archive.len();
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(short(files.len()));
    archive.extend(short(files.len()));
    archive.extend(long(directory.len()));
    archive.extend(long(begin));
    archive.extend(short(0));
    archive
}

/// A server with a second interpreter, whose sessions reach the index and nothing else.
fn serve(place: &Place, index: &Index, folder: &tempfile::TempDir) -> Server {
    let (ip, port) = (index.address.ip(), index.address.port());
    let policy =
        format!("[network]\nmode = \"allowlist\"\nallowed_cidrs = [\"{ip}/32\"]\nports = [{port}]\n");
    std::fs::write(folder.path().join("local.toml"), policy).unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "[interpreters.local]\npolicy = \"local\"\n").unwrap();
    let (policies, config) = (folder.path().display(), config.display());
    place.serve_in(&[], &format!("exec \"$@\" --policies {policies} --config {config}"))
}

/// Status, standard output and standard error of a shell command in a session.
fn shell(server: &Server, id: &str, command: &str) -> String {
    let code = format!(
        "import subprocess\nr = subprocess.run({command:?}, shell=True, capture_output=True, text=True)\nprint(r.returncode, r.stdout, r.stderr)"
    );
    server.python(id, &code).json()["stdout"].as_str().unwrap().to_owned()
}

#[test]
fn pip_installs_from_an_index_that_the_policy_allows_and_what_it_installs_can_be_imported() {
    let Some(place) = Place::new() else { return };
    let (index, folder) = (Index::open(), tempfile::tempdir().unwrap());
    let server = serve(&place, &index, &folder);
    let id = server.session_of("local");
    let said = shell(&server, &id, &format!("pip install {}", index.arguments()));
    assert!(said.starts_with("0 ") && said.contains("Successfully installed"), "{said}");
    let asked = index.asked();
    assert!(
        asked.iter().any(|path| path.starts_with("/simple/"))
            && asked.iter().any(|path| path.ends_with(".whl")),
        "{asked:?}"
    );
    let value = shell(&server, &id, &format!("python3 -c 'import {NAME}; print({NAME}.VALUE)'"));
    assert!(value.starts_with("0 42\n"), "{value}");
    // The same in the interpreter that was running while it was installed, and in a virtual environment.
    let code = format!(
        "import importlib, site, sys\nsys.path.append(site.getusersitepackages())\nimportlib.invalidate_caches()\nimport {NAME}\n{NAME}.VALUE"
    );
    assert_eq!(server.value(&id, &code), "42");
    let made = shell(&server, &id, "python3 -m venv v");
    assert!(made.starts_with("0 "), "{made}");
    let said = shell(&server, &id, &format!("v/bin/pip install {}", index.arguments()));
    assert!(said.starts_with("0 ") && said.contains("Successfully installed"), "in a venv: {said}");
    // Nothing else than the index is reached: another address of the same host, another port.
    let port = index.address.port();
    index.asked();
    for url in
        [format!("http://127.83.255.254:{port}/"), format!("http://{}:{}/", index.address.ip(), port ^ 1)]
    {
        let code = format!(
            "import urllib.request, urllib.error\ntry: status = urllib.request.urlopen({url:?}).status\nexcept urllib.error.HTTPError as e: status = e.code\nstatus"
        );
        assert_eq!(server.value(&id, &code), "403", "{url}");
    }
    assert_eq!(index.asked(), Vec::<String>::new());
    server.stop(&id);
    assert!(server.terminate().success());
}

#[test]
fn pip_without_a_network_says_so_in_a_sentence_and_asks_nobody() {
    let Some(place) = Place::new() else { return };
    let (index, folder) = (Index::open(), tempfile::tempdir().unwrap());
    let server = serve(&place, &index, &folder);
    let id = server.session();
    for pip in ["pip", "pip3", "python3 -m pip"] {
        let said = shell(&server, &id, &format!("{pip} install {}", index.arguments()));
        assert!(said.starts_with("1 ") && said.contains("this session has no network"), "{pip}: {said}");
        assert!(said.contains("network.mode = \"none\""), "{pip}: {said}");
        // At once: it has not even tried.
        assert!(!said.contains("Retrying") && !said.contains("Looking in indexes"), "{pip}: {said}");
    }
    let made = shell(&server, &id, "python3 -m venv v");
    assert!(made.starts_with("0 "), "{made}");
    let said = shell(&server, &id, &format!("v/bin/pip install {}", index.arguments()));
    assert!(said.starts_with("1 ") && said.contains("this session has no network"), "in a venv: {said}");
    assert_eq!(index.asked(), Vec::<String>::new());
    server.stop(&id);
}
