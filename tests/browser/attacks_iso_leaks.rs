//! ISO, what is handed on without anybody keeping it: ready browsers, memory, random numbers, user ids, names, and what an ended session
//! leaves on the machine.

use crate::attacks_canary::{NAMED, until};
use crate::attacks_iso::{FIND, LEAVE, page};
use crate::attacks_world::{Engine, Making, World, in_both_worlds, in_world, in_world_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Processes in namespaces of their own: those of sandboxes.
fn inside(world: &World) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let own = namespace(world.server.pid());
    let pids = world.server.processes().into_iter().map(|process| process.pid);
    pids.filter(|pid| namespace(*pid).is_some_and(|of| Some(of) != own)).collect()
}

/// Kernel user ids of processes.
fn users(pids: &[i32]) -> BTreeSet<u32> {
    pids.iter().filter_map(|pid| Some(std::fs::metadata(format!("/proc/{pid}")).ok()?.uid())).collect()
}

/// ISO-02: browsers that were ready beforehand.
#[test]
fn a_browser_of_the_pool_is_used_once_and_is_as_new() {
    let making = Making { named: &[NAMED], arguments: &["--browser-pool", "2"], ..Making::USUAL };
    in_world_of(making, async |world| {
        let mut seen = BTreeSet::new();
        for _ in 0..4 {
            let session = world.session();
            let sandbox = world.server.detail(&session)["sandbox"].as_str().unwrap().to_owned();
            assert!(seen.insert(sandbox), "a sandbox was used twice");
            let mut tab = world.client(&session).await;
            tab.navigate(&page()).await;
            assert_eq!(tab.evaluate(FIND).await, json!([false, null, null, [], [], [], 0]));
            let state = "[history.length < 3, name, innerWidth > 300, document.cookie.includes('own')]";
            assert_eq!(tab.evaluate(state).await, json!([true, "", true, false]));
            // A client's settings end with the client, and a session's with the session.
            tab.call("Emulation.setUserAgentOverride", json!({"userAgent": "left"})).await;
            tab.browser(
                "Storage.setCookies",
                json!({"cookies": [{"name": "own", "value": "left", "url": page()}]}),
            )
            .await;
            tab.evaluate("name = 'left'").await;
            assert_eq!(tab.evaluate(LEAVE).await, "left");
            assert_eq!(world.server.stop(&session).status / 100, 2);
        }
    });
}

/// ISO-03: memory of pages, of WebAssembly, of pictures and of the graphics process.
#[test]
fn fresh_memory_of_a_page_holds_nothing_of_another_session() {
    in_both_worlds(&[], async |world| {
        const SIZE: &str = "64 << 20";
        let fill = format!(
            "(async () => {{ window.kept = [new Uint32Array(({SIZE}) >> 2).fill(0x5ec2e7a1), new Uint32Array(new WebAssembly.Memory({{initial: ({SIZE}) >> 16}}).buffer).fill(0x5ec2e7a1)];
               const c = window.c = document.createElement('canvas'); c.width = c.height = 2048; const g = c.getContext('2d'); g.fillStyle = '#a1e7c2'; g.fillRect(0, 0, 2048, 2048);
               const gl = document.createElement('canvas').getContext('webgl'); if (gl) {{ gl.clearColor(0.63, 0.9, 0.76, 1); gl.clear(gl.COLOR_BUFFER_BIT); gl.finish(); }}
               return kept[1].length; }})()"
        );
        for _ in 0..2 {
            let session = world.session();
            let mut tab = world.client(&session).await;
            tab.navigate("data:text/html,<p>x").await;
            assert_eq!(tab.evaluate(&fill).await, (64 << 20) / 4);
            assert_eq!(world.server.stop(&session).status / 100, 2);
        }
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate("data:text/html,<p>x").await;
        let find = format!(
            "(async () => {{ const any = a => a.some(x => x !== 0);
               const said = {{heap: any(new Uint32Array(({SIZE}) >> 2)), wasm: any(new Uint32Array(new WebAssembly.Memory({{initial: ({SIZE}) >> 16}}).buffer))}};
               const c = document.createElement('canvas'); c.width = c.height = 2048; said.canvas = any(new Uint32Array(c.getContext('2d').getImageData(0, 0, 2048, 2048).data.buffer));
               const b = new OffscreenCanvas(2048, 2048).getContext('2d'); said.offscreen = any(new Uint32Array(b.getImageData(0, 0, 2048, 2048).data.buffer));
               const gl = document.createElement('canvas').getContext('webgl', {{preserveDrawingBuffer: true}});
               if (gl) {{ const t = gl.createTexture(); gl.bindTexture(gl.TEXTURE_2D, t); gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1024, 1024, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
                 const f = gl.createFramebuffer(); gl.bindFramebuffer(gl.FRAMEBUFFER, f); gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, t, 0);
                 const p = new Uint8Array(1024 * 1024 * 4); gl.readPixels(0, 0, 1024, 1024, gl.RGBA, gl.UNSIGNED_BYTE, p); said.texture = any(p); }}
               // The same search does find what is there.
               said.control = any(new Uint32Array(16).fill(1)); return said; }})()"
        );
        let said = tab.evaluate(&find).await;
        let said = said.as_object().unwrap_or_else(|| panic!("{said}"));
        let held: Vec<&String> =
            said.iter().filter(|(_, held)| **held == true).map(|(what, _)| what).collect();
        assert_eq!(held, ["control"], "{said:?}");
    });
}

