//! The audit log and receipts of the real server: whole after a crash under load, and true.

use crate::server::{Place, Server};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

fn audit(place: &Place, words: &[&str]) -> Output {
    let mut all = vec!["audit"];
    all.extend(words);
    all.extend(["--data-dir", place.path().to_str().unwrap(), "--json"]);
    place.command(&all)
}

/// The records that fit.
pub fn records(place: &Place, words: &[&str]) -> Vec<Value> {
    let mut all = vec!["search"];
    all.extend(words);
    let output = audit(place, &all);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `audit verify` says, which has to be that it is whole.
#[track_caller]
pub fn whole(place: &Place) -> Value {
    let output = audit(place, &["verify"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The chain as its description says, without the program's own code.
fn checked_by_hand(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("00000001.jsonl")).unwrap();
    let mut last = "0".repeat(64);
    let mut records = 0;
    for line in text.lines() {
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            // Cut off by the kill.
            Err(_) => continue,
        };
        let hash = value["hash"].as_str().unwrap();
        let body = line.strip_suffix(&format!(",\"hash\":\"{hash}\"}}")).unwrap();
        assert_eq!(hex(format!("{body}}}").as_bytes()), hash);
        assert_eq!(value["prev"], last.as_str());
        last = hash.to_owned();
        records += 1;
    }
    records
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_log_of_a_server_that_is_killed_under_load_is_whole_and_knows_every_session_that_was_answered() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(2);
    let (answered, calls, over) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let started =
                        server.try_request("POST", "/v1/sessions", &[], Some(serde_json::json!({})));
                    let Ok(answer) = started else { return };
                    if answer.status != 201 {
                        continue;
                    }
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    answered.lock().unwrap().insert(id.clone());
                    let code = serde_json::json!({ "code": "1 + 1" });
                    let path = format!("/v1/sessions/{id}");
                    if server.try_request("POST", &format!("{path}/invoke"), &[], Some(code)).is_ok() {
                        calls.fetch_add(1, Ordering::SeqCst);
                    }
                    let _ = server.try_request("DELETE", &path, &[], None);
                }
            });
        }
        while calls.load(Ordering::SeqCst) < 12 {
            thread::yield_now();
        }
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.pid()), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        over.store(true, Ordering::SeqCst);
    });
    server.crash();

    let server = place.serve(0);
    let report = whole(&place);
    assert!(report["records"].as_u64().unwrap() > 40, "{report}");
    assert_eq!(checked_by_hand(&place.path().join("audit")) as u64, report["records"].as_u64().unwrap());
    let started: BTreeSet<String> = records(&place, &["--action", "session.start"])
        .iter()
        .map(|record| record["session"].as_str().unwrap().to_owned())
        .collect();
    let answered = answered.into_inner().unwrap();
    assert!(answered.is_subset(&started), "{:?}", answered.difference(&started));
    // Each that began has an end: its own, or one that the next server has written.
    let ended: BTreeSet<String> = records(&place, &["--action", "session.end"])
        .iter()
        .map(|record| record["session"].as_str().unwrap().to_owned())
        .collect();
    let open: Vec<_> = answered.difference(&ended).collect();
    assert!(open.is_empty(), "{open:?}");
    assert!(server.terminate().success());
    assert_eq!(records(&place, &["--action", "server.stop"]).len(), 1);
    whole(&place);
}

#[test]
fn a_receipt_of_a_real_call_is_signed_and_names_the_files_by_their_content() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(0);
    let id = server.session();
    let code = "open('out.txt', 'w').write('hello'); open('big', 'wb').write(bytes(9 << 20)); print('done')";
    let answer = server.python(&id, code).json();
    let payload = &answer["receipt"]["payload"];
    assert_eq!(payload["code_sha256"], hex(code.as_bytes()));
    let files = payload["files"].as_array().unwrap();
    let file = |name: &str| files.iter().find(|file| file["path"] == name).unwrap();
    assert_eq!(file("out.txt")["sha256"], hex(b"hello"));
    assert_eq!((&file("big")["size"], &file("big")["sha256"]), (&(9 << 20).into(), &Value::Null));
    assert_eq!(payload["stdout_bytes"], 5);

    let (kept, key) = (place.path().join("answer.json"), place.path().join("key"));
    std::fs::write(&kept, answer.to_string()).unwrap();
    let data = place.path().to_str().unwrap();
    let public = place.command(&["receipt", "key", "--data-dir", data]);
    std::fs::write(&key, &public.stdout).unwrap();
    let served = server.request("GET", "/v1/receipt-key", &[], None).json();
    assert_eq!(served["value"], String::from_utf8(public.stdout).unwrap().trim());
    assert!(server.terminate().success());
    // Without a server, and without its folder.
    let verify = |file: &Path| {
        place.command(&["receipt", "verify", file.to_str().unwrap(), "--key", key.to_str().unwrap()])
    };
    assert!(verify(&kept).status.success(), "{:?}", verify(&kept));
    let forged = answer.to_string().replace(&hex(b"hello"), &hex(b"other"));
    let changed = place.path().join("changed.json");
    std::fs::write(&changed, forged).unwrap();
    assert_eq!(verify(&changed).status.code(), Some(1));
    // The log has the same.
    let logged = records(&place, &["--action", "receipt", "--session", &id]);
    assert_eq!(logged[0]["detail"]["receipt"], answer["receipt"]);
}

#[test]
fn keys_that_are_issued_beside_a_running_server_are_in_its_log() {
    let Some(place) = Place::with_keys() else { return };
    let server: Server = place.serve(0);
    let data = place.path().to_str().unwrap();
    let made = place.command(&["token", "create", "--name", "ann", "--json", "--data-dir", data]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(
        place
            .command(&["token", "revoke", made["id"].as_str().unwrap(), "--data-dir", data])
            .status
            .success()
    );
    drop(server);
    whole(&place);
    let created = records(&place, &["--action", "key.create"]);
    assert_eq!((created.len(), &created[1]["actor"]["method"]), (2, &"console".into()));
    // The key of the first start, made before anything was served.
    assert_eq!(
        (&created[0]["untrusted"]["name"], &created[0]["detail"]["roles"]),
        (&"local/local".into(), &json!(["admin"]))
    );
    assert_eq!(created[0]["detail"]["reason"], "the first start");
    let begun = &records(&place, &["--action", "server.start"])[0];
    assert!(created[0]["seq"].as_u64() < begun["seq"].as_u64(), "{begun}");
    let first = place.command(&["env", "--json", "--data-dir", data]);
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(
        records(&place, &["--action", "key.create"]).len(),
        2,
        "whoever asks for it makes no other one"
    );
    let revoked = records(&place, &["--action", "key.revoke"]);
    assert_eq!(revoked[0]["untrusted"]["resource"], made["id"]);
    let text = serde_json::to_string(&[created, revoked]).unwrap();
    for secret in ["secretAccessKey", "token"] {
        assert!(!text.contains(made[secret].as_str().unwrap()), "{secret}");
    }
    for secret in ["AWS_SECRET_ACCESS_KEY", "CLOISTER_TOKEN"] {
        assert!(!text.contains(first[secret].as_str().unwrap()), "{secret}");
    }
}
