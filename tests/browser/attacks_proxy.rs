//! NET, the way out itself: what somebody who speaks to it without a browser in between can make of it, and what is left when it is gone.

use crate::attacks_canary::{PUBLIC, until};
use crate::attacks_inside::Inside;
use crate::attacks_world::{Making, World, in_both_worlds, in_world, in_world_of};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// A session, and the network of its browser.
fn inside(world: &World) -> Inside {
    world.session();
    Inside::new(world)
}

/// Nothing went anywhere but to port 80 of the public address.
fn silent(world: &World) {
    let known = [world.known(), vec![format!("tcp {PUBLIC}:80")]].concat();
    let strangers = world.canary.strangers(&known);
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// What does get through: so that refusals are not those of a proxy that refuses everything.
fn control(world: &World, inside: &Inside) {
    let answer = inside.say("GET http://control.test/control HTTP/1.1\r\nHost: control.test\r\n\r\n");
    assert!(answer.contains("the canary of"), "{answer}");
    world.canary.hears("GET /control");
}

/// NET-15: hosts that two parsers read differently.
#[test]
fn a_smuggled_host_name_is_refused_before_anybody_is_asked_for_it() {
    in_world(&[], async |world| {
        let inside = inside(world);
        let (label, name) = ("a".repeat(64), "abcdefg.".repeat(32));
        let hosts: [&[u8]; 30] = [
            b"evil.test\0.good.test",
            b"evil.test%00.good.test",
            b"evil.test\r\nHost: good.test",
            b"evil.test\n",
            b"evil.test .good.test",
            b"evil.test\t",
            b"good.test@evil.test",
            b"user:password@evil.test",
            b"evil.test#.good.test",
            b"evil.test\\.good.test",
            b"evil.test/.good.test",
            b"evil.test?.good.test",
            b"evil.test.",
            b"evil..test",
            b".evil.test",
            b"-evil.test",
            b"evil-.test",
            b"ev_il.test",
            b"*.test",
            b"*",
            b"evil.test,good.test",
            b"evil.test;good.test",
            b"[evil.test]",
            b"[::ffff:169.254.169.254%25lo]",
            "\u{435}vil.test".as_bytes(),
            "evil\u{3002}test".as_bytes(),
            b"\xff.test",
            label.as_bytes(),
            name.as_bytes(),
            b"",
        ];
        for host in hosts {
            for (before, after) in
                [("CONNECT ", ":80 HTTP/1.1\r\n\r\n"), ("GET http://", "/ HTTP/1.1\r\n\r\n")]
            {
                let answer = inside.say([before.as_bytes(), host, after.as_bytes()].concat());
                let status = answer.get(9..12);
                // A slash or a question mark ends the host of a URL: what is before it is asked for, as it stands.
                let url = after.starts_with('/') && (host.contains(&b'/') || host.contains(&b'?'));
                let expected: &[&str] = if url { &["200"] } else { &["400", "403"] };
                assert!(
                    expected.contains(&status.unwrap_or_default()),
                    "{:?}: {answer}",
                    String::from_utf8_lossy(host)
                );
            }
        }
        for port in ["0", "65536", "-1", "+80", "80x", "80:80", "0x50", "080", "\u{663}", " 80", ""] {
            let answer = inside.say(format!("CONNECT evil.test:{port} HTTP/1.1\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 400 "), "{port:?}: {answer}");
        }
        let asked = world.canary.names();
        assert!(asked.iter().all(|name| name.starts_with("evil.test ")), "{asked:?}");
        // Upper case and the other spelling of an international name are one name each.
        assert!(inside.say("CONNECT UPPER.Test:80 HTTP/1.1\r\n\r\n").contains(" 200 "));
        assert!(inside.say("CONNECT xn--vil-red.test:80 HTTP/1.1\r\n\r\n").contains(" 200 "));
        let asked = world.canary.names();
        assert!(
            asked.contains(&"upper.test 1".to_owned()) && asked.contains(&"xn--vil-red.test 1".to_owned()),
            "{asked:?}"
        );
        control(world, &inside);
        silent(world);
    });
}

/// NET-16: two requests in the place of one.
#[test]
fn a_second_request_behind_an_ambiguous_one_is_never_carried_out() {
    in_world(&[], async |world| {
        let inside = inside(world);
        let second = "GET http://169.254.169.254/smuggled HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
        for headers in [
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", second.len()),
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n".to_owned(),
            "Content-Length: 0\r\nContent-Length: 44\r\n".to_owned(),
            "Content-Length: 0, 44\r\n".to_owned(),
            "Content-Length: +0\r\n".to_owned(),
            "Content-Length : 0\r\n".to_owned(),
            "Transfer-Encoding: xchunked\r\n".to_owned(),
            "Transfer-Encoding: chunked, identity\r\n".to_owned(),
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
            "Transfer-Encoding:\u{b}chunked\r\n".to_owned(),
            "X: y\r\n Transfer-Encoding: chunked\r\n".to_owned(),
            "X: y\nTransfer-Encoding: chunked\r\n".to_owned(),
            "X: y\rTransfer-Encoding: chunked\r\n".to_owned(),
            "Host: control.test\r\nHost: 169.254.169.254\r\n".to_owned(),
        ] {
            let head = format!("POST http://control.test/first HTTP/1.1\r\n{headers}\r\n");
            let answer = inside.say(format!("{head}0\r\n\r\n{second}"));
            assert!(answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
        }
        assert!(!world.canary.asked().iter().any(|asked| asked.contains("/first")));
        // Well-formed ones: the first is carried out, and what is behind it is no request to anybody.
        for first in [
            "GET http://control.test/only HTTP/1.1\r\n\r\n",
            "POST http://control.test/only HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "POST http://control.test/only HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            let before = world.canary.asked().len();
            // An end with unread words may cost the sender the answer.
            let answer = inside.say(format!("{first}{second}"));
            assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
            until("the first is carried out", || world.canary.asked().len() > before);
        }
        for chunks in [
            "3;evil=\"\r\n\"\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "3\nabc\n0\n\n",
            "0\r\nX: y\r\n\r\n",
        ] {
            inside.say(format!("POST http://control.test/chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{second}"));
        }
        // No other protocol on the same connection.
        let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
        let answer = inside.say(format!("GET http://control.test/upgrade HTTP/1.1\r\n{upgrade}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let heads = world.canary.heads();
        assert!(heads.iter().any(|head| head.starts_with("GET /upgrade ")), "{heads:?}");
        let foreign =
            |head: &&String| head.contains("smuggled") || head.to_ascii_lowercase().contains("upgrade: ");
        assert_eq!(heads.iter().find(foreign), None);
        assert!(inside.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").starts_with("HTTP/1.1 400 "));
        silent(world);
    });
}

/// NET-13: one destination in the request, and another one in what is sent along.
#[test]
fn a_request_for_one_host_does_not_carry_the_name_of_another() {
    in_world(&[], async |world| {
        let inside = inside(world);
        for head in [
            "GET http://control.test/front HTTP/1.1\r\nHost: hidden.test\r\n\r\n",
            "GET http://control.test/front HTTP/1.1\r\nHost: control.test:8080\r\n\r\n",
            "GET http://control.test/front HTTP/1.1\r\nHost: control.test@hidden.test\r\n\r\n",
            "CONNECT control.test:80 HTTP/1.1\r\nHost: hidden.test:80\r\n\r\n",
            "CONNECT control.test:80 HTTP/1.1\r\nHost: control.test\r\nHost: hidden.test\r\n\r\n",
        ] {
            assert!(inside.say(head).starts_with("HTTP/1.1 400 "), "{head}");
        }
        for head in [
            "GET /front HTTP/1.1\r\nHost: control.test\r\n\r\n",
            "GET https://control.test/front HTTP/1.1\r\n\r\n",
        ] {
            assert!(inside.say(head).starts_with("HTTP/1.1 403 "), "{head}");
        }
        assert_eq!(world.canary.asked(), Vec::<String>::new());
        // Without a Host, it is the target's.
        inside.say("GET http://control.test/front HTTP/1.0\r\n\r\n");
        assert!(world.canary.heads()[0].contains("Host: control.test\r\n"), "{:?}", world.canary.heads());
        // In a tunnel the proxy sees nothing: what it has judged is the address, and that is where the bytes go.
        inside.say(
            "CONNECT control.test:80 HTTP/1.1\r\n\r\nGET /inner HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
        );
        assert!(
            world.canary.asked().contains(&format!("{PUBLIC}:80 GET /inner")),
            "{:?}",
            world.canary.asked()
        );
        silent(world);
    });
}

/// NET-13, BRW-11: the same by a client of the browser: headers that it adds, and requests that it changes.
#[test]
fn a_client_cannot_front_one_host_with_another() {
    in_both_worlds(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate("http://front.test/start").await;
        tab.call("Network.enable", json!({})).await;
        tab.call("Network.setExtraHTTPHeaders", json!({"headers": {"Host": "hidden.test"}})).await;
        tab.evaluate("fetch('/by-header', {cache: 'no-store'}).catch(() => 0)").await;
        tab.call("Network.setExtraHTTPHeaders", json!({"headers": {}})).await;
        tab.call("Fetch.enable", json!({"patterns": [{"urlPattern": "*/changed*"}]})).await;
        tab.evaluate("void fetch('/changed', {cache: 'no-store'}).catch(() => 0)").await;
        let id = tab.event("Fetch.requestPaused").await["requestId"].clone();
        let headers = json!([{"name": "Host", "value": "hidden.test"}]);
        tab.call("Fetch.continueRequest", json!({"requestId": id, "headers": headers})).await;
        tab.call("Fetch.disable", json!({})).await;
        tab.evaluate("fetch('/control', {cache: 'no-store'}).then(a => a.status)").await;
        world.canary.hears("GET /control");
        let heads = world.canary.heads();
        assert!(!heads.iter().any(|head| head.contains("hidden.test")), "{heads:?}");
    });
}

/// NET-14, NET-12: other protocols at the proxy's port, and other ports beside it.
#[test]
fn the_way_out_speaks_one_protocol_and_stands_alone() {
    in_world(&[], async |world| {
        let inside = inside(world);
        let socks4 = [4, 1, 0, 80, 10, 0, 0, 5, 0];
        for words in [
            &[5, 1, 0][..],
            &[5, 3, 0, 1, 10, 0, 0, 5, 0, 80],
            &socks4,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"SSH-2.0-x\r\n\r\n",
        ] {
            let answer = inside.say([words, b"\r\n\r\n"].concat());
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{words:?}: {answer}");
        }
        for path in ["/", "/livez", "/metrics", "/v1/sessions", "/proxy.pac", "/wpad.dat"] {
            let answer = inside.say(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("Rule: proxy-only\n"), "{answer}");
        }
        // A socket that happens to have the port that it tries is connected to itself.
        let other = |port| {
            let stream = TcpStream::connect(("127.0.0.1", port));
            stream.is_ok_and(|stream| stream.local_addr().unwrap().port() != port)
        };
        let open: Vec<u16> = inside.run(|| (1..=u16::MAX).filter(|port| other(*port)).collect());
        assert_eq!(open, [3128]);
        control(world, &inside);
        silent(world);
    });
}

/// NET-17, ISO-06: a listener in a session, from the machine, from another session, and from itself.
#[test]
fn a_port_that_a_session_listens_on_is_its_own() {
    in_world(&[], async |world| {
        let one = inside(world);
        let known: Vec<i32> = world.server.processes().iter().map(|process| process.pid).collect();
        let second = world.session();
        let two = Inside::beside(world, &known);
        let listener = one.run(|| TcpListener::bind("0.0.0.0:4444").unwrap());
        let port = |port: u16| {
            ["127.0.0.1", "0.0.0.0", "127.0.0.2", PUBLIC, "10.0.0.5"].map(|host| format!("{host}:{port}"))
        };
        assert!(one.run(|| TcpStream::connect("127.0.0.1:4444")).is_ok(), "it does listen");
        for address in port(4444) {
            assert!(TcpStream::connect(&address).is_err(), "the machine reaches {address}");
            assert!(two.run(|| TcpStream::connect(&address)).is_err(), "the other session reaches {address}");
            let answer = two.say(format!("CONNECT {address} HTTP/1.1\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 403 "), "{address}: {answer}");
        }
        let mut tab = world.client(&second).await;
        tab.navigate(&format!("http://{PUBLIC}/start")).await;
        let said = tab.evaluate("fetch('http://127.0.0.1:4444/').then(a => a.ok, () => 'failed')").await;
        assert_ne!(said, true);
        // The one that was connected above is all that ever arrived.
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_ok() && listener.accept().is_err());
    });
}

/// NET-19: every port of a host, and more connections than there may be at once.
#[test]
fn a_port_scan_reaches_no_port_that_is_not_listed_and_is_written_down_in_a_bounded_way() {
    const FEW: &str = "[network]\nconnections = 8";
    in_world_of(Making { policies: &[("few", FEW)], ..Making::USUAL }, async |world| {
        world.session_under("few");
        let inside = Inside::new(world);
        for port in (1..=1024).chain([3306, 5432, 6379, 8080, 9200, 65535]) {
            let answer = inside.say(format!("CONNECT scan.test:{port} HTTP/1.1\r\n\r\n"));
            let expected = if [80, 443].contains(&port) { None } else { Some("Rule: network.ports\n") };
            assert!(expected.is_none_or(|rule| answer.contains(rule)), "{port}: {answer}");
        }
        let known = [world.known(), [80, 443].map(|port| format!("tcp {PUBLIC}:{port}")).to_vec()].concat();
        assert_eq!(world.canary.strangers(&known).len(), 0);
        assert!((200..=310).contains(&world.log().len()), "{} lines", world.log().len());
        // Eight that hold, and the ninth.
        let holders: Vec<TcpStream> = (0..8)
            .map(|_| {
                let mut holder = inside.connect().unwrap();
                holder.write_all(b"CONNECT hold.test:80 HTTP/1.1\r\n\r\n").unwrap();
                let mut established = [0; 39];
                holder.read_exact(&mut established).unwrap();
                holder
            })
            .collect();
        assert!(inside.say("").contains("Rule: network.connections\n"));
        drop(holders);
        until("there is room again", || {
            inside.say("GET http://control.test/control HTTP/1.1\r\n\r\n").contains("the canary of")
        });
    });
}

/// NET-20: what leaves by an allowed host is seen, and is bounded.
#[test]
fn what_goes_to_an_allowed_host_is_counted_by_host_and_ends_at_the_budget() {
    const SMALL: &str = "[network]\nbytes = '64KiB'";
    in_world_of(Making { policies: &[("small", SMALL)], ..Making::USUAL }, async |world| {
        let session = world.session_under("small");
        let inside = Inside::new(world);
        let body = "x".repeat(9000);
        let head =
            format!("POST http://drop.test/in?secret HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = inside.say(format!("{head}{body}"));
        assert!(answer.contains("the canary of"), "{answer}");
        world.canary.hears("POST /in?secret");
        let ended = |line: &String| {
            line.contains("ended") && line.contains("host=drop.test") && line.contains("bytes_out=90")
        };
        until(&format!("the bytes in {:?}", world.log()), || world.log().iter().any(ended));
        assert!(!world.log().iter().any(|line| line.contains("secret")), "{:?}", world.log());
        let large = "x".repeat(70_000);
        inside.say(format!("CONNECT drop.test:80 HTTP/1.1\r\n\r\n{large}"));
        let answer = inside.say("GET http://drop.test/more HTTP/1.1\r\n\r\n");
        assert!(answer.contains("Rule: network.bytes\n"), "{answer}");
        let mut tab = world.client(&session).await;
        let said = tab.navigate("http://drop.test/by-page").await;
        assert!(!tab.text().await.contains("the canary of"), "{said}");
        assert!(
            !world.canary.asked().iter().any(|asked| asked.contains("/more") || asked.contains("/by-page"))
        );
    });
}

/// NET-22, NET-23: the server is gone: open connections end, new ones are not served, and a next server gives the session to nobody.
#[test]
fn when_the_server_dies_so_does_the_way_out() {
    in_world(&[], async |world| {
        let session = world.session();
        let inside = Inside::new(world);
        let mut tunnel = inside.connect().unwrap();
        tunnel.write_all(b"CONNECT held.test:80 HTTP/1.1\r\n\r\n").unwrap();
        let mut established = [0; 39];
        tunnel.read_exact(&mut established).unwrap();
        world.crash();
        assert_eq!(tunnel.read(&mut [0; 8]).unwrap_or(0), 0, "the tunnel is still open");
        drop(tunnel.write_all(b"GET /after HTTP/1.1\r\n\r\n"));
        let before = world.canary.sent().len();
        // Init holds the listener for a server that comes back; until then nobody answers.
        if let Ok(mut stream) = inside.connect() {
            stream.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
            drop(stream.write_all(b"GET http://held.test/after HTTP/1.1\r\n\r\n"));
            assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "somebody answers");
        }
        assert!(!world.canary.asked().iter().any(|asked| asked.contains("/after")));
        assert_eq!(world.canary.sent().len(), before);
        let server = world.place.serve(0);
        assert_eq!(server.detail(&session)["status"], "terminated");
        assert_eq!(world.place.sandboxes(), Vec::<String>::new());
        assert!(inside.connect().is_err(), "the listener outlives its session");
        assert!(server.terminate().success());
    });
}
