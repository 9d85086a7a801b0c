//! BRW, too much of something: downloads, pictures, documents, windows; and what a browser asks for when nobody asks for anything.

use crate::attacks_canary::{PUBLIC, until};
use crate::attacks_world::{Engine, Making, Tab, World, in_both_worlds, in_world, in_world_of};
use serde_json::{Value, json};

/// What the native door answers to one page action.
fn act(world: &World, session: &str, action: Value) -> (u16, Value) {
    let body = json!({"actions": [action], "timeout": 20});
    let answer = world.server.request("POST", &format!("/v1/sessions/{session}/actions"), &[], Some(body));
    (answer.status, answer.json())
}

/// The session and its server work on.
async fn alive(world: &World, session: &str, tab: &mut Tab) {
    assert_eq!(world.server.request("GET", "/readyz", &[], None).status, 200);
    tab.navigate(&format!("http://{PUBLIC}/alive")).await;
    assert!(tab.text().await.contains("the canary of"));
    assert_eq!(world.server.detail(session)["status"], "ready");
}

fn downloads(world: &World, session: &str) -> Vec<Value> {
    let answer =
        world.server.request("GET", &format!("/v1/sessions/{session}/files?path=downloads"), &[], None);
    let answer = answer.json();
    answer["files"].as_array().or(answer["entries"].as_array()).cloned().unwrap_or_default()
}

/// Resident memory of the server, in bytes.
fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// BRW-05: more bytes than the session may keep.
#[test]
fn a_download_beyond_the_sessions_storage_is_cut_and_costs_the_server_nothing() {
    const SMALL: &str = "[filesystem]\ndisk = '96MiB'\nmax_file = '96MiB'";
    for engine in [Engine::Shell, Engine::Full] {
        in_world_of(Making { engine, policies: &[("small", SMALL)], ..Making::USUAL }, async |world| {
            let session = world.session_under("small");
            let mut tab = world.client(&session).await;
            let params = json!({"behavior": "allow", "downloadPath": "/tmp", "eventsEnabled": true});
            tab.browser("Browser.setDownloadBehavior", params).await;
            tab.navigate(&format!("http://{PUBLIC}/start")).await;
            let before = resident(world);
            tab.evaluate(&format!("location = 'http://{PUBLIC}/large?400'")).await;
            let state = loop {
                let progress = tab.event("Browser.downloadProgress").await;
                if progress["state"] != "inProgress" {
                    break progress["state"].clone();
                }
            };
            assert_eq!(state, "canceled");
            let kept: u64 =
                downloads(world, &session).iter().filter_map(|entry| entry["size"].as_u64()).sum();
            assert!(kept < 96 << 20, "{kept} bytes");
            assert!(resident(world) < before + (64 << 20), "{} bytes", resident(world) - before);
            alive(world, &session, &mut tab).await;
            // There is room again, and a small one arrives.
            tab.evaluate(&format!("location = 'http://{PUBLIC}/download?small'")).await;
            until("the small one", || {
                downloads(world, &session).iter().any(|entry| entry["name"] == "small")
            });
        });
    }
}

/// BRW-05: a thousand files.
#[test]
fn a_flood_of_downloads_stays_in_its_session_and_the_session_can_be_used() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate(&format!("http://{PUBLIC}/start")).await;
        let before = resident(world);
        // By links, of which Chromium itself takes ten at a time, and by frames, of which it takes all.
        tab.evaluate("(async () => { for (let n = 0; n < 1000; n++) { const a = document.createElement('a'); a.download = 'same-name'; a.href = URL.createObjectURL(new Blob([String(n)])); a.click();
              const f = document.createElement('iframe'); f.src = '/download?same-name'; document.body.append(f); if (n % 50 === 0) await new Promise(f => setTimeout(f, 10)); } })()").await;
        // Enough of a flood, whatever the browser makes of the rest.
        until("many files", || downloads(world, &session).len() > 200);
        let listed = downloads(world, &session);
        let names: std::collections::BTreeSet<&str> =
            listed.iter().filter_map(|entry| entry["name"].as_str()).collect();
        assert_eq!(names.len(), listed.len(), "two files of one name");
        assert!(resident(world) < before + (128 << 20));
        alive(world, &session, &mut tab).await;
    });
}

/// BRW-18: pictures of pages without an end, and documents that are larger than an answer.
#[test]
fn a_huge_page_gives_a_bounded_picture_or_an_error_that_says_why() {
    in_both_worlds(&[], async |world| {
        let session = world.session();
        let pages = [
            (
                "document.body.innerHTML = '<div style=\"height: 10000000px; width: 20px; background: red\"></div>'",
                "screenshot",
            ),
            (
                "document.body.innerHTML = '<div style=\"width: 10000000px; height: 20px; background: red\"></div>'",
                "screenshot",
            ),
            ("document.body.innerHTML = '<p>' + 'x'.repeat(200 << 20)", "extract"),
            ("document.body.innerHTML = '<p>' + 'y'.repeat(200 << 20)", "html"),
            (
                "onscroll = () => document.body.append(Object.assign(document.createElement('div'), {style: 'height: 5000px'})); document.body.innerHTML = '<div style=\"height: 5000px\">'; setInterval(() => scrollBy(0, 4000), 5)",
                "screenshot",
            ),
        ];
        for (page, action) in pages {
            let (status, opened) =
                act(world, &session, json!({"navigate": {"url": format!("http://{PUBLIC}/page")}}));
            assert_eq!(status, 200, "{opened}");
            act(
                world,
                &session,
                json!({"evaluate": {"expression": format!("void ({{f() {{ {page} }}}}).f()")}}),
            );
            let asked = match action {
                "screenshot" => json!({"screenshot": {"fullPage": true}}),
                "html" => json!({"extract": {"what": "html"}}),
                _ => json!({ action: {} }),
            };
            let (status, said) = act(world, &session, asked);
            let text = said.to_string();
            assert!(
                status < 500 && text.len() < 100 << 20,
                "{page}: {status}, {} bytes: {:.300}",
                text.len(),
                text
            );
            assert_eq!(world.server.request("GET", "/readyz", &[], None).status, 200);
        }
        let (status, said) = act(world, &session, json!({"navigate": {"url": "http://another.test/"}}));
        assert!(status == 200 && said["results"][0]["error"].is_null(), "{said}");
        assert_eq!(world.server.detail(&session)["status"], "ready");
    });
}

