//! ISO: from one session to another, at the same time and afterwards.

use super::{Attack, PRELUDE, Verdicts, attack, random_flag, warm};
use cloister_core::policy::{Policy, StartMode};
use cloister_tests::rig::{Ran, Rig, Session, plain};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const GUEST: &str = include_str!("../guests/traces.py");
const RANDOM: &str = include_str!("../guests/random_numbers.py");

async fn run(session: &Session, mark: &str, code: &str) -> Ran {
    let host: Vec<String> = addresses();
    session.python(&format!("{PRELUDE}\nMARK = {mark:?}\nHOST = {host:?}\n{GUEST}\n{code}")).await
}

/// Addresses of this host that a sandbox might try.
fn addresses() -> Vec<String> {
    let own = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|i| i.address);
    let v4 = own.filter_map(|a| a.as_sockaddr_in().map(|a| a.ip().to_string()));
    v4.filter(|a| !a.starts_with("127.")).take(2).collect()
}

/// Looks for what another session has left.
async fn find(session: &Session, mark: &str) -> Verdicts {
    Verdicts::of(&run(session, mark, "find()\nverdicts()").await)
}

fn nothing(v: &Verdicts) {
    assert_eq!((v.get("files"), v.get("builtins"), v.get("environment")), ("[]", "False", "False"), "{v:?}");
    for name in ["segment", "semaphore", "queue"] {
        v.refused(name, &["ENOENT"]);
    }
    v.refused("socket", &["ECONNREFUSED", "ENOENT"]);
    v.refused(
        "port",
        &[
            "ECONNREFUSED",
            "ENETUNREACH",
            "EHOSTUNREACH",
            "EADDRNOTAVAIL",
            "EINVAL",
            "gaierror",
            "EACCES",
            "EPERM",
            "-2",
            "-3",
            "-9",
        ],
    );
    v.refused(
        "datagram",
        &[
            "ECONNREFUSED",
            "ENETUNREACH",
            "EHOSTUNREACH",
            "EADDRNOTAVAIL",
            "EINVAL",
            "gaierror",
            "EACCES",
            "EPERM",
            "timed out",
            "-2",
            "-3",
            "-9",
        ],
    );
}

/// A session that leaves its mark everywhere, and what a second one at the same time and a third one afterwards find.
async fn left_and_looked_for(attack: &Attack, check: impl Fn(&Verdicts)) {
    let mark = random_flag();
    let other = attack.rig.session().await;
    let ran = run(&attack.session, &mark, "leave()").await;
    assert!(ran.execution.error.is_none(), "{ran:?}");
    check(&find(&other, &mark).await);
    other.stop().await;
    let leaving = attack.rig.session().await;
    run(&leaving, &mark, "leave()").await;
    leaving.stop().await;
    let next = attack.rig.session().await;
    check(&find(&next, &mark).await);
    next.stop().await;
}

/// ISO-01: files, caches and packages in every writable place.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_session_are_in_no_other() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            left_and_looked_for(a, |v| assert_eq!(v.get("files"), "[]")).await;
            a.session.python("import os; os._exit(0)").await;
        })
        .await;
    }
}

/// ISO-02: a ready sandbox that was used before.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_of_the_pool_is_used_once_and_is_as_new() {
    let policy = Policy { start: StartMode::Pool, ..Policy::built_in("test") };
    let Some(rig) = Rig::with_pool(policy, 2) else { return };
    let mark = random_flag();
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        while rig.backend.ready() < 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let session = rig.session().await;
        assert!(seen.insert(session.interpreter.sandbox().as_str().to_owned()), "a sandbox was used twice");
        let v = find(&session, &mark).await;
        nothing(&v);
        assert_eq!(
            (v.get("cwd"), v.get("umask"), v.get("files limit")),
            ("/workspace", "0o77", "(1024, 1024)"),
            "{v:?}"
        );
        assert_eq!(
            (v.get("mask"), v.get("ignored"), v.get("timer"), v.get("threads")),
            ("set()", "False", "(0.0, 0.0)", "1"),
            "{v:?}"
        );
        run(&session, &mark, "leave()").await;
        session.stop().await;
    }
    rig.end().await;
}

/// ISO-03: memory that its last owner filled.
#[tokio::test(flavor = "multi_thread")]
async fn fresh_memory_holds_nothing_of_a_session_before() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let mark = random_flag();
            for _ in 0..2 {
                let session = a.rig.session().await;
                let fill = format!("m = [{mark:?} * 10000 for _ in range(600)]; open('/dev/shm/m', 'w').write({mark:?} * 1000000)");
                session.python(&fill).await;
                session.stop().await;
            }
            // The mark is split, so that the search does not find itself.
            let (one, other) = mark.split_at(7);
            let ran = run(&a.session, "", &format!("MARK = {one:?} + {other:?}\nfind_in_memory()")).await;
            assert_eq!(ran.stdout, "0\n", "{ran:?}");
        })
        .await;
    }
}

/// ISO-04: generators that children of one zygote share, unless somebody thinks of each of them.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_sessions_draw_the_same_random_numbers() {
    let Some(rig) = Rig::new(warm()) else { return };
    let mut drawn: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    const SESSIONS: usize = 40;
    for _ in 0..SESSIONS {
        let session = rig.session().await;
        let ran = session.python(&format!("{PRELUDE}\n{RANDOM}")).await;
        let numbers: BTreeMap<String, String> =
            serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        for (generator, first) in numbers {
            assert!(
                drawn.entry(generator.clone()).or_default().insert(first.clone()),
                "{generator} gave {first} twice"
            );
        }
        session.stop().await;
    }
    assert!(drawn.len() >= 12 && drawn.values().all(|firsts| firsts.len() == SESSIONS), "{:?}", drawn.keys());
    rig.end().await;
}

