//! `pip install` from the operator's mirror, through the index of the proxy's own: what the policy takes and nothing else.
//!
//! ```text
//!   session ── pip ──▶ packages.cloister (the proxy) ──▶ the mirror of this test: pages and wheels
//! ```

use crate::packages::wheel_of;
use crate::programs::{serve, shell};
use crate::server::Place;
use cloister_tests::far::{Asked, Far, TestAuthority, answer};
use cloister_tests::needs;
use sha2::{Digest, Sha256};
use std::net::{SocketAddr, ToSocketAddrs};

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Projects: `good-wheel` (two versions, one too young), `only-source`, `no-hash`, `bad-hash`, `not-allowed`, and any other: none.
fn mirror(asked: &Asked) -> Vec<u8> {
    let path = asked.path();
    if let Some(file) = path.strip_prefix("/files/") {
        let project = file.split('-').next().unwrap_or_default();
        return answer("200 OK", "application/octet-stream", &wheel_of(project));
    }
    let project = path.trim_start_matches("/root/simple/").trim_end_matches('/');
    let module = project.replace('-', "_");
    let file = format!("{module}-1.0-py3-none-any.whl");
    let good = sum(&wheel_of(&module));
    let link = |name: &str, hash: &str| serde_json::json!({ "filename": name, "url": format!("../../../files/{name}"), "hashes": { "sha256": hash }, "upload-time": "2020-01-01T00:00:00Z" });
    let files = match project {
        "good-wheel" => {
            let mut young = link("good_wheel-2.0-py3-none-any.whl", &good);
            young["upload-time"] = "2999-01-01T00:00:00Z".into();
            vec![link(&file, &good), young, link("good_wheel-1.5.tar.gz", &good)]
        }
        "not-allowed" => vec![link(&file, &good)],
        "only-source" => vec![link("only_source-1.0.tar.gz", &good)],
        "no-hash" => {
            vec![serde_json::json!({ "filename": file, "url": format!("/files/{file}"), "hashes": {} })]
        }
        "bad-hash" => vec![link(&file, &sum(b"something else"))],
        _ => return answer("404 Not Found", "text/plain", b""),
    };
    let page = serde_json::json!({ "meta": { "api-version": "1.1" }, "name": project, "files": files });
    answer("200 OK", "application/vnd.pypi.simple.v1+json", page.to_string().as_bytes())
}

fn policy(index: &str, rest: &str) -> String {
    format!(
        "[network]\nmode = \"allowlist\"\n[packages]\ninstall = \"mirror\"\nindex = \"{index}\"\n\
         allow = [\"good-wheel\", \"only-source\", \"no-hash\", \"bad-hash\", \"unknown\"]\n{rest}"
    )
}

#[test]
fn pip_gets_from_the_mirror_what_the_policy_takes_and_can_be_asked_why_it_gets_nothing_else() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let far = Far::tls(&authority, mirror);
    let index = format!("https://{}/root/simple/", far.address);
    let config = format!("[egress]\nca = \"{}/ca.pem\"\n", folder.path().display());
    let server = serve(&place, folder.path(), &policy(&index, "min_age = \"24h\"\n"), &config);
    let id = server.session_of("local");
    let said = shell(
        &server,
        &id,
        "pip install good_wheel && python3 -c 'import good_wheel; print(good_wheel.VALUE)'",
    );
    assert!(said.starts_with("0 ") && said.contains("good_wheel-1.0") && said.contains("42"), "{said}");
    let paths: Vec<_> = far.asked().iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(paths, ["/root/simple/good-wheel/", "/files/good_wheel-1.0-py3-none-any.whl"]);
    let said = shell(&server, &id, "python3 -m venv v && v/bin/pip install good-wheel==1.0");
    assert!(said.starts_with("0 ") && said.contains("Successfully installed"), "in a venv: {said}");

    far.asked();
    for (project, parts) in [
        ("not-allowed", ["not on the list of allowed packages", "packages.allow"]),
        ("only-source", ["source archive", "packages.wheels_only"]),
        ("no-hash", ["no SHA-256", "packages.require_hashes"]),
        ("good-wheel==2.0", ["No matching distribution", "good-wheel==2.0"]),
        ("unknown", ["the mirror does not have it", "unknown"]),
    ] {
        let said = shell(&server, &id, &format!("pip -vv install {project}"));
        assert!(said.starts_with("1 ") && parts.iter().all(|part| said.contains(part)), "{project}: {said}");
    }
    // Not even asked for, and no file of any.
    assert!(
        far.asked()
            .iter()
            .all(|asked| !asked.path().contains("not-allowed") && !asked.path().contains("/files/"))
    );
    let said = shell(&server, &id, "pip install bad-hash");
    assert!(said.starts_with("1 ") && !said.contains("Successfully"), "{said}");
    // By its address neither, nor anything else of the mirror or of the world.
    let curl = "curl -sS -o /dev/null -w '%{http_code}'";
    for (url, status) in [
        ("http://packages.cloister/files/not-allowed/not_allowed-1.0-py3-none-any.whl".to_owned(), "403"),
        ("http://packages.cloister/files/good-wheel/good_wheel-2.0-py3-none-any.whl".to_owned(), "403"),
        ("http://packages.cloister/files/good-wheel/other-1.0-py3-none-any.whl".to_owned(), "404"),
        ("http://packages.cloister/".to_owned(), "404"),
        (format!("http://{}/root/simple/good-wheel/", far.address), "403"),
    ] {
        let said = shell(&server, &id, &format!("{curl} {url}"));
        assert!(said.starts_with(&format!("0 {status}")), "{url}: {said}");
    }
    assert_eq!(server.detail(&id)["egress"]["hosts"][0]["host"], "packages.cloister");
    server.stop(&id);
    assert!(server.terminate().success());
}

