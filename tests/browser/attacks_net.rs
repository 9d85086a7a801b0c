//! NET and the network's part of BRW: from a page to metadata, private and loopback addresses, by every way that a page has.

use crate::attacks_canary::{NAMED, PUBLIC};
use crate::attacks_world::{Engine, Tab, World, in_both_worlds, in_world};
use crate::cdp_rig::PLENTY;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Addresses that no page may reach, in every spelling that a URL has for them.
const FORBIDDEN: [&str; 38] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "%31%36%39.254.169.254",
    "\u{ff11}69.254.169.254",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[::169.254.169.254]",
    "user:password@169.254.169.254",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "localhost",
    "localhost.",
    "x.localhost",
    "10.0.0.5",
    "192.168.1.1",
    "[fc00::1]",
    "100.64.0.1",
    "224.0.0.251",
];

/// Every address but the public one, and the server's own loopback, must stay silent.
fn silent(world: &World, allowed: &[String]) {
    let mut known = [world.known(), allowed.to_vec(), vec![format!("tcp {PUBLIC}:80")]].concat();
    if world.engine == Engine::Full {
        // The whole Chromium tries a page that a client names by TLS first.
        known.push(format!("tcp {PUBLIC}:443"));
    }
    let strangers = world.canary.strangers(&known);
    assert!(strangers.is_empty(), "something was sent to {strangers:?}; names: {:?}", world.canary.names());
    let wrong: Vec<String> = world
        .canary
        .asked()
        .into_iter()
        .filter(|asked| !known.iter().any(|to| asked.starts_with(to.trim_start_matches("tcp "))))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What the page says of each attempt: the attempt's name and `reached`, or what it failed with.
fn nothing_reached(outcomes: &Value) {
    let outcomes = outcomes.as_object().unwrap_or_else(|| panic!("no outcomes: {outcomes}"));
    assert!(!outcomes.is_empty());
    let reached: Vec<_> = outcomes.iter().filter(|(_, said)| *said == "reached").collect();
    assert!(reached.is_empty(), "{reached:?}");
}

async fn on_public_page(world: &World) -> Tab {
    let session = world.session();
    let mut tab = world.client(&session).await;
    tab.navigate(&format!("http://{PUBLIC}/start")).await;
    assert!(tab.text().await.contains(&format!("the canary of {PUBLIC}:80")), "{}", tab.text().await);
    tab
}

/// The control of all of them: what does leave for such an address is heard and answered.
#[test]
fn the_canary_hears_every_address_and_protocol() {
    in_world(&[], async |world| {
        assert_eq!(world.canary.strangers(&world.known()), std::collections::BTreeSet::new());
        for address in ["169.254.169.254:80", "10.0.0.5:80", "[fd00:ec2::254]:4444"] {
            // Nothing listens on the last one; the attempt counts.
            drop(std::net::TcpStream::connect(address));
        }
        std::net::UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "224.0.0.251:5353").unwrap();
        let heard =
            ["tcp 10.0.0.5:80", "tcp 169.254.169.254:80", "tcp [fd00:ec2::254]:4444", "udp 224.0.0.251:5353"];
        assert_eq!(world.canary.strangers(&world.known()).into_iter().collect::<Vec<_>>(), heard);
    });
}

