//! Keys over their whole life: made at the first start, issued and revoked by the command line beside a server that runs.

use cloister_tests::server::Place;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

fn run(place: &Place, words: &[&str]) -> Value {
    let folder = place.path().to_str().unwrap();
    let words: Vec<&str> = words.iter().copied().chain(["--data-dir", folder, "--json"]).collect();
    let ran = place.command(&words);
    assert!(ran.status.success(), "{ran:?}");
    if ran.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&ran.stdout).unwrap() }
}

#[test]
fn a_server_asks_for_a_key_and_a_revocation_counts_from_the_next_request_on() {
    let Some(place) = Place::with_keys() else { return };
    let server = place.serve(0);
    let status = |token: &str| {
        let bearer = format!("Bearer {token}");
        server.request("GET", "/v1/sessions", &[("authorization", &bearer)], None).status
    };
    assert_eq!(server.request("GET", "/v1/sessions", &[], None).status, 401);
    assert_eq!(server.request("GET", "/healthz", &[], None).status, 200);
    let first = run(&place, &["env"])["CLOISTER_TOKEN"].as_str().unwrap().to_owned();
    assert_eq!(status(&first), 200);

    let made = run(&place, &["token", "create", "--name", "ann", "--role", "viewer"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(status(token), 200);
    let bearer = format!("Bearer {token}");
    let start = server.request("POST", "/v1/sessions", &[("authorization", &bearer)], Some(json!({})));
    assert_eq!(start.status, 403, "a viewer starts nothing");
    run(&place, &["token", "revoke", id]);
    assert_eq!(status(token), 401);
    assert_eq!(status(&first), 200, "the others stay");

    for name in ["credentials", "keys.db", "keys.key"] {
        let mode = std::fs::metadata(place.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn keys_outlive_the_server_and_a_lost_file_of_credentials_is_not_made_again() {
    let Some(place) = Place::with_keys() else { return };
    place.serve(0).terminate();
    let first = run(&place, &["env"]);
    let server = place.serve(0);
    assert_eq!(run(&place, &["env"])["AWS_SECRET_ACCESS_KEY"], first["AWS_SECRET_ACCESS_KEY"]);
    std::fs::remove_file(place.path().join("credentials")).unwrap();
    let folder = place.path().to_str().unwrap();
    let ran = place.command(&["env", "--data-dir", folder]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!ran.status.success() && said.contains("cloister token create"), "{said}");
    run(&place, &["token", "create", "--name", "local", "--role", "admin", "--save"]);
    let bearer = format!("Bearer {}", run(&place, &["env"])["CLOISTER_TOKEN"].as_str().unwrap());
    assert_eq!(server.request("GET", "/v1/sessions", &[("authorization", &bearer)], None).status, 200);
}
