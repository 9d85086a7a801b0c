//! Policies of a running server: exchanged as a whole or not at all, for new sessions only.

use crate::audit::{records, whole};
use crate::server::{KEY, Place, Server};
use cloister_tests::host;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::Path;

/// Nobody starts anything.
const CLOSED: &str =
    "// For a while.\n@id(\"closed\")\nforbid (principal, action == Action::\"StartSession\", resource);\n";

struct Setup {
    place: Place,
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Option<Self> {
        let this = Self { place: Place::new()?, folder: tempfile::tempdir().unwrap() };
        this.write("small.toml", "extends = \"default\"\n[resources]\npids = 100\n");
        std::fs::create_dir(this.folder.path().join("p")).unwrap();
        this.config("[interpreters.mine]\npolicy = \"mine\"\n");
        this.policy("extends = \"default\"\n[resources]\npids = 200\n");
        Some(this)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn config(&self, text: &str) {
        self.write("config.toml", text);
    }

    fn policy(&self, text: &str) {
        self.write("p/mine.toml", text);
    }

    /// An access policy beside the shipped ones.
    fn access(&self, text: &str) {
        std::fs::create_dir_all(self.folder.path().join("p/access")).unwrap();
        self.write("p/access/site.cedar", text);
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn serve(&self, pool: usize) -> Server {
        self.place.serve_with(pool, &["--policies", &self.path("p"), "--config", &self.path("config.toml")])
    }

    /// The exit code of a reload, and what it said.
    fn reload(&self) -> (i32, Value) {
        let data: &Path = self.place.path();
        let output =
            self.place.command(&["--json", "policy", "reload", "--data-dir", data.to_str().unwrap()]);
        let said = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&output.stderr).into_owned()));
        (output.status.code().unwrap(), said)
    }
}

fn pids(server: &Server, id: &str) -> u64 {
    server.detail(id)["limits"]["resources"]["pids"].as_u64().unwrap()
}

#[test]
fn new_sessions_get_the_new_policy_and_those_that_run_keep_theirs() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve(1);
    let old = server.session_of("mine");
    assert_eq!(pids(&server, &old), 200);
    setup.policy("extends = \"default\"\n[resources]\npids = 150\n[languages]\nshell = false\n");
    let (code, said) = setup.reload();
    assert_eq!((code, &said["ok"]), (0, &json!(true)), "{said}");
    let changes = said["changes"].to_string();
    assert!(changes.contains("mine: narrower resources.pids 200 -> 150"), "{changes}");
    let new = server.session_of("mine");
    assert_eq!((pids(&server, &old), pids(&server, &new)), (200, 150));
    assert_eq!(server.value(&old, "6 * 7"), "42", "the old one goes on");
    assert_eq!(server.value(&new, "6 * 7"), "42");
    let (code, said) = setup.reload();
    assert_eq!((code, &said["changes"]), (0, &json!([])), "nothing is different");
}

#[test]
fn a_malformed_file_leaves_everything_as_it_was_and_says_so() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve(0);
    for broken in
        ["[resources]\nmemroy = 1\n", "extends = \"default\"\n[resources]\nmemory = \"3GiB\"\n", "[[["]
    {
        setup.policy(broken);
        let (code, said) = setup.reload();
        assert_eq!((code, &said["ok"]), (1, &json!(false)), "{broken}: {said}");
        assert!(said["problems"].to_string().contains("mine.toml"), "{said}");
        assert_eq!(pids(&server, &server.session_of("mine")), 200);
    }
    setup.policy("extends = \"default\"\n[resources]\npids = 120\n");
    assert_eq!(setup.reload().0, 0, "and the next one is taken");
    assert_eq!(pids(&server, &server.session_of("mine")), 120);
}

#[test]
fn a_ceiling_that_comes_later_bounds_every_interpreter_and_its_ready_sandboxes() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve(1);
    assert_eq!(pids(&server, &server.session_of(KEY)), 256);
    let ceiling = setup.path("small.toml");
    setup.config(&format!("[policy]\nceiling = {ceiling:?}\n[interpreters.mine]\npolicy = \"mine\"\n"));
    let (code, said) = setup.reload();
    assert_eq!(code, 0, "{said}");
    for interpreter in [KEY, "mine"] {
        let id = server.session_of(interpreter);
        assert_eq!(pids(&server, &id), 100, "{interpreter}");
        assert_eq!(server.value(&id, "1 + 1"), "2");
    }
}

#[test]
fn a_tenants_ceiling_bounds_its_own_sessions() {
    let Some(setup) = Setup::new() else { return };
    let ceiling = setup.path("small.toml");
    // Without keys everybody is of the tenant `local`.
    setup.config(&format!("[tenants.local]\nceiling = {ceiling:?}\n[tenants.other]\nceiling = \"strict\"\n"));
    let server = setup.serve(0);
    assert_eq!(pids(&server, &server.session_of(KEY)), 100);
}

/// Sends the server the signal itself, and waits until `done`.
fn hang_up(server: &Server, done: impl Fn() -> bool) {
    kill(Pid::from_raw(server.pid()), Signal::SIGHUP).unwrap();
    host::settled(|| if done() { Ok(()) } else { Err("the signal has no effect".to_owned()) });
}

