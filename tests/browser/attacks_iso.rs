//! ISO, and the cases of BRW between sessions: what one browser leaves is not there in the next, and beside it.

use crate::attacks_canary::{NAMED, PUBLIC, until};
use crate::attacks_world::{Tab, World, in_world};
use serde_json::{Value, json};

/// A secure context of the canary.
pub(crate) fn page() -> String {
    format!("http://localhost:{NAMED}/page")
}

/// Everything that a page can keep.
pub(crate) const LEAVE: &str = "(async () => {
    document.cookie = 'own=left; max-age=3600'; localStorage.left = 'left'; sessionStorage.left = 'left';
    await (await caches.open('left')).put('/left', new Response('left'));
    await new Promise(done => { const r = indexedDB.open('left'); r.onsuccess = () => { r.result.close(); done(); }; });
    const root = await navigator.storage.getDirectory(); await root.getFileHandle('left', {create: true});
    await navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready);
    await (await fetch('/cached.js')).text(); return 'left'; })()";

/// What of it is there.
pub(crate) const FIND: &str = "(async () => { const files = []; for await (const [name] of (await navigator.storage.getDirectory())) files.push(name);
    return [document.cookie.includes('left'), localStorage.left ?? null, sessionStorage.left ?? null, await caches.keys(),
      (await indexedDB.databases()).map(d => d.name), files, (await navigator.serviceWorker.getRegistrations()).length]; })()";

async fn on_page(world: &World, session: &str) -> Tab {
    let mut tab = world.client(session).await;
    tab.navigate(&page()).await;
    tab
}

/// How often the canary was asked for what pages may keep for an hour.
fn fetched(world: &World) -> usize {
    world.canary.asked().iter().filter(|asked| asked.ends_with("GET /cached.js")).count()
}

