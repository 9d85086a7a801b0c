//! BRW: what pages and CDP clients try against the browser, its files, its proxy and its profile.

use crate::attacks_canary::{PUBLIC, until};
use crate::attacks_world::{Tab, World, in_world};
use serde_json::{Value, json};

/// Pages of the machine and of the browser itself.
const FOREIGN: [&str; 12] = [
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "FiLe:///etc/passwd",
    "view-source:file:///etc/passwd",
    "filesystem:file:///temporary/x",
    "chrome://version",
    "chrome://gpu",
    "view-source:chrome://version",
    "chrome-untrusted://print/",
    "devtools://devtools/bundled/inspector.html",
    "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/index.html",
    "about:version",
];

/// Whether a page of the machine or of the browser shows.
async fn nothing_foreign(tab: &mut Tab, tried: &str) {
    let text = tab.text().await;
    assert!(!text.contains("root:") && !text.contains("Command Line"), "{tried}: {text}");
    for target in tab.targets().await {
        let url = target["url"].as_str().unwrap_or_default().to_ascii_lowercase();
        let foreign = ["file:", "view-source:", "filesystem:", "chrome:", "chrome-untrusted:", "devtools:"];
        let shown = foreign.iter().any(|scheme| url.starts_with(scheme));
        // A navigation that failed shows an error page of the browser's, which holds nothing.
        assert!(!shown || url.starts_with("chrome-error:"), "{tried}: {target}");
    }
}

/// A file of a session by its name.
fn file(world: &World, session: &str, path: &str) -> Vec<u8> {
    let answer = world.server.request("GET", &format!("/v1/sessions/{session}/files/{path}"), &[], None);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.body
}

/// A name as a part of a URL's path.
fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn sentence(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_else(|| panic!("it was done: {answer}"))
}

/// BRW-02: a page opens, frames, posts to and follows links to pages of the machine and of the browser; a client does the same.
#[test]
fn pages_of_the_machine_and_of_the_browser_are_opened_by_nobody() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        for url in FOREIGN {
            assert!(sentence(&tab.call("Page.navigate", json!({ "url": url })).await).contains("CDP policy"));
            assert!(
                sentence(&tab.browser("Target.createTarget", json!({ "url": url })).await)
                    .contains("CDP policy")
            );
            for way in [
                "open(U)",
                "location = U",
                "location.replace(U)",
                "const a = document.createElement('a'); a.href = U; a.target = '_blank'; document.body.append(a); a.click()",
                "const f = document.createElement('form'); f.action = U; document.body.append(f); f.submit()",
                "const i = document.createElement('iframe'); i.src = U; document.body.append(i)",
                "document.body.innerHTML = `<meta http-equiv=refresh content='0;url=${U}'>`",
                "document.body.innerHTML = `<object data='${U}'></object><embed src='${U}'>`",
            ] {
                tab.evaluate(&format!("(() => {{ const U = '{url}'; try {{ {way} }} catch (e) {{}} }})()"))
                    .await;
            }
            nothing_foreign(&mut tab, url).await;
            // The next page comes after whatever the last one has begun.
            tab.navigate(&format!("http://{PUBLIC}/next")).await;
            nothing_foreign(&mut tab, url).await;
        }
        let read = tab
            .evaluate("Promise.all(['file:///etc/passwd', 'chrome://version'].map(u => fetch(u).then(a => a.text(), () => 'refused')))")
            .await;
        assert_eq!(read, json!(["refused", "refused"]));
    });
}

