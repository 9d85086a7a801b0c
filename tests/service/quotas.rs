//! CPU time of the real tiers against a quota: what works is counted, with or without a call, and what sleeps is not.

use crate::needs;
use crate::server::{Place, Server};
use serde_json::json;
use std::time::{Duration, Instant};

/// Seconds of CPU time that everybody has.
const SECONDS: u64 = 4;
/// Longer than a page needs for them on a busy machine.
const PLENTY: Duration = Duration::from_secs(120);

fn limited(place: &Place) -> Server {
    let config = place.path().join("cloister.toml");
    let text = format!("[interpreters.w]\npolicy = 'wasm'\n[quotas.principal]\ncpu_seconds = {SECONDS}\n");
    std::fs::write(&config, text).unwrap();
    place.serve_with(0, &["--config", config.to_str().unwrap(), "--browser-pool", "0"])
}

/// Seconds that have been counted.
fn used(server: &Server) -> u64 {
    let uses = server.request("GET", "/v1/quotas", &[], None).json();
    let all = uses["quotas"].as_array().unwrap_or_else(|| panic!("{uses}")).clone();
    let own = all.iter().find(|one| one["quota"] == "cpu_seconds" && one["of"] == "principal");
    own.unwrap()["used"].as_u64().unwrap()
}

#[test]
fn a_busy_page_uses_up_its_principals_cpu_time_with_nobody_calling_and_nothing_more_is_started() {
    let Some(place) = Place::new() else { return };
    if !needs::image("headless-shell") {
        return;
    }
    let server = limited(&place);
    let start = || server.request("POST", "/v1/sessions", &[], Some(json!({ "browser": {} })));
    let id = start().json()["id"].as_str().unwrap().to_owned();
    let act = |action| {
        let actions = json!({ "actions": [action] });
        server.request("POST", &format!("/v1/sessions/{id}/actions"), &[], Some(actions))
    };
    let busy =
        "setTimeout(() => setInterval(() => { const t = Date.now(); while (Date.now() - t < 400); }, 1), 0)";
    let began = act(json!({ "evaluate": { "expression": busy } }));
    assert_eq!(began.status, 200, "{began:?}");
    let since = Instant::now();
    while used(&server) < SECONDS {
        assert!(since.elapsed() < PLENTY, "{} s are counted", used(&server));
        std::thread::sleep(Duration::from_millis(500));
    }
    let (code, browser, action) =
        (server.start_session(), start(), act(json!({ "evaluate": { "expression": "1" } })));
    for refused in [code, browser, action] {
        assert_eq!(refused.status, 402, "{refused:?}");
        assert!(refused.text().contains("CPU time") && refused.head.contains("etry-"), "{refused:?}");
    }
    // What runs can still be stopped.
    assert_eq!(server.stop(&id).json()["status"], "terminated");
}

#[test]
fn a_background_command_is_counted_although_no_call_runs() {
    let Some(place) = Place::new() else { return };
    let server = limited(&place);
    let id = server.session();
    let command = json!({ "command": "python3 -c 'while True: pass' > /dev/null 2>&1 &" });
    let began = server.request("POST", &format!("/v1/sessions/{id}/invoke"), &[], Some(command));
    assert_eq!(began.status, 200, "{began:?}");
    let since = Instant::now();
    while used(&server) < SECONDS {
        assert!(since.elapsed() < PLENTY, "{} s are counted", used(&server));
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(server.python(&id, "1").status, 402);
    server.stop(&id);
}

#[test]
fn on_the_wasm_tier_a_call_that_sleeps_costs_nothing_and_one_that_works_what_it_uses() {
    let Some(place) = Place::new() else { return };
    if !needs::image("wasm-python") {
        return;
    }
    let server = limited(&place);
    let id = server.session_of("w");
    let slept = server.python(&id, &format!("import time; time.sleep({})", SECONDS + 1));
    assert_eq!(slept.status, 200, "{slept:?}");
    assert_eq!(used(&server), 0);
    let since = Instant::now();
    while used(&server) < SECONDS {
        assert!(since.elapsed() < PLENTY, "{} s are counted", used(&server));
        let busy = server.python(&id, "t = time.monotonic()\nwhile time.monotonic() - t < 1: pass");
        assert_eq!(busy.status, 200, "{busy:?}");
    }
    assert_eq!(server.python(&id, "1").status, 402);
}