/// NET-01, NET-02, NET-03, NET-04, BRW-04: a page fetches, and a client navigates to, every spelling of every such address.
#[test]
fn no_spelling_of_a_forbidden_address_is_reached_by_fetch_or_navigation() {
    in_both_worlds(&[], async |world| {
        let mut tab = on_public_page(world).await;
        let hosts = json!(FORBIDDEN.as_slice());
        let fetches = format!(
            "(async () => {{ const said = {{}}; for (const host of {hosts}) {{ const url = `http://${{host}}/latest/meta-data/`;
               try {{ const answer = await fetch(url.replace('user:password@', '')); said[host] = answer.ok ? 'reached' : String(answer.status); }}
               catch (e) {{ said[host] = String(e); }} }} return said; }})()"
        );
        let said = tab.evaluate(&fetches).await;
        assert_eq!(said.as_object().map(serde_json::Map::len), Some(FORBIDDEN.len()), "{said}");
        nothing_reached(&said);
        for host in FORBIDDEN {
            let answer = tab.navigate(&format!("http://{host}/latest/meta-data/")).await;
            let text = tab.text().await;
            assert!(!text.contains("the canary of"), "{host}: {answer} {text}");
        }
        silent(world, &[]);
        // The canary still answers those who may ask.
        tab.navigate(&format!("http://{PUBLIC}/end")).await;
        world.canary.hears("GET /end");
    });
}

/// NET-01, BRW-04: names whose addresses are forbidden, also when the first answer was a public one.
#[test]
fn names_of_forbidden_addresses_are_refused_and_a_second_answer_changes_nothing() {
    in_both_worlds(&[], async |world| {
        let mut tab = on_public_page(world).await;
        for host in ["metadata.test", "private.test", "metadata.google.internal", "instance-data"] {
            tab.navigate(&format!("http://{host}/latest/")).await;
            assert!(!tab.text().await.contains("the canary of"), "{host}");
        }
        assert!(world.canary.names().contains(&"metadata.test 1".to_owned()), "{:?}", world.canary.names());
        assert!(!world.canary.names().iter().any(|name| name.starts_with("metadata.google")));
        tab.navigate("http://rebound.test/first").await;
        assert!(tab.text().await.contains(&format!("the canary of {PUBLIC}:80")), "{}", tab.text().await);
        let again = tab.evaluate("fetch('/second', {cache: 'no-store'}).then(a => a.text(), String)").await;
        assert!(!again.as_str().unwrap().contains("the canary of 169"), "{again}");
        let asked = world.canary.names().iter().filter(|name| *name == "rebound.test 1").count();
        assert!(asked >= 2, "the name was not asked for again: {:?}", world.canary.names());
        silent(world, &[]);
    });
}

/// NET-11, BRW-03: redirects of every kind lead to no forbidden address, for pages, frames and fetches.
#[test]
fn a_redirect_leads_to_no_forbidden_address_and_to_no_file() {
    in_both_worlds(&[], async |world| {
        let mut tab = on_public_page(world).await;
        for status in [301, 302, 303, 307, 308] {
            for to in
                ["http://169.254.169.254/x", "http://10.0.0.5/x", "http://127.0.0.1/x", "file:///etc/passwd"]
            {
                let url = format!("http://{PUBLIC}/r/{status}?to={to}");
                let fetched = tab
                    .evaluate(&format!("fetch('{url}').then(a => a.ok ? 'reached' : a.status, String)"))
                    .await;
                assert_ne!(fetched, "reached", "{url}");
                tab.navigate(&url).await;
                let text = tab.text().await;
                assert!(!text.contains("the canary of") && !text.contains("root:"), "{url}: {text}");
                world.canary.hears(&format!("/r/{status}?to={to}"));
                tab.navigate(&format!("http://{PUBLIC}/start")).await;
            }
        }
        // The same vehicle does carry where it may.
        tab.navigate(&format!("http://{PUBLIC}/r/302?to=http://{PUBLIC}/landed")).await;
        world.canary.hears("GET /landed");
        silent(world, &[]);
    });
}

