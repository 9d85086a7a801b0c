//! What receipts of the real server say on each tier: what ran by its digest, and what was moved and used. What cannot be measured is absent.

use crate::audit::records;
use crate::needs;
use crate::server::{KEY, Place, Server};
use serde_json::{Value, json};

/// The digest that the build of an image has written down.
fn digest_of(image: &str) -> String {
    let path = needs::images().unwrap().join(image).join("current/image.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("digest = ")).unwrap();
    line.trim_matches('"').to_owned()
}

fn payload(answer: &Value) -> Value {
    answer["receipt"]["payload"].as_object().unwrap_or_else(|| panic!("{answer}")).clone().into()
}

fn call(server: &Server, id: &str, body: Value) -> Value {
    payload(&server.request("POST", &format!("/v1/sessions/{id}/invoke"), &[], Some(body)).json())
}

/// The newest receipt of a session that the log has; answers of the AWS door have no place for it.
fn logged(place: &Place, id: &str) -> Value {
    let receipts = records(place, &["--action", "receipt", "--session", id]);
    payload(&receipts.last().unwrap()["detail"])
}

#[track_caller]
fn number(payload: &Value, name: &str) -> u64 {
    payload[name].as_u64().unwrap_or_else(|| panic!("{name} is not in {payload}"))
}

/// Each name is either a member or unmeasured, never both.
#[track_caller]
fn complete(payload: &Value, absent: &[&str]) {
    let unmeasured: Vec<&str> =
        payload["unmeasured"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in ["image_digest", "cpu_us", "memory_peak_bytes", "files", "bytes_read", "bytes_written"] {
        assert_eq!(payload.get(name).is_none(), absent.contains(&name), "{name} in {payload}");
        assert_eq!(unmeasured.contains(&name), absent.contains(&name), "{name} in {payload}");
    }
}

const MOVES: &str = "open('a', 'wb').write(bytes(300_000))\nlen(open('a', 'rb').read())";
/// Frames to the driver and back, beside the files.
const FRAMES: u64 = 4096;

#[test]
fn on_the_process_tier_bytes_are_those_of_the_runtime_and_of_what_it_has_waited_for() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(0);
    let id = server.session();
    let code = call(&server, &id, json!({ "code": MOVES }));
    // Of commands, the first one starts the shell.
    let shell = call(&server, &id, json!({ "command": "cat a a > b" }));
    let again = call(&server, &id, json!({ "command": "cat b > /dev/null" }));
    let child = json!({ "code": "import subprocess; subprocess.run(['cp', 'b', 'c'])" });
    let child = call(&server, &id, child);
    // The digest of an image is in every receipt, whatever the tool.
    for payload in [&code, &shell, &again, &child] {
        assert_eq!(payload["image_digest"], digest_of("analysis"));
        assert_eq!(payload.get("artifact_digest"), None);
    }
    for (payload, read, written) in
        [(&code, 300_000, 300_000), (&shell, 600_000, 600_000), (&again, 600_000, 600_000), (&child, 0, 0)]
    {
        complete(payload, &[]);
        let (got_read, got_written) = (number(payload, "bytes_read"), number(payload, "bytes_written"));
        assert!(got_read >= read && got_written >= written, "{payload}");
    }
    assert!(number(&code, "bytes_read") < 300_000 + FRAMES, "{code}");
    assert!(number(&code, "bytes_written") < 300_000 + FRAMES, "{code}");
    // A runtime that has ended cannot be looked into any more.
    let died = call(&server, &id, json!({ "code": "import os; os._exit(3)" }));
    complete(&died, &["bytes_read", "bytes_written"]);
    assert_eq!(died["ended"], "died");
}

#[test]
fn on_the_wasm_tier_bytes_of_files_are_exact_and_time_is_that_of_the_processor() {
    let Some(place) = Place::new() else { return };
    if !needs::image("wasm-python") {
        return;
    }
    let config = place.path().join("cloister.toml");
    std::fs::write(&config, "[interpreters.w]\npolicy = 'wasm'\n").unwrap();
    let server = place.serve_with(0, &["--config", config.to_str().unwrap(), "--browser-pool", "0"]);
    let id = server.session_of("w");
    let moves = call(&server, &id, json!({ "code": MOVES }));
    complete(&moves, &[]);
    assert_eq!((&moves["bytes_read"], &moves["bytes_written"]), (&300_000.into(), &300_000.into()));
    assert_eq!(moves["image_digest"], digest_of("wasm-python"));
    assert_eq!(moves["artifact_digest"].as_str().unwrap().len(), 64);
    // Output is no file, and what was moved before is not this call's.
    let said = call(&server, &id, json!({ "code": "print('x' * 1000)" }));
    assert_eq!((&said["bytes_read"], &said["bytes_written"]), (&0.into(), &0.into()));

    // Its memory is its own, the interpreter's included, and the most that it had.
    let before = number(&said, "memory_peak_bytes");
    for code in ["b = bytearray(64 << 20)", "del b"] {
        let larger = call(&server, &id, json!({ "code": code }));
        assert!((48 << 20..80 << 20).contains(&(number(&larger, "memory_peak_bytes") - before)), "{larger}");
    }

    let asleep = call(&server, &id, json!({ "code": "import time; time.sleep(1.5)" }));
    assert!(number(&asleep, "wall_us") >= 1_500_000 && number(&asleep, "cpu_us") < 300_000, "{asleep}");
    let busy = "import time; t = time.monotonic()\nwhile time.monotonic() - t < 1: pass";
    let busy = call(&server, &id, json!({ "code": busy }));
    let (wall, cpu) = (number(&busy, "wall_us"), number(&busy, "cpu_us"));
    // On a busy machine a second passes with less of the processor, and never with more.
    assert!(cpu > 50_000 && cpu <= wall + 10_000, "{busy}");
}

#[test]
fn files_that_a_tool_writes_are_named_by_their_content_and_what_nobody_counts_is_absent() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(0);
    let id = server.session();
    let tool = |name: &str, arguments: Value| {
        let headers = [("x-amzn-code-interpreter-session-id", id.as_str())];
        let body = json!({ "name": name, "arguments": arguments });
        let path = format!("/code-interpreters/{KEY}/tools/invoke");
        let answer = server.request("POST", &path, &headers, Some(body));
        assert_eq!(answer.status, 200, "{answer:?}");
        logged(&place, &id)
    };
    let written = tool("writeFiles", json!({ "content": [{ "path": "t", "text": "hello" }] }));
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(written["files"], json!([{ "path": "t", "size": 5, "sha256": hello }]));
    assert_eq!((number(&written, "bytes_read"), number(&written, "bytes_written")), (0, 5));
    complete(&written, &["cpu_us", "memory_peak_bytes"]);
    let read = tool("readFiles", json!({ "paths": ["t"] }));
    assert_eq!((number(&read, "bytes_read"), number(&read, "bytes_written")), (5, 0));
    complete(&read, &["cpu_us", "memory_peak_bytes"]);
    let task = tool("startCommandExecution", json!({ "command": "cat t" }));
    complete(&task, &["cpu_us", "memory_peak_bytes", "files", "bytes_read", "bytes_written"]);
}