/// BRW-02: what a client can do to a request, a frame's rights and an answer opens no file either.
#[test]
fn no_changed_request_and_no_privileged_world_reads_a_file() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate(&format!("http://{PUBLIC}/page")).await;
        let tree = tab.call("Page.getFrameTree", json!({})).await;
        let frame = tree["result"]["frameTree"]["frame"]["id"].clone();
        // The misspelling is the protocol's.
        let params = json!({"frameId": frame, "worldName": "w", "grantUniveralAccess": true});
        let world_of = tab.call("Page.createIsolatedWorld", params).await;
        let context = world_of["result"]["executionContextId"].clone();
        assert!(context.is_number(), "{world_of}");
        for url in ["file:///etc/passwd", "chrome://version", "http://169.254.169.254/", "http://127.0.0.1/"]
        {
            let expression = format!(
                "Promise.all([fetch('{url}').then(a => a.text(), () => 'refused'),
                   new Promise(done => {{ const x = new XMLHttpRequest(); x.onload = () => done(x.responseText); x.onerror = () => done('refused'); try {{ x.open('GET', '{url}'); x.send(); }} catch (e) {{ done('refused') }} }}),
                   new Promise(done => {{ const i = document.createElement('iframe'); i.onload = () => {{ let t = ''; try {{ t = i.contentDocument.body.innerText }} catch (e) {{}} done(t) }}; i.src = '{url}'; document.body.append(i); setTimeout(() => done('no load'), 3000) }})])"
            );
            let params = json!({"expression": expression, "contextId": context, "awaitPromise": true, "returnByValue": true});
            let said = tab.call("Runtime.evaluate", params).await.to_string();
            assert!(said.contains("refused"), "{url}: {said}");
            assert!(
                !said.contains("root:") && !said.contains("canary of") && !said.contains("Command Line"),
                "{url}: {said}"
            );
        }
        tab.call("Fetch.enable", json!({"patterns": [{"urlPattern": "*/changed*"}]})).await;
        for url in ["file:///etc/passwd", "chrome://version", "http://169.254.169.254/", "http://10.0.0.5/"] {
            tab.evaluate("void (window.said = fetch('/changed?' + Math.random()).then(a => a.text(), () => 'refused'))").await;
            let id = tab.event("Fetch.requestPaused").await["requestId"].clone();
            let changed = tab.call("Fetch.continueRequest", json!({"requestId": id, "url": url})).await;
            if url.starts_with("http") {
                assert!(changed["result"].is_object(), "{changed}");
            } else {
                assert!(sentence(&changed).contains("CDP policy"), "{changed}");
                let headers = json!([{"name": "Location", "value": url}]);
                let params = json!({"requestId": id, "responseCode": 302, "responseHeaders": headers});
                tab.call("Fetch.fulfillRequest", params).await;
            }
            let said = tab.evaluate("window.said").await.to_string();
            assert!(
                !said.contains("root:") && !said.contains("canary of") && !said.contains("Command Line"),
                "{url}: {said}"
            );
        }
        nothing_foreign(&mut tab, "changed requests").await;
        let strangers = world.canary.strangers(&[world.known(), vec![format!("tcp {PUBLIC}:80")]].concat());
        assert!(strangers.is_empty(), "{strangers:?}");
    });
}

/// BRW-05: names of downloads, and the folder that a client names for them.
#[test]
fn a_download_lands_in_the_sessions_folder_whatever_it_is_called() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        for method in ["Browser.setDownloadBehavior", "Page.setDownloadBehavior"] {
            let params =
                json!({"behavior": "allow", "downloadPath": "/home/agent/elsewhere", "eventsEnabled": true});
            tab.call(method, params).await;
        }
        let params = json!({"behavior": "allow", "downloadPath": "/tmp", "eventsEnabled": true});
        tab.browser("Browser.setDownloadBehavior", params).await;
        let long = "n".repeat(300);
        let names = [
            "..%2F..%2Fescaped",
            "%2Ftmp%2Fescaped",
            "..%5C..%5Cescaped",
            ".bashrc",
            "a.desktop",
            "CON",
            "\u{202e}cod.exe",
            &long,
        ];
        tab.navigate(&format!("http://{PUBLIC}/page")).await;
        for name in names {
            tab.evaluate(&format!("location = 'http://{PUBLIC}/download?{name}'")).await;
            while tab.event("Browser.downloadProgress").await["state"] != "completed" {}
        }
        let list = |path: &str| -> Vec<String> {
            let answer = world
                .server
                .request("GET", &format!("/v1/sessions/{session}/files?path={path}"), &[], None)
                .json();
            let entries = answer["files"].as_array().or(answer["entries"].as_array()).cloned();
            let entries = entries.unwrap_or_else(|| panic!("no list: {answer}"));
            entries.iter().filter_map(|entry| Some(entry["name"].as_str()?.to_owned())).collect()
        };
        // Until it has its name, a file is called by a GUID, whatever the page called it.
        let nameless = |name: &String| name.len() == 36 && name.split('-').count() == 5;
        until("all downloads have their names", || {
            let listed = list("downloads");
            listed.len() == names.len() && !listed.iter().any(nameless)
        });
        assert_eq!(list("."), ["downloads"]);
        for name in list("downloads") {
            assert!(
                !name.contains(['/', '\\', '\u{202e}']) && !name.starts_with('.') && name.len() <= 255,
                "{name:?}"
            );
            assert_eq!(
                file(world, &session, &format!("downloads/{}", escaped(&name))),
                b"downloaded",
                "{name}"
            );
        }
    });
}