/// How a page makes a browser ask for something. `U` is the URL, `W` the same as a WebSocket's; each runs in a page that it may spoil.
const VEHICLES: [(&str, &str); 25] = [
    ("img", "new Image().src = U"),
    ("script", "add('script', {src: U})"),
    ("style", "add('link', {rel: 'stylesheet', href: U})"),
    ("css", "add('style', {textContent: `body { background: url(${U}) }`})"),
    ("font", "new FontFace('f', `url(${U})`).load().catch(() => 0)"),
    ("iframe", "add('iframe', {src: U})"),
    ("object", "add('object', {data: U, type: 'text/html'})"),
    ("embed", "add('embed', {src: U, type: 'text/html'})"),
    ("video", "add('video', {src: U, preload: 'auto'})"),
    (
        "track",
        "const v = add('video', {}); const t = document.createElement('track'); v.append(t); t.default = true; t.src = U; t.track.mode = 'showing'",
    ),
    ("prefetch", "add('link', {rel: 'prefetch', href: U})"),
    ("preload", "add('link', {rel: 'preload', as: 'image', href: U})"),
    ("modulepreload", "add('link', {rel: 'modulepreload', href: U})"),
    ("module", "import(U).catch(() => 0)"),
    ("manifest", "add('link', {rel: 'manifest', href: U})"),
    ("xhr", "const x = new XMLHttpRequest(); x.open('GET', U); x.send()"),
    ("events", "new EventSource(U)"),
    ("beacon", "navigator.sendBeacon(U, 'x')"),
    ("keepalive", "fetch(U, {keepalive: true, mode: 'no-cors'}).catch(() => 0)"),
    ("worker", "new Worker(URL.createObjectURL(new Blob([`importScripts('${U}')`])))"),
    ("shared worker", "new SharedWorker(URL.createObjectURL(new Blob([`importScripts('${U}')`])))"),
    ("form", "const f = add('form', {action: U, method: 'post', target: '_blank'}); f.submit()"),
    ("open", "open(U)"),
    ("refresh", "add('iframe', {srcdoc: `<meta http-equiv=refresh content='0;url=${U}'>`})"),
    ("websocket", "new WebSocket(W)"),
];

/// Vehicles that are aimed and of which nobody can say when they have been tried: browsers may leave them out.
const HINTS: &str = "
    for (const host of HOSTS) {
        for (const rel of ['dns-prefetch', 'preconnect', 'prerender']) add('link', {rel, href: `http://${host}/hint`});
        add('a', {href: 'http://example.test/', ping: `http://${host}/ping`, target: '_blank'}).click();
    }
    add('link', {rel: 'dns-prefetch', href: 'http://secret-in-a-name.test/'});
    add('script', {type: 'speculationrules', textContent: JSON.stringify({
        prefetch: [{source: 'list', urls: HOSTS.map(h => `http://${h}/speculative`)}],
        prerender: [{source: 'list', urls: HOSTS.map(h => `http://${h}/prerendered`)}]})});
";

const ADD: &str = "const add = (tag, set) => { const e = document.createElement(tag); Object.assign(e, set); document.documentElement.append(e); return e; };";

