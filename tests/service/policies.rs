//! Policies of a running server: exchanged as a whole or not at all, for new sessions only.

use crate::server::{KEY, Place, Server};
use serde_json::{Value, json};
use std::path::Path;

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

#[test]
fn there_is_nothing_to_reload_where_no_server_runs() {
    let Some(setup) = Setup::new() else { return };
    assert_eq!(setup.reload().0, 125);
}