#[test]
fn source_archives_and_bytes_are_what_the_policy_says_and_a_bad_mirror_stops_the_server() {
    let Some(place) = Place::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let far = Far::plain(mirror);
    let index = format!("http://{}/root/simple/", far.address);
    let server =
        serve(&place, folder.path(), &policy(&index, "wheels_only = false\nmax_bytes = \"900B\"\n"), "");
    let id = server.session_of("local");
    let page = shell(&server, &id, "curl -sS http://packages.cloister/simple/good_wheel/");
    for file in ["good_wheel-1.0-py3-none-any.whl#sha256=", "good_wheel-1.5.tar.gz", "good_wheel-2.0"] {
        assert!(page.contains(file), "{file}: {page}");
    }
    let first = shell(&server, &id, "pip download --no-deps good-wheel==1.0");
    assert!(first.starts_with("0 "), "{first}");
    let second = shell(&server, &id, "pip download --no-deps -d other good-wheel==1.0");
    assert!(second.starts_with("1 ") && second.contains("packages.max_bytes"), "{second}");
    drop(server);

    let policies = folder.path().display();
    for (index, part) in [("http://mirror.example/simple/", "use https://"), ("", "is no index")] {
        std::fs::write(folder.path().join("local.toml"), policy(index, "")).unwrap();
        let refused = place.refused(&format!("exec \"$@\" --policies {policies} --config {policies}/config"));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && said.contains(part), "{index}: {said}");
    }
}

#[test]
fn the_index_that_this_machine_is_configured_for_serves_as_a_mirror() {
    let Some(place) = Place::new() else { return };
    // Configured, or what pip would ask of its own accord.
    let ask = "import os, pip._internal.models.index as i; print(os.environ.get('PIP_INDEX_URL') or i.PyPI.simple_url)";
    let said = std::process::Command::new("python3").args(["-c", ask]).output();
    let index = said.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Some(index) = index.filter(|url| url.starts_with("https://")) else {
        needs::note("this machine has no pip that names a package index");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Inside of a company a mirror has an address of its own, and its files lie there too.
    let host = index.split('/').nth(2).unwrap_or_default();
    let Ok(addresses) = (host, 443).to_socket_addrs() else {
        needs::note("this machine's package index has no address");
        return;
    };
    let ranges: Vec<_> =
        addresses.filter(SocketAddr::is_ipv4).map(|address| format!("\"{}/32\"", address.ip())).collect();
    let ranges = format!("allowed_cidrs = [{}]\n[packages]", ranges.join(", "));
    let policy = policy(&index, "").replace("\"good-wheel\"", "\"idna\"").replace("[packages]", &ranges);
    let server = serve(&place, folder.path(), &policy, "");
    let id = server.session_of("local");
    let said = shell(&server, &id, "pip download --no-deps -d got idna==3.7 && ls got");
    if said.contains("the mirror does not give") {
        needs::note("this machine's package index does not answer");
        return;
    }
    assert!(said.starts_with("0 ") && said.contains("idna-3.7-py3-none-any.whl"), "{said}");
}
