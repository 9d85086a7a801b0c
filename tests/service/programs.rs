//! Programs of the image find the way out by themselves: nobody sets a proxy, an option or a file for them.
//!
//! ```text
//!   session ── curl, wget, git, npm, Python, Node.js, Deno ──▶ proxy ──▶ a TLS server of this test
//! ```

use crate::server::{Place, Server};
use cloister_tests::far::{Asked, Far, TestAuthority, answer};
use serde_json::{Value, json};

/// A server with the interpreter `local`, whose sessions have this policy.
pub fn serve(place: &Place, folder: &std::path::Path, policy: &str, config: &str) -> Server {
    std::fs::write(folder.join("local.toml"), policy).unwrap();
    let file = folder.join("config");
    std::fs::write(&file, format!("[interpreters.local]\npolicy = \"local\"\n{config}")).unwrap();
    let (policies, config) = (folder.display(), file.display());
    place.serve_in(&[], &format!("exec \"$@\" --policies {policies} --config {config}"))
}

/// Exit code, standard output and standard error of a shell command in a session.
pub fn shell(server: &Server, id: &str, command: &str) -> String {
    let code = format!(
        "import subprocess\nr = subprocess.run({command:?}, shell=True, capture_output=True, text=True)\nprint(r.returncode, r.stdout, r.stderr)"
    );
    server.python(id, &code).json()["stdout"].as_str().unwrap().to_owned()
}

/// Commands that print what is at a URL, by program.
pub fn programs(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("curl", format!("curl -sS {url}")),
        ("wget", format!("wget -nv -O- {url}")),
        ("urllib", format!("python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}\").read())'")),
        ("requests", format!("python3 -c 'import requests; print(requests.get(\"{url}\").text)'")),
        ("httpx", format!("python3 -c 'import httpx; print(httpx.get(\"{url}\").text)'")),
        ("node fetch", format!("node -e 'fetch(\"{url}\").then(a => a.text()).then(console.log)'")),
        ("node https", format!("node -e 'require(\"https\").get(\"{url}\", a => a.pipe(process.stdout))'")),
        ("deno", format!("deno eval 'console.log(await (await fetch(\"{url}\")).text())'")),
    ]
}

/// Lets the programs of a session trust the test's authority, as an image with a site's authority does for all.
pub fn trust(server: &Server, id: &str, authority: &TestAuthority) -> String {
    let code = format!("open('/tmp/ca.pem', 'w').write({:?})", authority.pem());
    server.value(id, &code);
    let names = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "PIP_CERT"];
    let words: Vec<_> = names.iter().map(|name| format!("{name}=/tmp/ca.pem")).collect();
    // wget reads no variable; every other program is left to itself.
    format!("export {}; wget() {{ command wget --ca-certificate=/tmp/ca.pem \"$@\"; }}; ", words.join(" "))
}

/// A page, an empty repository of git's dumb protocol, and a registry of npm's with one package, whose file is missing.
fn site(asked: &Asked) -> Vec<u8> {
    let path = asked.path();
    match path {
        "/page" => answer("200 OK", "text/plain", b"the page"),
        "/missing-package" => answer("404 Not Found", "application/json", b"{}"),
        "/some-package" => {
            let versions = json!({ "1.0.0": { "name": "some-package", "version": "1.0.0" } });
            let document =
                json!({ "name": "some-package", "dist-tags": { "latest": "1.0.0" }, "versions": versions });
            answer("200 OK", "application/json", document.to_string().as_bytes())
        }
        _ if path.starts_with("/empty.git/info/refs") => answer("200 OK", "text/plain", b""),
        "/empty.git/HEAD" => answer("200 OK", "text/plain", b"ref: refs/heads/main\n"),
        _ => answer("404 Not Found", "text/plain", b""),
    }
}