/// ISO-04: generators of browsers, ready ones among them.
#[test]
fn no_two_browsers_draw_the_same_random_numbers() {
    let making = Making { named: &[NAMED], arguments: &["--browser-pool", "2"], ..Making::USUAL };
    in_world_of(making, async |world| {
        const DRAW: &str = "({values: [...crypto.getRandomValues(new Uint8Array(16))].join(), uuid: crypto.randomUUID(), random: [Math.random(), Math.random()].join(),
            url: URL.createObjectURL(new Blob([])).split('/').pop()})";
        let mut drawn = BTreeSet::new();
        for n in 1..=12 {
            let session = world.session();
            let mut tab = world.client(&session).await;
            tab.navigate(&page()).await;
            let numbers = tab.evaluate(DRAW).await;
            for (generator, first) in numbers.as_object().unwrap_or_else(|| panic!("{numbers}")) {
                assert!(drawn.insert(format!("{generator} {first}")), "{generator} gave {first} twice");
            }
            assert_eq!(drawn.len(), n * 4);
            assert_eq!(world.server.stop(&session).status / 100, 2);
        }
    });
}

/// ISO-07: what tells a page of the machine's other work.
#[test]
fn a_page_has_no_shared_memory_clock_and_no_counter_of_the_machine() {
    in_both_worlds(&[NAMED], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate(&page()).await;
        let said = tab
            .evaluate("(async () => ({shared: typeof SharedArrayBuffer, isolated: crossOriginIsolated, pressure: await new Promise(done => { try { new PressureObserver(all => done(all[0].state)).observe('cpu', {sampleInterval: 100}).catch(() => done('refused')); setTimeout(() => done('silent'), 4000); } catch (e) { done('refused'); } }),
                 battery: 'getBattery' in navigator ? (await navigator.getBattery()).level : 1, memory: typeof performance.measureUserAgentSpecificMemory,
                 step: (() => { const seen = new Set(); const from = performance.now(); while (performance.now() - from < 20) seen.add(performance.now()); const all = [...seen]; return Math.min(...all.slice(1).map((t, i) => t - all[i])); })()}))()")
            .await;
        assert_eq!((&said["shared"], &said["isolated"]), (&json!("undefined"), &json!(false)), "{said}");
        // How busy the machine is, in four words: a fact that guests see, and that SECURITY.md names.
        let words = ["nominal", "fair", "serious", "critical", "silent", "refused"];
        assert!(words.iter().any(|word| said["pressure"] == *word), "{said}");
        assert_eq!((&said["battery"], &said["memory"]), (&json!(1), &json!("undefined")), "{said}");
        // A tenth of a millisecond, without isolation from other origins.
        assert!(said["step"].as_f64().is_some_and(|step| step > 0.09), "{said}");
    });
}

