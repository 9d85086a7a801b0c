//! Policies that one start asks for: what the server has made for them goes with their last session, on every tier.

use crate::needs;
use crate::server::{Place, Server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Idle engines are looked for every 30 s.
const PLENTY: Duration = Duration::from_secs(100);
/// Different policies.
const POLICIES: u64 = 4;

/// Starts a session under a policy of its own and uses it; `None` stands for the interpreter's.
fn session(server: &Server, interpreter: &str, call: Option<u64>) -> String {
    let mut body = json!({ "interpreter": interpreter });
    if let Some(seconds) = call {
        body["policy"] = json!({ "time": { "call": seconds } });
    }
    let started = server.request("POST", "/v1/sessions", &[], Some(body));
    assert_eq!(started.status, 201, "{started:?}");
    started.json()["id"].as_str().unwrap().to_owned()
}

/// What is alive: processes and sandboxes.
fn alive(place: &Place, server: &Server) -> (usize, usize) {
    (server.processes().len(), place.sandboxes().len())
}

/// What is alive once nothing more is being made: an engine that is used gets a second one beside it.
fn at_rest(place: &Place, server: &Server) -> (usize, usize) {
    let mut last = alive(place, server);
    let mut same = Instant::now();
    while same.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(200));
        let now = alive(place, server);
        if now != last {
            (last, same) = (now, Instant::now());
        }
    }
    last
}

/// Waits until no more is alive than was.
fn back_to(place: &Place, server: &Server, (processes, sandboxes): (usize, usize)) {
    let since = Instant::now();
    loop {
        let now = alive(place, server);
        if now.0 <= processes && now.1 <= sandboxes {
            return;
        }
        let names: Vec<_> = server.processes().iter().map(|process| process.name.clone()).collect();
        assert!(since.elapsed() < PLENTY, "{now:?} after {processes}, {sandboxes}: {names:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// As many sessions as there are policies, so many times over: each round must find nothing of the one before.
fn rounds(times: usize, place: &Place, interpreter: &str, work: impl Fn(&Server, &str)) {
    let config = place.path().join("cloister.toml");
    std::fs::write(&config, "[interpreters.w]\npolicy = 'wasm'\n").unwrap();
    let server = place.serve_with(0, &["--config", config.to_str().unwrap(), "--browser-pool", "0"]);
    // Zygotes and engines of the configured policy stay ready.
    let usual = session(&server, interpreter, None);
    work(&server, &usual);
    server.stop(&usual);
    std::thread::sleep(Duration::from_secs(1));
    let (before, descriptors) = (alive(place, &server), server.descriptors());
    for _ in 0..times {
        let all: Vec<_> = (0..POLICIES).map(|n| session(&server, interpreter, Some(100 + n))).collect();
        all.iter().for_each(|id| work(&server, id));
        let during = alive(place, &server);
        assert!(
            during.1 as u64 >= before.1 as u64 + POLICIES,
            "each has its own: {during:?} after {before:?}"
        );
        for id in all {
            assert_eq!(server.stop(&id).json()["status"], "terminated");
        }
        back_to(place, &server, before);
        let now = server.descriptors();
        assert!(now <= descriptors + 8, "{now} descriptors after {descriptors}");
    }
    assert!(server.terminate().success());
}

fn python(server: &Server, id: &str) {
    assert_eq!(server.value(id, "6 * 7"), "42");
}

#[test]
fn engines_of_policies_that_one_start_has_asked_for_end_with_their_last_session() {
    let Some(place) = Place::new() else { return };
    if needs::image("wasm-python") {
        // Each round waits for the look at idle engines.
        rounds(1, &place, "w", python);
    }
}

/// With tokens of a provider there may be any number of principals, and each has an engine of its own.
#[test]
fn engines_of_a_principal_end_when_it_has_had_no_session_for_a_while_and_not_before() {
    let Some(place) = Place::with_keys() else { return };
    if !needs::image("wasm-python") {
        return;
    }
    let config = place.path().join("cloister.toml");
    std::fs::write(&config, "[interpreters.w]\npolicy = 'wasm'\n[wasm]\nevict_after = 2\n").unwrap();
    let server = place.serve_with(2, &["--config", config.to_str().unwrap(), "--browser-pool", "0"]);
    let bearer = |words: &[&str], name: &str| {
        let data = ["--json", "--data-dir", place.path().to_str().unwrap()];
        let made = place.command(&[words, &data[..]].concat());
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        format!("Bearer {}", made[name].as_str().unwrap_or_else(|| panic!("{made}")))
    };
    let ask = |key: &str, method: &str, path: &str, body: Option<Value>| {
        let answer = server.request(method, path, &[("authorization", key)], body);
        assert_eq!(answer.status / 100, 2, "{answer:?}");
        answer.json()
    };
    let start = |key: &str| {
        let started = ask(key, "POST", "/v1/sessions", Some(json!({ "interpreter": "w" })));
        format!("/v1/sessions/{}", started["id"].as_str().unwrap())
    };
    let run = |key: &str, session: &str| {
        let answer = ask(key, "POST", &format!("{session}/invoke"), Some(json!({ "code": "6 * 7" })));
        assert_eq!(answer["output"], "42\n", "{answer}");
    };

    let first = bearer(&["env"], "CLOISTER_TOKEN");
    let usual = start(&first);
    run(&first, &usual);
    ask(&first, "DELETE", &usual, None);
    let before = at_rest(&place, &server);
    let keys = ["a", "b"].map(|name| bearer(&["token", "create", "--name", name], "token"));
    let sessions = keys.each_ref().map(|key| start(key));
    let during = alive(&place, &server);
    assert!(during.1 >= before.1 + 2, "each has an engine: {during:?} after {before:?}");
    // Sessions that are there keep their engines, however long nobody uses them.
    std::thread::sleep(Duration::from_secs(6));
    assert!(alive(&place, &server).1 >= during.1);
    for (key, session) in keys.iter().zip(&sessions) {
        run(key, session);
        ask(key, "DELETE", session, None);
    }
    back_to(&place, &server, before);
    // Whom the server is mostly for has kept its own, and the others get new ones.
    for key in keys.iter().chain([&first]) {
        let session = start(key);
        run(key, &session);
        ask(key, "DELETE", &session, None);
    }
    assert!(server.terminate().success());
}

#[test]
fn sandboxes_and_zygotes_of_such_policies_end_with_their_sessions() {
    let Some(place) = Place::new() else { return };
    rounds(3, &place, "aws.codeinterpreter.v1", python);
}

#[test]
fn browsers_of_such_policies_end_with_their_sessions() {
    let Some(place) = Place::new() else { return };
    if !needs::image("headless-shell") {
        return;
    }
    rounds(2, &place, "aws.browser.v1", |server, id| {
        let actions: Value = json!({ "actions": [{ "evaluate": { "expression": "6 * 7" } }] });
        let done = server.request("POST", &format!("/v1/sessions/{id}/actions"), &[], Some(actions));
        assert_eq!(done.status, 200, "{done:?}");
    });
}