/// ISO-01, BRW-15: cookies, storage, caches and workers, in a session beside and in one afterwards.
#[test]
fn what_a_page_keeps_is_not_there_in_another_session_nor_in_the_next() {
    in_world(&[NAMED], async |world| {
        let first = world.session();
        let mut tab = on_page(world, &first).await;
        assert_eq!(tab.evaluate(LEAVE).await, "left");
        let all = json!([true, "left", "left", ["left"], ["left"], ["left"], 1]);
        assert_eq!(tab.evaluate(FIND).await, all);
        let none = json!([false, null, null, [], [], [], 0]);
        let beside = world.session();
        let mut other = on_page(world, &beside).await;
        assert_eq!(other.evaluate(FIND).await, none);
        assert_eq!(
            other.browser("Storage.getCookies", json!({})).await["result"]["cookies"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        let before = fetched(world);
        other.evaluate("fetch('/cached.js').then(a => a.text())").await;
        assert_eq!(fetched(world), before + 1, "it came out of another session's cache");
        other.evaluate("fetch('/cached.js').then(a => a.text())").await;
        assert_eq!(fetched(world), before + 1, "the cache of the session itself works");
        drop((tab, other));
        for session in [first, beside] {
            assert_eq!(world.server.stop(&session).status / 100, 2);
        }
        assert_eq!(world.place.sandboxes(), Vec::<String>::new());
        let next = world.session();
        let mut tab = on_page(world, &next).await;
        assert_eq!(tab.evaluate(FIND).await, none);
        tab.evaluate("fetch('/cached.js').then(a => a.text())").await;
        assert_eq!(fetched(world), before + 2, "it came out of an ended session's cache");
    });
}

/// BRW-10: targets, contexts and streams of one session, asked for by a client of another.
#[test]
fn a_client_of_one_session_reaches_no_page_of_another() {
    in_world(&[], async |world| {
        let (one, two) = (world.session(), world.session());
        let (mut victim, mut attacker) = (world.client(&one).await, world.client(&two).await);
        victim.navigate(&format!("http://{PUBLIC}/victim")).await;
        let targets = victim.targets().await;
        let mine: Vec<Value> = attacker.targets().await;
        let context =
            victim.browser("Target.createBrowserContext", json!({})).await["result"]["browserContextId"]
                .clone();
        assert!(context.is_string());
        for target in &targets {
            let id = &target["targetId"];
            assert!(mine.iter().all(|own| own["targetId"] != *id));
            for method in [
                "Target.attachToTarget",
                "Target.getTargetInfo",
                "Target.activateTarget",
                "Target.closeTarget",
                "Target.autoAttachRelated",
            ] {
                let params = json!({"targetId": id, "flatten": true, "waitForDebuggerOnStart": false});
                let answer = attacker.browser(method, params).await;
                assert!(
                    answer["error"].is_object() || answer["result"]["success"] == false,
                    "{method}: {answer}"
                );
            }
            let path = format!(
                "/browser-streams/browser-open/sessions/{two}/automation/devtools/page/{}",
                id.as_str().unwrap()
            );
            assert!(world.connect(&path).await.is_err(), "{path}");
        }
        let params = json!({"url": "about:blank", "browserContextId": context});
        assert!(attacker.browser("Target.createTarget", params).await["error"].is_object());
        for path in [
            format!("/browser-streams/other.browser/sessions/{one}/automation"),
            format!("/browser-streams/browser-open/sessions/{one}x/automation"),
            format!("/browser-streams/browser-open/sessions/{two}/../{one}x/automation"),
            "/browser-streams/browser-open/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV/automation".to_owned(),
        ] {
            assert!(world.connect(&path).await.is_err(), "{path}");
        }
        // The victim has noticed nothing.
        assert!(victim.text().await.contains("the canary of"));
        assert_eq!(world.server.stop(&one).status / 100, 2);
        let path = format!("/browser-streams/browser-open/sessions/{one}/automation");
        assert!(world.connect(&path).await.is_err(), "the stream of an ended session");
    });
}

/// ISO-05, BRW-19: namespaces of two browsers, their shared memory, and the descriptors that each process holds.
#[test]
fn two_browsers_share_no_memory_no_sockets_and_hold_no_file_of_the_machine() {
    in_world(&[], async |world| {
        let one = world.session();
        let known: Vec<i32> = world.server.processes().iter().map(|process| process.pid).collect();
        let two = world.session();
        let all: Vec<i32> = world.server.processes().iter().map(|process| process.pid).collect();
        let launcher = world.server.launcher().pid;
        let inside =
            |pid: &&i32| namespace(**pid, "mnt").is_some_and(|of| Some(of) != namespace(launcher, "mnt"));
        let first: Vec<i32> = known.iter().filter(inside).copied().collect();
        let second: Vec<i32> =
            all.iter().filter(|pid| !known.contains(pid)).filter(inside).copied().collect();
        assert!(first.len() > 3 && second.len() > 3, "{first:?} {second:?}");
        for name in ["mnt", "pid", "net", "ipc", "uts", "user"] {
            let [of_first, of_second] = [&first, &second].map(|pids| {
                pids.iter().filter_map(|pid| namespace(*pid, name)).collect::<std::collections::BTreeSet<_>>()
            });
            assert!(
                !of_first.is_empty() && of_first.is_disjoint(&of_second),
                "{name}: {of_first:?} {of_second:?}"
            );
        }
        let [files, others] = [&first, &second].map(|pids| open_files(pids));
        assert!(!files.is_empty());
        for (file, inode) in
            files.iter().filter(|(file, _)| !file.starts_with("/usr") && !file.starts_with("/etc"))
        {
            let outside = ["/root", "/work", "/var/lib"].iter().any(|place| file.starts_with(place));
            assert!(!outside, "{file} is of the machine");
            assert!(!others.iter().any(|(_, other)| other == inode), "{file} is shared");
        }
        for session in [one, two] {
            assert_eq!(world.server.stop(&session).status / 100, 2);
        }
        until("no process is left", || {
            first.iter().chain(&second).all(|pid| namespace(*pid, "pid").is_none())
        });
    });
}

fn namespace(pid: i32, name: &str) -> Option<String> {
    Some(std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()?.display().to_string())
}

/// Files that processes hold open, with device and inode.
fn open_files(pids: &[i32]) -> Vec<(String, (u64, u64))> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let folders = pids.iter().filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let links = folders.flatten().flatten().filter_map(|entry| {
        let (to, about) = (std::fs::read_link(entry.path()).ok()?, std::fs::metadata(entry.path()).ok()?);
        // The harmless devices are everybody's.
        let device = about.file_type().is_char_device();
        (!device).then_some((to.to_str()?.to_owned(), (about.dev(), about.ino())))
    });
    links.filter(|(to, _)| to.starts_with('/')).collect()
}