/// ISO-08: an ended session, everywhere on the machine that this test can look.
#[test]
fn an_ended_browser_session_leaves_no_process_mark_or_socket() {
    for engine in [Engine::Shell, Engine::Full] {
        in_world_of(Making { engine, named: &[NAMED], ..Making::USUAL }, async |world| {
            let mark = format!("mark{}", world.server.pid());
            let sockets = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap();
            let session = world.session();
            let mut tab = world.client(&session).await;
            tab.navigate(&format!("{}?{mark}", page())).await;
            tab.evaluate(&format!("document.cookie = '{mark}=1; max-age=3600'; localStorage['{mark}'] = '{mark}'; console.log('{mark}')")).await;
            tab.evaluate(&format!("location = '/download?{mark}'")).await;
            // Its name is in the receipt of the call, which is on record; what is in it is not.
            let file = format!("/v1/sessions/{session}/files/kept");
            let written = world.server.request("PUT", &file, &[], Some(json!(mark)));
            assert_eq!(written.status / 100, 2, "{written:?}");
            let pids = inside(world);
            assert!(pids.len() > 4, "{pids:?}");
            // While it runs, its pages are on no disk of the machine: its storage is its own.
            assert_eq!(holding(world.place.path(), &mark), Vec::<PathBuf>::new());
            drop(tab);
            assert_eq!(world.server.stop(&session).status / 100, 2);
            // All have ended by now; the last one is in the table until the launcher has been told of its end.
            until("no process is left", || {
                pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            });
            assert_eq!(world.place.sandboxes(), Vec::<String>::new());
            assert_eq!(holding(world.place.path(), &mark), Vec::<PathBuf>::new());
            for place in ["/dev/shm", "/tmp"] {
                let left = std::fs::read_dir(place)
                    .unwrap()
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned());
                let left: Vec<String> = left.filter(|name| name.contains(&mark)).collect();
                assert_eq!(left, Vec::<String>::new(), "{place}");
            }
            assert!(
                !sockets("unix").contains("chromium") && !world.log().iter().any(|line| line.contains(&mark))
            );
            let gone = world.server.request("GET", &file, &[], None);
            assert!((400..500).contains(&gone.status), "{gone:?}");
        });
    }
}

/// Files below a folder with this text in them. The list of sessions is the server's own, and says nothing of pages.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(holding(&entry.path(), text));
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            found.extend(
                bytes.windows(text.len()).any(|window| window == text.as_bytes()).then(|| entry.path()),
            );
        }
    }
    found
}

/// ISO-09: user ids of browsers, one after the other and at once.
#[test]
fn no_two_browsers_have_the_same_user_and_nothing_on_the_machine_is_owned_by_one() {
    in_world(&[], async |world| {
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let one = world.session();
            let first = inside(world);
            let two = world.session();
            let second: Vec<i32> = inside(world).into_iter().filter(|pid| !first.contains(pid)).collect();
            for pids in [&first, &second] {
                let own = users(pids);
                assert!(!own.is_empty() && !own.contains(&0), "{own:?}");
                assert!(
                    own.iter().all(|user| seen.insert(*user)),
                    "{own:?} were given to another session: {seen:?}"
                );
            }
            for session in [one, two] {
                assert_eq!(world.server.stop(&session).status / 100, 2);
            }
        }
        let owned = |place: &Path| {
            std::fs::read_dir(place)
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| entry.metadata().is_ok_and(|of| seen.contains(&of.uid())))
        };
        for place in [world.place.path(), Path::new("/tmp"), Path::new("/dev/shm"), Path::new("/var/tmp")] {
            assert!(!owned(place), "{place:?}");
        }
    });
}

/// ISO-10: ids of sessions: who makes them, and whether one comes back.
#[test]
fn ids_of_browser_sessions_are_the_servers_own_and_never_come_back() {
    in_world(&[], async |world| {
        let mut seen = BTreeSet::new();
        for _ in 0..4 {
            let session = world.session();
            assert!(
                session.len() == 26 && session.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{session}"
            );
            assert_eq!(world.server.stop(&session).status / 100, 2);
            assert_eq!(world.server.detail(&session)["status"], "terminated");
            let path = format!("/browser-streams/browser-open/sessions/{session}/automation");
            assert!(world.connect(&path).await.is_err());
            assert!(seen.insert(session), "an id was used twice");
        }
        let wanted = seen.first().unwrap();
        for member in ["id", "sessionId", "session", "sandbox"] {
            let body = json!({"interpreter": "browser-open", member: wanted});
            let answer = world.server.request("POST", "/v1/sessions", &[], Some(body));
            assert_eq!(answer.status, 400, "{member}: {answer:?}");
        }
        // The protocol of the browser knows no session of another id space either.
        let session = world.session();
        let mut tab = world.client(&session).await;
        let answer: Value =
            tab.browser("Target.attachToTarget", json!({"targetId": wanted, "flatten": true})).await;
        assert!(answer["error"].is_object(), "{answer}");
    });
}