/// BRW-06: paths that a client gives to a file input, to a drop and to a file chooser.
#[test]
fn an_upload_takes_files_of_the_session_and_no_others() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate("data:text/html,<input type=file id=f>").await;
        let input = tab.call("Runtime.evaluate", json!({"expression": "document.querySelector('#f')"})).await;
        let input = input["result"]["result"]["objectId"].clone();
        for path in [
            "/etc/passwd",
            "../../etc/passwd",
            "/workspace/../etc/passwd",
            "/workspace//../proc/self/environ",
            "/home/agent/browser/Default/Cookies",
            "/proc/self/cwd/../etc/passwd",
            "",
            "/",
            "..",
            "a\u{0}/../../etc/passwd",
        ] {
            let answer = tab.call("DOM.setFileInputFiles", json!({"files": [path], "objectId": input})).await;
            let held = tab.evaluate("document.querySelector('#f').files.length").await;
            assert!(sentence(&answer).contains("not a file of this session"), "{path:?}: {answer}");
            assert_eq!(held, 0, "{path:?}");
            let data = json!({"items": [], "files": [path], "dragOperationsMask": 1});
            let params = json!({"type": "drop", "x": 20, "y": 20, "data": data});
            let answer = tab.call("Input.dispatchDragEvent", params).await;
            assert!(sentence(&answer).contains("not a file of this session"), "{path:?}: {answer}");
        }
    });
}