/// ISO-05: shared memory, semaphores, queues and sockets under names that two sessions both know.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shared_under_a_well_known_name() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            left_and_looked_for(a, nothing).await;
            a.session.python("import os; os._exit(0)").await;
        })
        .await;
    }
}

/// ISO-06: a port that one session listens on, from another and from the host; and the other way round.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_port_is_reached_by_its_own_session_only() {
    attack(plain(), async |a| {
        let mark = random_flag();
        run(&a.session, &mark, "leave()").await;
        let own = find(&a.session, &mark).await;
        own.done("port 127.0.0.1");
        own.done("port ::1");
        let other = a.rig.session().await;
        nothing(&find(&other, &mark).await);
        other.stop().await;
        for address in ["127.0.0.1", "0.0.0.0"].into_iter().map(String::from).chain(addresses()) {
            assert!(
                std::net::TcpStream::connect((address.as_str(), 47123)).is_err(),
                "the host reaches {address}"
            );
        }
        a.session.python("import os; os._exit(0)").await;
    })
    .await;
}

/// ISO-08: what is left of a session on the host, while and after it: processes, ports, files, and what it did.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_session_leaves_no_process_file_port_or_mark_on_the_host() {
    let Some(rig) = Rig::new(plain()) else { return };
    let mark = random_flag();
    let session = rig.session().await;
    run(&session, &mark, "leave()").await;
    let directory = rig.directory.path().to_owned();
    let temporary = || {
        std::fs::read_dir(std::env::temp_dir())
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect::<BTreeSet<_>>()
    };
    let shown = |root: &std::path::Path| {
        walk(root)
            .into_iter()
            .filter(|path| std::fs::read(path).is_ok_and(|data| contains(&data, mark.as_bytes())))
            .collect::<Vec<_>>()
    };
    assert!(shown(&directory).is_empty(), "content of a session lies in the server's directory");
    session.stop().await;
    assert!(shown(&directory).is_empty());
    assert!(temporary().iter().all(|path| !path.ends_with("left") && !path.ends_with("left.sock")));
    assert!(
        !std::path::Path::new("/dev/shm/pattern").exists() && !std::path::Path::new("/dev/shm/left").exists()
    );
    rig.end().await;
}

/// ISO-09: files, and the kernel's accounts, of a user id that is given to somebody else one day.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_the_host_belongs_to_the_user_of_a_session_and_the_next_session_has_another() {
    for policy in [plain(), warm()] {
        let Some(rig) = Rig::new(policy) else { return };
        let places =
            [rig.directory.path().to_owned(), std::env::temp_dir(), "/var/tmp".into(), "/dev/shm".into()];
        let mut users = BTreeSet::new();
        for _ in 0..6 {
            let session = rig.session().await;
            let Some(user) = session.traces.uid() else {
                session.stop().await;
                rig.end().await;
                return cloister_tests::needs::skip_unless_root("sessions have the user id of their server");
            };
            assert!(users.insert(user), "{user} was given to two sessions");
            run(&session, &random_flag(), "leave()").await;
            let owned = || places.iter().flat_map(|place| owned_by(place, user)).collect::<Vec<_>>();
            assert_eq!(owned(), Vec::<std::path::PathBuf>::new(), "while the session runs");
            session.stop().await;
            assert_eq!(owned(), Vec::<std::path::PathBuf>::new(), "after its end");
            // A key ring or a segment of its own would be charged to it here.
            let accounts = ["/proc/key-users", "/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg"];
            for account in accounts {
                let text = std::fs::read_to_string(account).unwrap_or_default();
                let charged = text.split(|c: char| !c.is_ascii_digit()).any(|word| word == user.to_string());
                assert!(!charged, "{account}: {text}");
            }
        }
        rig.end().await;
    }
}

/// What lies below `root` and belongs to `user`.
fn owned_by(root: &std::path::Path, user: u32) -> Vec<std::path::PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let mut owned = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let Ok(meta) = entry.path().symlink_metadata() else { continue };
        if meta.uid() == user {
            owned.push(entry.path());
        }
        if meta.is_dir() {
            owned.extend(owned_by(&entry.path(), user));
        }
    }
    owned
}

/// ISO-10: ids that could be guessed, chosen or met again.
#[tokio::test(flavor = "multi_thread")]
async fn ids_are_long_random_and_never_used_again() {
    let Some(rig) = Rig::new(plain()) else { return };
    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        let session = rig.session().await;
        let id = session.interpreter.sandbox().as_str().to_owned();
        // 26 characters of 5 bits.
        assert_eq!(id.len(), 26, "{id}");
        assert!(seen.insert(id), "an id was used twice");
        session.stop().await;
    }
    let ids: Vec<&String> = seen.iter().collect();
    for pair in ids.windows(2) {
        let common = pair[0].bytes().zip(pair[1].bytes()).take_while(|(x, y)| x == y).count();
        assert!(common < 6, "{pair:?} begin alike");
    }
    rig.end().await;
}

fn contains(data: &[u8], text: &[u8]) -> bool {
    data.windows(text.len()).any(|window| window == text)
}

fn walk(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(walk(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}