/// BRW-03, BRW-14: what a page embeds, opens, posts, prefetches and hints at.
#[test]
fn no_way_that_a_page_has_of_asking_reaches_a_forbidden_address() {
    in_both_worlds(&[], async |world| {
        let mut tab = on_public_page(world).await;
        let hosts = ["169.254.169.254", "10.0.0.5", "127.0.0.1", "[fd00:ec2::254]", "metadata.test"];
        let mut script = format!("{ADD} const HOSTS = {};", json!(hosts));
        let mut windows = Vec::new();
        for (name, vehicle) in VEHICLES {
            let tag = name.replace(' ', "-");
            // The last of each is the control: it must arrive.
            let hosts = || hosts.iter().chain([&PUBLIC]);
            let tried = |host: &str| {
                format!(
                    "{{ const U = `http://{host}/by/{tag}`, W = U.replace('http', 'ws'); try {{ {vehicle} }} catch (e) {{}} }}"
                )
            };
            if ["form", "open"].contains(&name) {
                windows.extend(hosts().map(|host| format!("(() => {{ {ADD} {} }})()", tried(host))));
            } else {
                script.extend(hosts().map(|host| tried(host)));
            }
        }
        tab.evaluate(&format!("(() => {{ {script} {HINTS} }})()")).await;
        // The whole Chromium opens one window for each gesture of a person; and last, since a page behind another loads less.
        for window in windows {
            tab.evaluate(&window).await;
        }
        // What this browser leaves out for every address: the shell installs no applications, and has no plugins to embed.
        let left_out = ["manifest", "embed"];
        let tags = VEHICLES.iter().map(|(name, _)| name.replace(' ', "-"));
        let tags: Vec<String> = tags.filter(|tag| !left_out.contains(&tag.as_str())).collect();
        let arrived =
            |tag: &String| world.canary.asked().iter().any(|asked| asked.ends_with(&format!("/by/{tag}")));
        let missing = || tags.iter().filter(|tag| !arrived(tag)).cloned().collect::<Vec<_>>();
        let since = std::time::Instant::now();
        while !missing().is_empty() {
            assert!(since.elapsed() < PLENTY / 3, "controls that never arrived: {:?}", missing());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // Once more by a slow way, so that what waits behind the first ones has had its turn.
        tab.navigate(&format!("http://{PUBLIC}/end")).await;
        world.canary.hears("GET /end");
        silent(world, &[]);
        let names = world.canary.names();
        assert!(!names.iter().any(|name| name.contains("secret-in-a-name")), "{names:?}");
    });
}

/// BRW-03: a service worker of a page that may have one asks for the page, and reaches no more than it.
#[test]
fn a_service_worker_reaches_no_forbidden_address() {
    in_both_worlds(&[NAMED], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate(&format!("http://localhost:{NAMED}/page")).await;
        let active = tab
            .evaluate("navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(r => new Promise(done => { const look = () => navigator.serviceWorker.controller ? done('controls') : setTimeout(look, 10); look(); }), String)")
            .await;
        assert_eq!(active, "controls");
        let said = tab
            .evaluate(&format!(
                "(async () => {{ const said = {{}}; for (const host of ['169.254.169.254', '10.0.0.5', '127.0.0.1', 'localhost', 'metadata.test'])
                   try {{ said[host] = (await fetch(`http://${{host}}/by-worker`)).ok ? 'reached' : 'refused'; }} catch (e) {{ said[host] = String(e); }}
                   said.control = await fetch('http://{PUBLIC}/by-worker').then(a => 'ok ' + a.status); return said; }})()"
            ))
            .await;
        nothing_reached(&said);
        assert_eq!(said["control"], "ok 200");
        silent(world, &[format!("tcp 127.0.0.1:{NAMED}"), format!("tcp [::1]:{NAMED}")]);
    });
}

/// NET-14, BRW-13: nothing goes out by UDP: no STUN, no TURN, no multicast name, and no address of a machine is told.
#[test]
fn webrtc_sends_nothing_and_tells_no_address() {
    in_both_worlds(&[], async |world| {
        let mut tab = on_public_page(world).await;
        let said = tab
            .evaluate(&format!(
                "(async () => {{ const peer = new RTCPeerConnection({{iceServers: [
                     {{urls: 'stun:{PUBLIC}:3478'}}, {{urls: 'stun:169.254.169.254:80'}}, {{urls: 'stun:stun.test:3478'}},
                     {{urls: ['turn:{PUBLIC}:3478?transport=udp', 'turn:10.0.0.5:80?transport=tcp', 'turns:127.0.0.1:443?transport=tcp'], username: 'u', credential: 'c'}}]}});
                   const candidates = []; peer.createDataChannel('x');
                   const gathered = new Promise(done => peer.onicecandidate = e => e.candidate ? candidates.push(e.candidate.candidate) : done());
                   await peer.setLocalDescription(await peer.createOffer()); await Promise.race([gathered, new Promise(done => setTimeout(done, 8000))]); return candidates; }})()"
            ))
            .await;
        assert!(said.is_array(), "{said}");
        // A random name of the page's own, if anything.
        let addresses =
            said.as_array().into_iter().flatten().filter_map(|said| said.as_str()?.split(' ').nth(4));
        let told: Vec<&str> = addresses.filter(|address| !address.ends_with(".local")).collect();
        assert!(told.is_empty(), "{told:?}");
        assert!(!said.to_string().contains("srflx") && !said.to_string().contains("relay"), "{said}");
        silent(world, &[]);
        let udp: Vec<String> = world
            .canary
            .sent()
            .into_iter()
            .filter(|to| to.starts_with("udp") && !to.ends_with("127.0.0.1:53"))
            .collect();
        assert!(udp.is_empty(), "{udp:?}");
    });
}