/// BRW-08, BRW-11, BRW-20, BRW-21: proxies, certificates, extensions, the command line, ports and other machines by CDP.
#[test]
fn no_command_changes_the_proxy_or_the_certificates_or_reaches_the_machine() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate(&format!("http://{PUBLIC}/page")).await;
        for (method, params) in [
            ("Target.createBrowserContext", json!({"proxyServer": "direct://"})),
            ("Target.createBrowserContext", json!({"proxyServer": "socks5://10.0.0.5:1080"})),
            ("Target.createBrowserContext", json!({"proxyBypassList": "*"})),
            ("Target.createBrowserContext", json!({"originsWithUniversalNetworkAccess": ["http://a"]})),
            ("Target.exposeDevToolsProtocol", json!({"targetId": "x"})),
            ("Target.setRemoteLocations", json!({"locations": [{"host": "127.0.0.1", "port": 80}]})),
            ("Target.sendMessageToTarget", json!({"message": "{}"})),
            ("Security.setIgnoreCertificateErrors", json!({"ignore": true})),
            ("Security.setOverrideCertificateErrors", json!({"override": true})),
            ("Security.handleCertificateError", json!({"eventId": 1, "action": "continue"})),
            ("Extensions.loadUnpacked", json!({"path": "/workspace"})),
            ("Extensions.getExtensions", json!({})),
            ("Browser.getBrowserCommandLine", json!({})),
            ("Browser.executeBrowserCommand", json!({"commandId": "openTabSearch"})),
            ("Browser.crash", json!({})),
            ("Browser.crashGpuProcess", json!({})),
            ("Browser.grantPermissions", json!({"permissions": ["videoCapture"]})),
            ("Browser.setPermission", json!({"permission": {"name": "camera"}, "setting": "granted"})),
            (
                "Network.loadNetworkResource",
                json!({"url": "file:///etc/passwd", "options": {"disableCache": true, "includeCredentials": true}}),
            ),
            ("SystemInfo.getProcessInfo", json!({})),
            ("Tethering.bind", json!({"port": 9222})),
            ("Tracing.requestMemoryDump", json!({})),
            ("Memory.startSampling", json!({})),
            ("DeviceAccess.enable", json!({})),
            ("Cast.enable", json!({})),
            ("PWA.launch", json!({"manifestId": "http://a/"})),
            ("FileSystem.getDirectory", json!({"bucketFileSystemLocator": {}})),
            ("IO.read", json!({"handle": "1"})),
            ("No.suchMethod", json!({})),
        ] {
            for answer in [tab.browser(method, params.clone()).await, tab.call(method, params.clone()).await]
            {
                // Words of the broker: that the browser itself does not take a call would be no refusal of ours.
                let ours = [
                    "CDP policy",
                    "proxyServer: ",
                    "originsWithUniversal",
                    "is not given to pages",
                    "no such stream",
                ];
                let said = sentence(&answer);
                assert!(ours.iter().any(|words| said.contains(words)), "{method}: {answer}");
            }
        }
        // The browser is still there, and still goes by the proxy.
        let context = tab.browser("Target.createBrowserContext", json!({})).await;
        let params = json!({"url": "http://169.254.169.254/x", "browserContextId": context["result"]["browserContextId"]});
        assert!(tab.browser("Target.createTarget", params).await["result"].is_object());
        tab.navigate(&format!("http://{PUBLIC}/end")).await;
        world.canary.hears("GET /end");
        let strangers = world.canary.strangers(&[world.known(), vec![format!("tcp {PUBLIC}:80")]].concat());
        assert!(strangers.is_empty(), "{strangers:?}");
    });
}

/// BRW-16, BRW-17: devices that a page asks for, and programs that a link would start.
#[test]
fn a_page_gets_no_device_and_starts_no_program() {
    in_world(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate("data:text/html,<p>x").await;
        let said = tab
            .evaluate("(async () => { const said = {}, ask = async (name, f) => { try { said[name] = (await f()) ? 'reached' : 'none'; } catch (e) { said[name] = String(e); } };
               await ask('camera', () => navigator.mediaDevices.getUserMedia({video: true}));
               await ask('microphone', () => navigator.mediaDevices.getUserMedia({audio: true}));
               await ask('screen', () => navigator.mediaDevices.getDisplayMedia());
               await ask('usb', () => navigator.usb.requestDevice({filters: []}));
               await ask('hid', async () => (await navigator.hid.requestDevice({filters: []})).length);
               await ask('serial', () => navigator.serial.requestPort());
               await ask('bluetooth', () => navigator.bluetooth.requestDevice({acceptAllDevices: true}));
               await ask('files', () => showOpenFilePicker());
               await ask('folder', () => showDirectoryPicker());
               await ask('fonts', async () => (await queryLocalFonts()).length);
               return said; })()")
            .await;
        let outcomes = said.as_object().unwrap_or_else(|| panic!("{said}"));
        assert!(outcomes.len() == 10 && outcomes.values().all(|outcome| outcome != "reached"), "{said}");
        for link in ["mailto:a@example.test", "tel:1", "custom+scheme:x", "ssh://10.0.0.5", "steam://run/1"] {
            tab.evaluate(&format!("void open('{link}'); (() => {{ const a = document.createElement('a'); a.href = '{link}'; a.click(); }})()")).await;
        }
        tab.evaluate("1").await;
        let programs: Vec<String> =
            world.server.processes().into_iter().map(|process| process.name).collect();
        let foreign: Vec<&String> = programs
            .iter()
            .filter(|name| ["xdg-open", "sh", "ssh", "gio"].contains(&name.as_str()))
            .collect();
        assert!(foreign.is_empty() && programs.len() > 4, "{programs:?}");
    });
}