/// Bytes of a page.
const LARGE: usize = 300_000;

#[test]
fn a_browsers_receipt_has_what_the_whole_browser_used_and_what_came_through_its_proxy() {
    let Some(place) = Place::new() else { return };
    if !needs::image("headless-shell") {
        return;
    }
    let site = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = site.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in site.incoming().flatten() {
            std::thread::spawn(move || {
                let mut asked = [0; 4096];
                let _ = std::io::Read::read(&mut client, &mut asked);
                let body = format!("<!doctype html><title>large</title>{}", "x".repeat(LARGE));
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let _ = std::io::Write::write_all(&mut client, (head + &body).as_bytes());
            });
        }
    });
    let server = place.serve_with(0, &["--browser-pool", "0", "--allow-loopback", &address]);
    let start = server.request("POST", "/v1/sessions", &[], Some(json!({ "browser": {} })));
    let id = start.json()["id"].as_str().unwrap_or_else(|| panic!("{start:?}")).to_owned();
    let act = |step: Value| {
        let steps = json!({ "actions": [step] });
        let answer = server.request("POST", &format!("/v1/sessions/{id}/actions"), &[], Some(steps));
        assert_eq!(answer.status, 200, "{answer:?}");
        let payload = logged(&place, &id);
        complete(&payload, &["files"]);
        payload
    };
    let went = act(json!({ "navigate": { "url": format!("http://{address}/") } }));
    assert!((LARGE as u64..3 * LARGE as u64).contains(&number(&went, "bytes_read")), "{went}");
    assert!((100..10_000).contains(&number(&went, "bytes_written")), "{went}");
    let spin = "(() => { const t = Date.now(); while (Date.now() - t < 1000); })()";
    let payload = act(json!({ "evaluate": { "expression": spin } }));
    assert!(number(&payload, "bytes_read") < 10_000, "{payload}");
    assert_eq!(payload["image_digest"], digest_of("headless-shell"));
    assert!(number(&payload, "cpu_us") > 50_000, "{payload}");
    assert!(number(&payload, "memory_peak_bytes") > 10 << 20, "{payload}");
    server.stop(&id);
}
