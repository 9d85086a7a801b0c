//! `cloister run --session`: programs one after the other in a session that stays, and in copies of it.

use crate::needs;
use crate::server::Place;
use std::path::Path;

/// Runs a program by the command line; what it printed.
fn run(place: &Place, endpoint: &str, words: &[&str], program: &Path, text: &str) -> std::process::Output {
    std::fs::write(program, text).unwrap();
    let file = program.to_str().unwrap();
    place.command(&[&["run", "--endpoint", endpoint], words, &[file]].concat())
}

fn said(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn programs_run_in_a_session_that_is_there_and_in_a_copy_of_it_and_leave_both_running() {
    let Some(place) = Place::new() else { return };
    if !needs::image("wasm-python") {
        return;
    }
    let server = place.serve(0);
    let (endpoint, folder) = (format!("http://{}", server.address()), tempfile::tempdir().unwrap());
    let (endpoint, program) = (endpoint.as_str(), folder.path().join("p.py"));
    let kept = run(&place, endpoint, &["--tier", "wasm", "--keep"], &program, "x = [1]\nprint(x)");
    assert_eq!(said(&kept), "[1]");
    let told = String::from_utf8_lossy(&kept.stderr).into_owned();
    let id = told.lines().find_map(|line| line.strip_prefix("cloister: session ")).unwrap();

    let there = ["--session", id];
    assert_eq!(said(&run(&place, endpoint, &there, &program, "x.append(2)\nprint(x)")), "[1, 2]");
    let copy = said(&place.command(&["fork", "--endpoint", endpoint, id]));
    let copied = ["--session", copy.as_str()];
    assert_eq!(said(&run(&place, endpoint, &copied, &program, "x.append(3)\nprint(x)")), "[1, 2, 3]");
    assert_eq!(said(&run(&place, endpoint, &there, &program, "print(x)")), "[1, 2]");
    said(&place.command(&["undo", "--endpoint", endpoint, &copy]));
    assert_eq!(said(&run(&place, endpoint, &copied, &program, "print(x)")), "[1, 2]");

    // A program that fails takes its own exit code along and not the session.
    let failed = run(&place, endpoint, &there, &program, "raise SystemExit(3)");
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    assert_eq!(said(&run(&place, endpoint, &there, &program, "print(len(x))")), "2");
    // What would need a session of its own does not go with one that is there.
    let both = run(&place, endpoint, &["--session", id, "--tier", "wasm"], &program, "1");
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    let unknown = run(&place, endpoint, &["--session", "0000000000000000000000000000000"], &program, "1");
    assert!(!unknown.status.success());
    for id in [id, copy.as_str()] {
        assert_eq!(server.stop(id).json()["status"], "terminated");
    }
    assert!(server.terminate().success());
}