#[test]
fn programs_of_the_image_use_the_way_out_without_being_told() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let far = Far::tls(&authority, site);
    let server = serve(&place, folder.path(), &format!("[network]\n{}", far.rules()), "");
    let id = server.session_of("local");
    let trusting = trust(&server, &id, &authority);
    let url = format!("https://{}", far.address);
    for (program, command) in programs(&format!("{url}/page")) {
        let said = shell(&server, &id, &format!("{trusting}{command}"));
        assert!(said.starts_with("0 ") && said.contains("the page"), "{program}: {said}");
        assert_eq!(far.asked().len(), 1, "{program}");
    }
    let said = shell(&server, &id, &format!("{trusting}git clone {url}/empty.git /tmp/clone"));
    assert!(said.starts_with("0 ") && said.contains("empty repository"), "{said}");
    // In the interpreters that were running before, as well.
    let code = format!(
        "import requests\nwith open('/tmp/ca.pem') as f: pass\nrequests.get('{url}/page', verify='/tmp/ca.pem').text"
    );
    assert_eq!(server.value(&id, &code), "'the page'");

    // What has passed is told by host.
    let detail = server.detail(&id);
    let (egress, host) = (&detail["egress"], &detail["egress"]["hosts"][0]);
    assert_eq!(host["host"], far.address.ip().to_string(), "{egress}");
    for field in ["bytesOut", "bytesIn", "connections", "refused"] {
        assert_eq!(host[field], egress[field], "{field}: {egress}");
    }
    assert!(host["connections"].as_u64() >= Some(9) && host["bytesIn"].as_u64() >= Some(9 * 100), "{egress}");
    assert_eq!(egress["hosts"].as_array().map(Vec::len), Some(1), "{egress}");
    server.stop(&id);
    assert_eq!(server.detail(&id)["egress"], Value::Null);
    assert!(server.terminate().success());
}

#[test]
fn npm_asks_its_registry_through_the_proxy_and_a_session_without_a_network_has_no_account() {
    let Some(place) = Place::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let far = Far::plain(site);
    let server = serve(&place, folder.path(), &format!("[network]\n{}", far.rules()), "");
    let id = server.session_of("local");
    let said =
        shell(&server, &id, &format!("npm view some-package version --registry http://{}/", far.address));
    assert!(said.starts_with("0 1.0.0"), "{said}");
    let said =
        shell(&server, &id, &format!("npm install missing-package --registry http://{}/", far.address));
    assert!(said.starts_with("1 ") && said.contains("404"), "{said}");
    assert!(far.asked().iter().any(|asked| asked.path() == "/missing-package"));
    assert_eq!(server.detail(&server.session())["egress"], Value::Null);
}

#[test]
fn a_host_that_has_had_its_bytes_gets_no_more_and_connections_that_come_too_fast_are_told_to_wait() {
    let Some(place) = Place::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let far = Far::plain(|_| answer("200 OK", "text/plain", &[b'x'; 6000]));
    let limits = "host_bytes = 10000\nconnection_rate = 5\n";
    let server = serve(&place, folder.path(), &format!("[network]\n{}{limits}", far.rules()), "");
    let id = server.session_of("local");
    let get = |n: u32| {
        let url = format!("http://{}/{n}", far.address);
        shell(&server, &id, &format!("curl -s -o /dev/null -w '%{{http_code}} %{{size_download}}' {url}"))
    };
    assert!(get(1).starts_with("0 200 6000"), "the first is within the budget");
    // The second is cut where the budget ends, and the third is not begun.
    let second = get(2);
    assert!(second.starts_with("18 200 "), "{second}");
    let said = shell(&server, &id, &format!("curl -sS http://{}/3", far.address));
    assert!(said.contains("cloister refused") && said.contains("network.host_bytes"), "{said}");
    let paths: Vec<_> = far.asked().iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(paths, ["/1", "/2"]);
    let status: Vec<_> = (0..4).map(get).map(|said| said[..5].to_owned()).collect();
    assert!(status.contains(&"0 429".to_owned()) && status.contains(&"0 403".to_owned()), "{status:?}");
}
