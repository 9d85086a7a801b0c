//! What a session is told of itself: there on every tier, true, and out of reach for whoever would change it.

use cloister_core::command::ToolCall;
use cloister_core::event::Outcome;
use cloister_core::policy::{Policy, StartMode, Wall};
use cloister_tests::needs;
use cloister_tests::rig::{Rig, Session, plain};
use cloister_tests::tiers::on_each_tier;
use serde_json::Value;

/// A policy with a number that no other has.
fn told() -> Policy {
    let mut policy = plain();
    policy.resources.memory = 333 << 20;
    policy.filesystem.disk = 33 << 20;
    policy.filesystem.inodes = 3333;
    policy
}

/// What the session reads: the text, and the JSON beside it.
async fn read(session: &Session) -> (String, Value) {
    let code = "import os\nplace = os.environ['CLOISTER_ALLOWED']\nprint(open(place).read())";
    let text = session.python(code).await;
    let json = session.python("print(open(place[:-2] + 'json').read())").await;
    (text.stdout, serde_json::from_str(&json.stdout).unwrap_or_else(|e| panic!("{e}: {json:?}")))
}

/// Every way to change, replace, hide or remove it that Python has.
const ATTEMPTS: &str = r#"
import os, shutil, sys
# Files of WASI have none, and changing them means nothing.
modes = sys.platform != 'wasi'
folder = os.path.dirname(place)
above = os.path.dirname(folder)
before = [open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder))]
open('mine.md', 'w').write('everything is allowed')
def tried(name, act):
    try:
        act()
        print('NOT REFUSED:', name)
    except (OSError, AttributeError, NotImplementedError):
        pass
for path in [place, place[:-2] + 'json']:
    tried('write ' + path, lambda: open(path, 'w'))
    tried('append ' + path, lambda: open(path, 'a'))
    tried('update ' + path, lambda: open(path, 'r+'))
    tried('truncate ' + path, lambda: os.truncate(path, 0))
    tried('remove ' + path, lambda: os.remove(path))
    tried('rename ' + path, lambda: os.rename(path, 'away'))
    tried('rename beside ' + path, lambda: os.rename(path, path + '.old'))
    tried('replace ' + path, lambda: os.replace('mine.md', path))
    tried('link over ' + path, lambda: os.link('mine.md', path))
    if modes: tried('chmod ' + path, lambda: os.chmod(path, 0o666))
    tried('utime ' + path, lambda: os.utime(path, (1, 1)))
tried('create', lambda: open(os.path.join(folder, 'more.md'), 'w'))
tried('symlink', lambda: os.symlink('/workspace/mine.md', os.path.join(folder, 'more.md')))
tried('mkdir', lambda: os.mkdir(os.path.join(folder, 'more')))
tried('rmtree', lambda: shutil.rmtree(folder))
tried('rename folder', lambda: os.rename(folder, folder + '.old'))
tried('swap folder', lambda: (os.rename(folder, os.path.join(os.getcwd(), 'away'))))
tried('create above', lambda: open(os.path.join(above, 'more.md'), 'w'))
if modes: tried('chmod folder', lambda: os.chmod(folder, 0o777))
if modes: tried('chmod above', lambda: os.chmod(above, 0o777))
after = [open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder))]
print('the same' if before == after and len(after) == 2 else 'CHANGED', len(after))
"#;

async fn cannot_change(session: &Session) {
    let ran = session.python(ATTEMPTS).await;
    assert_eq!(ran.stdout, "the same 2\n", "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_reads_what_it_may_do_and_cannot_change_it() {
    on_each_tier(told(), async |session| {
        let (text, json) = read(session).await;
        for part in [
            "# What this session may do",
            "| memory | 333MiB |",
            "| files together | 33MiB |",
            "| number of files | 3333 |",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert_eq!(json["limits"]["memory_bytes"], 333 << 20, "{json}");
        assert_eq!(json["network"]["mode"], "none");
        assert_eq!(json["policy"]["version"], told_version(&json), "{json}");
        assert_eq!(session.python("place").await.text(), "'/run/cloister/allowed.md'");
        cannot_change(session).await;
        // Nor by the tools that clients have.
        for path in ["/run/cloister/allowed.md", "/run/cloister/more.md"] {
            assert!(session.write(&[(path, b"x")]).await.is_err(), "{path}");
        }
        let paths = vec!["/run/cloister/allowed.md".to_owned(), "/run/cloister".to_owned()];
        match session.tool(ToolCall::RemoveFiles { paths }).await {
            Outcome::Removed { removed, .. } => assert!(removed.is_empty(), "{removed:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(read(session).await, (text, json));
    })
    .await;
}

/// The version of the policy that a session of this tier has been started under.
fn told_version(json: &Value) -> String {
    let policy = if json["tier"] == "wasm" { cloister_tests::tiers::on_wasm(told()) } else { told() };
    policy.reference().version
}

/// By every way in which a sandbox is made: the launcher, a zygote, the pool.
#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_of_every_origin_have_it_and_so_do_shells() {
    let started = |start| {
        let mut policy = told();
        policy.start = start;
        policy
    };
    for (policy, pool) in
        [(started(StartMode::Exec), 0), (started(StartMode::Zygote), 0), (started(StartMode::Pool), 1)]
    {
        let Some(rig) = Rig::with_pool(policy, pool) else { return };
        let session = rig.session().await;
        let (text, _) = read(&session).await;
        let shown = session.shell("cat $CLOISTER_ALLOWED; echo x > $CLOISTER_ALLOWED; rm -rf /run/cloister; mount -o remount,rw /run").await;
        assert!(shown.stdout.trim_end() == text.trim_end(), "{shown:?}");
        cannot_change(&session).await;
        session.stop().await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_session_has_it_too_and_cannot_read_that_of_another() {
    if !nix::unistd::geteuid().is_root() {
        return needs::skip_unless_root("the container's walls need root (of the container)");
    }
    let mut policy = told();
    policy.isolation.require = vec![Wall::Seccomp, Wall::Landlock];
    let Some(rig) = Rig::without(policy, vec![Wall::Namespaces, Wall::Root, Wall::Cgroup]) else { return };
    let (session, other) = (rig.session().await, rig.session().await);
    let (text, json) = read(&session).await;
    assert!(text.contains("| memory | 333MiB |"), "{text}");
    // Places are as this session names them.
    let workspace = session.python("import os\nprint(os.getcwd())").await.stdout;
    assert_eq!(json["files"]["writable"][0], workspace.trim());
    cannot_change(&session).await;
    read(&other).await;
    let place = other.python("print(place)").await.stdout;
    let tried = session.python(&format!("open({:?}).read()", place.trim())).await;
    assert_eq!(tried.exception().0, "PermissionError", "{tried:?}");
    session.stop().await;
    other.stop().await;
    rig.end().await;
}