#[test]
fn access_policies_are_exchanged_with_the_rest_and_a_malformed_one_changes_nothing() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve(0);
    let running = server.session();
    let start = || server.start_session();
    assert_eq!(start().status, 201);
    setup.access(CLOSED);
    let (code, said) = setup.reload();
    assert_eq!(said["changes"], json!(["access policy closed (access/site.cedar:2): new, it forbids"]));
    let refused = start();
    assert_eq!((code, refused.status), (0, 403), "{refused:?}");
    assert!(refused.text().contains("access/site.cedar:2"), "{refused:?}");
    assert_eq!(server.value(&running, "6 * 7"), "42", "what it does not forbid goes on");

    // Each of them would open the door again if it were taken, or close all others if it were taken in part.
    for (broken, says) in [
        ("@id(\"closed\") forbid (principal, action == Action::\"Fly\", resource);", "access/site.cedar:1"),
        ("permit (principal, action, resource);", "access/site.cedar: a policy needs @id"),
        ("@id(\"half\") forbid (principal, action, resource);\n@id(\"x\") permit (", "access/site.cedar"),
    ] {
        setup.access(broken);
        let (code, said) = setup.reload();
        assert_eq!((code, &said["ok"]), (1, &json!(false)), "{broken}: {said}");
        assert!(said["problems"].to_string().contains(says), "{broken}: {said}");
        assert_eq!((start().status, server.python(&running, "1").status), (403, 200), "{broken}");
    }
    // A good access policy beside a malformed session policy is not taken either.
    setup.access("");
    setup.policy("[resources]\nmemroy = 1\n");
    assert_eq!((setup.reload().0, start().status), (1, 403));
    setup.policy("extends = \"default\"\n[resources]\npids = 200\n");
    let (code, said) = setup.reload();
    assert_eq!((code, &said["changes"]), (0, &json!(["access policy closed: gone"])), "{said}");
    assert_eq!(start().status, 201);
    // A signal does the same as the command.
    setup.access(CLOSED);
    hang_up(&server, || start().status == 403);
    setup.access("");
    hang_up(&server, || start().status == 201);
}

#[test]
fn a_change_is_on_record_before_it_takes_place_with_what_was_in_force_before_and_after() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve(0);
    let changes = || records(&setup.place, &["--action", "policy.change"]);
    let at_first = records(&setup.place, &["--action", "server.start"])[0]["detail"]["policies"].clone();
    assert_eq!(at_first.as_str().map(str::len), Some(64), "{at_first}");
    setup.policy("extends = \"default\"\n[resources]\npids = 150\n");
    setup.access(CLOSED);
    assert_eq!(setup.reload().0, 0);
    let one = changes().pop().unwrap();
    let text = one["detail"]["changes"].as_str().unwrap();
    assert!(text.contains("mine: narrower resources.pids 200 -> 150"), "{text}");
    assert!(text.contains("access policy closed (access/site.cedar:2): new"), "{text}");
    assert_eq!((&one["outcome"], &one["detail"]["policies_before"]), (&json!("pending"), &at_first));
    assert_ne!(one["detail"]["policies"], at_first);
    // What is read again and is the same is no change; what is malformed has failed, and says why.
    assert_eq!((setup.reload().0, changes().len()), (0, 1));
    setup.access("nonsense");
    assert_eq!(setup.reload().0, 1);
    let failed = changes().pop().unwrap();
    assert_eq!((&failed["outcome"], changes().len()), (&json!("failure"), 2));
    assert!(failed["detail"]["error"].as_str().unwrap().contains("access/site.cedar:1"), "{failed}");
    // Back to where it was, which the digest says.
    setup.policy("extends = \"default\"\n[resources]\npids = 200\n");
    setup.access("");
    assert_eq!(setup.reload().0, 0);
    let back = changes().pop().unwrap();
    assert_eq!(back["detail"]["policies_before"], one["detail"]["policies"]);
    assert_eq!(back["detail"]["policies"], at_first);

    // A change that cannot be written down does not take place.
    let (log, away) = (setup.place.path().join("audit"), setup.place.path().join("away"));
    std::fs::rename(&log, &away).unwrap();
    std::fs::write(&log, "in the way").unwrap();
    setup.access(CLOSED);
    let (code, said) = setup.reload();
    assert_eq!((code, &said["ok"]), (1, &json!(false)), "{said}");
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    assert_eq!(server.start_session().status, 201);
    assert_eq!((setup.reload().0, server.start_session().status), (0, 403));
    assert!(server.terminate().success());
    whole(&setup.place);
}

#[test]
fn there_is_nothing_to_reload_where_no_server_runs() {
    let Some(setup) = Setup::new() else { return };
    assert_eq!(setup.reload().0, 125);
}

#[test]
fn a_session_that_its_request_has_narrowed_reads_the_narrowed_numbers() {
    let Some(setup) = Setup::new() else { return };
    let ceiling = setup.path("small.toml");
    setup
        .config(&format!("[interpreters.mine]\npolicy = \"mine\"\n[tenants.local]\nceiling = {ceiling:?}\n"));
    let server = setup.serve(1);
    let asked = json!({ "interpreter": "mine", "policy": { "resources": { "memory": "300MiB" }, "languages": { "shell": false } } });
    let answer = server.request("POST", "/v1/sessions", &[], Some(asked));
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let code = "import json, os\nprint(open(os.environ['CLOISTER_ALLOWED'][:-2] + 'json').read())";
    let told = |id: &str| -> Value {
        serde_json::from_str(server.python(id, code).json()["stdout"].as_str().unwrap()).unwrap()
    };
    let narrowed = told(&id);
    assert_eq!(narrowed["limits"]["memory_bytes"], 300 << 20, "{narrowed}");
    assert_eq!(narrowed["shell"], false);
    let others = told(&server.session_of("mine"));
    assert_eq!(others["limits"]["memory_bytes"], 2u64 << 30, "{others}");
    // What the records say of the policy is what the session reads.
    let version = server.detail(&id)["policy"]["version"].clone();
    assert!(version.is_null() || version == narrowed["policy"]["version"], "{version}");
}