/// BRW-18: a page that prints itself without an end, which no call can stop.
#[test]
fn a_page_of_twenty_thousand_sheets_costs_its_tab_and_not_its_session() {
    in_both_worlds(&[], async |world| {
        let session = world.session();
        let (status, opened) = act(world, &session, json!({"navigate": {"url": "http://printing.test/"}}));
        assert_eq!(status, 200, "{opened}");
        let fill =
            "void (document.body.innerHTML = '<div style=\"break-after: page\">x</div>'.repeat(20000))";
        act(world, &session, json!({"evaluate": {"expression": fill}}));
        let body = json!({"actions": [{"pdf": {}}], "timeout": 3});
        let answer =
            world.server.request("POST", &format!("/v1/sessions/{session}/actions"), &[], Some(body));
        let said = answer.json();
        assert_eq!((answer.status, &said["results"][0]["error"]["code"]), (200, &json!("timeout")), "{said}");
        // Another site has a process of its own.
        let (status, said) = act(world, &session, json!({"navigate": {"url": "http://another.test/"}}));
        assert!(status == 200 && said["results"][0]["error"].is_null(), "{said}");
        assert_eq!(world.server.detail(&session)["status"], "ready");
    });
}

/// BRW-18: pixels of another origin.
#[test]
fn a_picture_of_another_origin_taints_the_canvas() {
    in_both_worlds(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate("http://one.test/start").await;
        let said = tab
            .evaluate("(async () => { const said = {}; for (const [name, path] of [['other', 'http://two.test/closed.svg'], ['own', '/own.svg']]) {
                 const svg = new Blob([`<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>`], {type: 'image/svg+xml'});
                 const image = new Image(); image.src = name === 'own' ? URL.createObjectURL(svg) : path; await image.decode().catch(() => 0);
                 const frame = document.createElement('iframe'); frame.src = 'http://two.test/closed'; document.body.append(frame); await new Promise(done => frame.onload = done);
                 try { said[name + ' frame'] = frame.contentDocument ? 'reached' : 'null'; } catch (e) { said[name + ' frame'] = 'refused'; }
                 const g = document.createElement('canvas').getContext('2d'); try { g.drawImage(image, 0, 0); g.getImageData(0, 0, 1, 1); said[name] = 'read'; } catch (e) { said[name] = e.name; } }
               try { said.fetch = (await fetch('http://two.test/closed')).ok ? 'reached' : 'refused'; } catch (e) { said.fetch = 'refused'; }
               try { document.domain = 'test'; said.domain = 'widened'; } catch (e) { said.domain = 'refused'; } return said; })()")
            .await;
        assert_eq!(
            (&said["own"], &said["fetch"], &said["domain"]),
            (&json!("read"), &json!("refused"), &json!("refused")),
            "{said}"
        );
        assert_ne!(said["other"], "read", "{said}");
        assert_ne!(said["other frame"], "reached", "{said}");
    });
}

/// BRW-14: a browser that nobody asks for anything, and one that goes to one page.
#[test]
fn a_browser_asks_for_nothing_that_neither_its_page_nor_its_client_has_asked_for() {
    in_both_worlds(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        // What a browser does of its own accord it does soon after its start, and again with its first pages.
        let idle = || tokio::time::sleep(std::time::Duration::from_secs(8));
        idle().await;
        assert_eq!((world.canary.names(), world.canary.asked()), (vec![], vec![]));
        tab.navigate("http://page.test/start").await;
        tab.evaluate("document.body.innerHTML = '<form><input name=user autocomplete=username><input type=password name=p></form><a href=http://never.test/>link</a>'").await;
        for key in ["d", "i", "n", "g"] {
            tab.call("Input.dispatchKeyEvent", json!({"type": "char", "text": key})).await;
        }
        idle().await;
        let names = world.canary.names();
        assert!(names.iter().all(|name| name.starts_with("page.test ")), "{names:?}");
        let asked = world.canary.asked();
        let pages = ["GET /start", "GET /favicon.ico"];
        assert!(asked.iter().all(|asked| pages.iter().any(|page| asked.ends_with(page))), "{asked:?}");
        let refused: Vec<String> = world.log().into_iter().filter(|line| line.contains("refused")).collect();
        assert_eq!(refused, Vec::<String>::new());
    });
}