/// NET-12, BRW-12: a page does not reach the server that runs its browser, at any address of its machine.
#[test]
fn a_page_does_not_reach_the_server_that_runs_its_browser() {
    in_both_worlds(&[NAMED], async |world| {
        let mut tab = on_public_page(world).await;
        let port = world.server.address().rsplit(':').next().unwrap().to_owned();
        let mine = |world: &World| {
            let to = format!("tcp {}", world.server.address());
            world.canary.sent().iter().filter(|sent| **sent == to).count()
        };
        let before = mine(world);
        let said = tab
            .evaluate(&format!(
                "(async () => {{ const said = {{}}; for (const host of ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0', '127.0.0.2', '[::ffff:127.0.0.1]'])
                   for (const mode of ['cors', 'no-cors']) for (const path of ['livez', 'v1/sessions'])
                     try {{ const a = await fetch(`http://${{host}}:{port}/${{path}}`, {{mode}}); said[[host, mode, path]] = a.type === 'opaque' ? 'opaque' : a.ok ? 'reached' : 'refused'; }}
                     catch (e) {{ said[[host, mode, path]] = String(e); }}
                   said.socket = await new Promise(done => {{ const s = new WebSocket('ws://127.0.0.1:{port}/v1/x'); s.onopen = () => done('reached'); s.onerror = () => done('error'); }});
                   return said; }})()"
            ))
            .await;
        nothing_reached(&said);
        // What a page may not read looks alike; what counts is that nobody connected.
        assert_eq!(mine(world), before, "{said}");
    });
}

/// NET-05: a browser without a network asks nobody for a name and sends nothing, whatever its pages try.
#[test]
fn a_browser_without_a_network_sends_nothing_at_all() {
    in_world(&[], async |world| {
        let session = world.session_under("browser");
        let mut tab = world.client(&session).await;
        let hosts = [PUBLIC, "169.254.169.254", "127.0.0.1", "name.test"];
        for host in hosts {
            let answer = tab.navigate(&format!("http://{host}/")).await;
            assert!(answer["result"]["errorText"].is_string(), "{answer}");
        }
        let mut script = format!("{ADD} const HOSTS = {};", json!(hosts));
        for (_, vehicle) in VEHICLES {
            write!(script, "for (const host of HOSTS) {{ const U = `http://${{host}}/`, W = U.replace('http', 'ws'); try {{ {vehicle} }} catch (e) {{}} }}").unwrap();
        }
        tab.navigate("data:text/html,<p>x").await;
        tab.evaluate(&format!("(() => {{ {script} {HINTS} }})()")).await;
        let tried = tab.evaluate(&format!("fetch('http://{PUBLIC}/').then(() => 'reached', String)")).await;
        assert_ne!(tried, "reached");
        let known = vec![format!("tcp {}", world.server.address())];
        assert_eq!(world.canary.strangers(&known).into_iter().collect::<Vec<_>>(), Vec::<String>::new());
        assert_eq!(world.canary.asked(), Vec::<String>::new());
        // Ears that hear nothing would be deaf: this test's own calls to the server were heard.
        assert!(world.canary.sent().contains(&known[0]));
    });
}
