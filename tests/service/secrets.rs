//! What a server writes down: of keys, code, files and outputs nothing, at whatever level it logs.

use cloister_tests::needs;
use cloister_tests::server::{Place, Server};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Parts of the one that a session says, sends and is sent; each is said in another way.
const MARK: &str = "9f1c7b";

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() { files(&entry.path()) } else { vec![entry.path()] }
        })
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// A session that is told secrets by every way there is, and tells them by every way there is.
fn gossip(server: &Server, auth: &(&str, &str), tier: &str) {
    let ask = |method: &str, path: &str, body: Option<Value>| server.request(method, path, &[*auth], body);
    let name = format!("{MARK}-name");
    let started = ask("POST", "/v1/sessions", Some(json!({ "tier": tier, "name": name })));
    assert_eq!(started.status, 201, "{started:?}");
    let id = started.json()["id"].as_str().unwrap().to_owned();
    let session = format!("/v1/sessions/{id}");
    let code = format!(
        "secret = '{MARK}-code'\nimport sys\nprint(secret.replace('code', 'out'))\nprint(secret.replace('code', 'err'), file=sys.stderr)\nopen('{MARK}-file', 'w').write(secret)\nsecret.replace('code', 'value')"
    );
    let ran = ask("POST", &format!("{session}/invoke"), Some(json!({ "code": code })));
    assert!(holds(&ran.body, &format!("{MARK}-out")), "{ran:?}");
    let raised = format!("raise RuntimeError('{MARK}' + '-error')");
    let ran = ask("POST", &format!("{session}/invoke"), Some(json!({ "code": raised })));
    assert!(holds(&ran.body, &format!("{MARK}-error")), "{ran:?}");
    ask("PUT", &format!("{session}/files/{MARK}-sent"), Some(json!({ "in": format!("{MARK}-content") })));
    let read = ask("GET", &format!("{session}/files/{MARK}-file"), None);
    assert!(holds(&read.body, &format!("{MARK}-code")), "{read:?}");
    ask("GET", &format!("{session}/files/{MARK}-nowhere?x={MARK}-query"), None);
    ask(
        "POST",
        &format!("{session}/invoke"),
        Some(json!({ format!("{MARK}-member"): format!("{MARK}-bad") })),
    );
    ask(
        "POST",
        &format!("/code-interpreters/{MARK}-interpreter/tools/invoke"),
        Some(json!({ "name": MARK })),
    );
    assert!([200, 204].contains(&ask("DELETE", &session, None).status));
}

/// SEC-01: what a session says and is sent, and what a client proves itself with, is in no log and no record, at the finest level.
#[test]
fn no_log_and_no_record_holds_a_key_or_what_a_session_said() {
    let Some(place) = Place::with_keys() else { return };
    let log = place.path().join("the.log");
    let script = format!("export RUST_LOG=trace; exec \"$@\" 2>{}", log.display());
    let server = place.serve_in(&[], &script);
    let folder = place.path().to_str().unwrap();
    let shown = place.command(&["env", "--data-dir", folder, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let key = |name: &str| shown[name].as_str().unwrap().to_owned();
    let (token, secret) = (key("CLOISTER_TOKEN"), key("AWS_SECRET_ACCESS_KEY"));
    let bearer = format!("Bearer {token}");
    let auth = ("authorization", bearer.as_str());
    let mut tiers = vec!["process"];
    if needs::image("wasm-python") {
        tiers.push("wasm");
    }
    for tier in tiers {
        gossip(&server, &auth, tier);
    }
    for wrong in [format!("Bearer {MARK}-token"), format!("Basic {MARK}-basic"), format!("{MARK}-scheme x")] {
        assert_eq!(server.request("GET", "/v1/sessions", &[("authorization", &wrong)], None).status, 401);
    }
    server.request("GET", &format!("/v1/sessions?token={MARK}-token"), &[], None);
    server.terminate();
    let logged = fs::read(&log).unwrap();
    assert!(holds(&logged, "request_id"), "requests are in the log: {}", String::from_utf8_lossy(&logged));
    // A name is part of a session's record, which its owner lists; it is in no log.
    let (name, rest) = (format!("{MARK}-name"), [&token, &secret]);
    for path in files(place.path()) {
        let bytes = fs::read(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        if file == "credentials" {
            continue;
        }
        for secret in rest {
            assert!(!holds(&bytes, secret), "{} holds the key", path.display());
        }
        // The audit log names the files that a call changed, and the one that it did not find; what is in them it does not say.
        let audit = path.parent().is_some_and(|folder| folder.ends_with("audit"));
        let named = |at: usize| {
            let after = bytes.get(at + MARK.len()..).unwrap_or_default();
            audit && ["-file", "-sent", "-nowhere"].iter().any(|name| after.starts_with(name.as_bytes()))
        };
        let marks: Vec<String> = bytes
            .windows(MARK.len())
            .enumerate()
            .filter(|(at, part)| *part == MARK.as_bytes() && !named(*at))
            .map(|(at, _)| {
                let (from, to) = (at.saturating_sub(80), (at + 30).min(bytes.len()));
                String::from_utf8_lossy(&bytes[from..to]).into_owned()
            })
            .filter(|around| path == log || !around.contains(&name))
            .collect();
        assert!(marks.is_empty(), "{}: {marks:#?}", path.display());
    }
}
