//! pip, npm and git over HTTPS from inside a session: what they fetch arrives, nobody tells them of a proxy, and what is refused is said.
//!
//! ```text
//!   session: a wheel, a package, a repository are made ──files──▶ Far (TLS) ◀── proxy ◀── session: pip install, npm install, git clone
//! ```

use crate::packages::wheel_of;
use crate::programs::{serve, shell, trust};
use crate::server::{Place, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_tests::far::{Asked, Far, TestAuthority, answer};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What the far side has, by path.
type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

const MODULE: &str = "cloister_far_wheel";

/// Makes a package of npm's and a repository with one commit with the programs of the image, and prints their files.
const MAKE: &str = r#"
import base64, io, json, os, subprocess, tarfile
package = io.BytesIO()
with tarfile.open(fileobj=package, mode='w:gz') as archive:
    for name, text in [('package.json', json.dumps({'name': 'far-package', 'version': '1.0.0', 'main': 'index.js'})), ('index.js', 'module.exports = 6 * 7\n')]:
        entry = tarfile.TarInfo('package/' + name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
files = {'/far-package-1.0.0.tgz': package.getvalue()}
run = lambda *words: subprocess.run(words, check=True, capture_output=True)
run('git', 'init', '-q', '/tmp/made')
open('/tmp/made/answer.txt', 'w').write('42\n')
run('git', '-C', '/tmp/made', 'add', '.')
run('git', '-C', '/tmp/made', '-c', 'user.name=a', '-c', 'user.email=a@example.test', 'commit', '-qm', 'one')
run('git', 'clone', '-q', '--bare', '/tmp/made', '/tmp/made.git')
run('git', '-C', '/tmp/made.git', 'update-server-info')
for folder, _, names in os.walk('/tmp/made.git'):
    for name in names:
        path = os.path.join(folder, name)
        files['/far.git' + path[len('/tmp/made.git'):]] = open(path, 'rb').read()
print(json.dumps({path: base64.b64encode(content).decode() for path, content in files.items()}))
"#;

fn site(files: &Files, asked: &Asked) -> Vec<u8> {
    // git asks with a query, and takes the answer of a server that does not know it.
    let path = asked.path().split('?').next().unwrap_or_default();
    match files.lock().unwrap().get(path) {
        Some(body) if path.starts_with("/simple/") => answer("200 OK", "text/html", body),
        Some(body) => answer("200 OK", "application/octet-stream", body),
        None => answer("404 Not Found", "text/plain", b"no such file"),
    }
}

/// A far side with a wheel, a package and a repository, and a session that may reach it and nothing else.
fn stocked(place: &Place, folder: &std::path::Path, authority: &TestAuthority) -> (Server, String, Far) {
    let files = Files::default();
    let shelf = Arc::clone(&files);
    let far = Far::tls(authority, move |asked| site(&shelf, asked));
    let server = serve(place, folder, &format!("[network]\n{}", far.rules()), "");
    let id = server.session_of("local");
    let made = server.python(&id, MAKE).json();
    let made: HashMap<String, String> =
        serde_json::from_str(made["stdout"].as_str().unwrap()).unwrap_or_else(|e| panic!("{e}: {made}"));
    let mut files = files.lock().unwrap();
    files.extend(made.into_iter().map(|(path, text)| (path, STANDARD.decode(text).unwrap())));
    let wheel = format!("{MODULE}-1.0-py3-none-any.whl");
    let page = format!("<!DOCTYPE html><a href=\"/wheels/{wheel}\">{wheel}</a>");
    files.insert(format!("/simple/{}/", MODULE.replace('_', "-")), page.into_bytes());
    files.insert(format!("/wheels/{wheel}"), wheel_of(MODULE));
    let tarball = format!("https://{}/far-package-1.0.0.tgz", far.address);
    let version = json!({ "name": "far-package", "version": "1.0.0", "dist": { "tarball": tarball } });
    let document = json!({ "name": "far-package", "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": version } });
    files.insert("/far-package".into(), document.to_string().into_bytes());
    drop(files);
    (server, id, far)
}

#[test]
fn pip_npm_and_git_fetch_over_https_without_being_told_of_a_proxy() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (server, id, far) = stocked(&place, folder.path(), &authority);
    let trusting = trust(&server, &id, &authority);
    let url = format!("https://{}", far.address);
    for (program, command, shows) in [
        (
            "pip",
            format!(
                "pip install --index-url {url}/simple {MODULE} && python3 -c 'import {MODULE}; print({MODULE}.VALUE)'"
            ),
            "\n42\n",
        ),
        (
            "npm",
            format!(
                "mkdir p && cd p && npm install --registry {url}/ far-package && node -e 'console.log(require(\"far-package\"))'"
            ),
            "\n42\n",
        ),
        ("git", format!("git clone {url}/far.git c && cat c/answer.txt"), "42\n"),
        ("git again", "cd c && git pull && git ls-remote".into(), "refs/heads/main"),
    ] {
        let said = shell(&server, &id, &format!("{trusting}{command}"));
        assert!(said.starts_with("0 ") && said.contains(shows), "{program}: {said}");
        assert!(!far.asked().is_empty(), "{program}");
    }
    server.stop(&id);
    assert!(server.terminate().success());
}

#[test]
fn pip_npm_and_git_are_refused_other_hosts_at_once_and_the_refusal_is_on_record() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (server, id, far) = stocked(&place, folder.path(), &authority);
    let url = "https://elsewhere.example";
    for (program, command) in [
        ("pip", format!("pip install --index-url {url}/simple {MODULE}")),
        ("npm", format!("npm install --registry {url}/ far-package")),
        ("git", format!("git clone {url}/far.git c")),
    ] {
        let said = shell(&server, &id, &command);
        let why = "cloister refused: port 443 is not allowed";
        assert!(!said.starts_with("0 ") && said.contains(why), "{program}: {said}");
    }
    assert!(far.asked().is_empty());
    assert!(server.detail(&id)["egress"]["refused"].as_u64() >= Some(3));
    // git fails as it does elsewhere, where no proxy has refused anything.
    let said = shell(&server, &id, "git clone /nowhere c; git -C /tmp log");
    assert!(said.starts_with("128 ") && !said.contains("cloister"), "{said}");
    let without = server.session();
    let said = shell(&server, &without, &format!("git clone {url}/far.git c"));
    assert!(said.starts_with("128 ") && said.contains("this session has no network"), "{said}");
    // Whoever asks in plain HTTP gets the whole page.
    let said = shell(&server, &id, "curl -sS http://elsewhere.example/");
    assert!(said.contains("cloister refused") && said.contains("/run/cloister/allowed.md"), "{said}");
}
