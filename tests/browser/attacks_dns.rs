//! NET, names: what a session can say by asking for names, and what the answers can make the way out do.

use crate::attacks_canary::PUBLIC;
use crate::attacks_inside::Inside;
use crate::attacks_world::{Engine, Making, Tab, World, in_both_worlds, in_world_of};
use serde_json::{Value, json};

/// A policy that lists two names, and one more below each name.
const LISTED: (&str, &str) = (
    "listed",
    "[network]\nmode = 'allowlist'\nallowed_domains = ['listed.test', '*.wild.test', 'alias-private.test']",
);

const LISTING: Making = Making { policies: &[LISTED], ..Making::USUAL };

/// What a page sees of a refusal: an answer that it may not read.
const REFUSED: &str = "failed";

async fn listed(world: &World) -> Tab {
    let session = world.session_under("listed");
    let mut tab = world.client(&session).await;
    tab.navigate("http://listed.test/start").await;
    assert!(tab.text().await.contains("the canary of"), "{}", tab.text().await);
    tab
}

/// Fetches URLs one after the other; what came of each: a status, or `failed`.
async fn fetched(tab: &mut Tab, urls: &[String]) -> Vec<Value> {
    let script = format!(
        "(async () => {{ const said = []; for (const url of {}) said.push(await fetch(url, {{cache: 'no-store'}}).then(a => a.status, () => 'failed')); return said; }})()",
        json!(urls)
    );
    tab.evaluate(&script).await.as_array().unwrap().clone()
}

/// Nothing went anywhere but to the public address.
fn silent(world: &World) {
    let mut known = [world.known(), vec![format!("tcp {PUBLIC}:80")]].concat();
    if world.engine == Engine::Full {
        known.push(format!("tcp {PUBLIC}:443"));
    }
    let strangers = world.canary.strangers(&known);
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// NET-06, NET-08: names are messages. Those that a policy does not list are never asked for; below a listed wildcard there are only so many.
#[test]
fn a_name_that_is_not_listed_is_told_to_nobody_and_fresh_ones_below_a_wildcard_run_out() {
    in_world_of(LISTING, async |world| {
        let mut tab = listed(world).await;
        let secret = |n: usize| format!("c2VjcmV0LW51bWJlcg{n:04}");
        let unlisted: Vec<String> = (0..40)
            .flat_map(|n| {
                let name = secret(n);
                [
                    format!("http://{name}.test/"),
                    format!("http://{name}.listed.test/"),
                    format!("http://wild.test/{name}"),
                ]
            })
            .collect();
        let said = fetched(&mut tab, &unlisted).await;
        assert!(said.iter().all(|status| *status == REFUSED), "{said:?}");
        let long = format!(
            "http://{}.wild.test/",
            ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(60)].join(".")
        );
        let odd: Vec<String> = [
            &format!("http://{}.wild.test/", "a".repeat(64)),
            &long,
            "http://a_b.wild.test/",
            "http://*.wild.test/",
        ]
        .map(String::from)
        .into();
        let said = fetched(&mut tab, &odd).await;
        assert!(said.iter().all(|status| *status != 200), "{said:?}");
        assert_eq!(names(world), ["listed.test"]);
        let refused = |line: &String| {
            line.contains("refused") && line.contains("c2vjcmv0") && line.contains("network.allowed_domains")
        };
        assert!(world.log().iter().filter(|line| refused(line)).count() == 80, "{:?}", world.log());
        // With the start's, 512 names; the last of these are too many.
        let wild: Vec<String> = (0..520).map(|n| format!("http://{}.wild.test/", secret(n))).collect();
        let said = fetched(&mut tab, &wild).await;
        let through = said.iter().take_while(|status| **status == 200).count();
        assert_eq!(through, 511, "{said:?}");
        assert!(said[through..].iter().all(|status| *status == REFUSED), "{said:?}");
        let asked = names(world);
        assert_eq!(asked.len(), 512, "{asked:?}");
        // Addresses are all that is ever asked for: no text, no service, no hint of another port or key.
        let kinds = world.canary.names();
        assert!(kinds.iter().all(|asked| asked.ends_with(" 1") || asked.ends_with(" 28")), "{kinds:?}");
        // What is known still works.
        assert_eq!(fetched(&mut tab, &["http://listed.test/end".to_owned()]).await, [200]);
        silent(world);
    });
}

/// The names that were asked for, each once.
fn names(world: &World) -> Vec<String> {
    let asked = world.canary.names();
    let names = asked.iter().filter_map(|asked| asked.split(' ').next());
    let names: std::collections::BTreeSet<String> = names.map(str::to_owned).collect();
    names.into_iter().collect()
}

/// NET-07: resolvers that speak TLS, HTTPS or QUIC, and the browser's own way of asking them.
#[test]
fn no_other_resolver_is_reached_by_any_protocol() {
    for engine in [Engine::Shell, Engine::Full] {
        in_world_of(Making { engine, ..LISTING }, async |world| {
            let mut tab = listed(world).await;
            let urls: Vec<String> = [
                "https://dns.google/dns-query?dns=AAABAAABAAAAAAAABnNlY3JldAR0ZXN0AAABAAE",
                "https://cloudflare-dns.com/dns-query?name=secret.test",
                "https://mozilla.cloudflare-dns.com/dns-query",
                "https://dns.quad9.net:5053/dns-query",
                "https://1.1.1.1/dns-query",
                "https://8.8.8.8/resolve?name=secret.test",
                "https://[2606:4700:4700::1111]/dns-query",
                "https://listed.test:853/",
                "http://listed.test:53/",
                "http://listed.test:5353/",
                "https://listed.test:784/",
            ]
            .map(str::to_owned)
            .into();
            let said = fetched(&mut tab, &urls).await;
            assert!(said.iter().all(|status| *status != 200), "{said:?}");
            let inside = Inside::new(world);
            for (target, rule) in [
                ("dns.google:443", "network.allowed_domains"),
                ("1.1.1.1:443", "network.allowed_domains"),
                ("listed.test:853", "network.ports"),
                ("listed.test:53", "network.ports"),
            ] {
                let answer = inside.say(format!("CONNECT {target} HTTP/1.1\r\n\r\n"));
                assert!(answer.contains(&format!("Rule: {rule}\n")), "{target}: {answer}");
            }
            // Nothing inside answers by the classic protocol either, and no packet leaves.
            inside.run(|| {
                let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
                for resolver in
                    ["1.1.1.1:53", "8.8.8.8:443", "224.0.0.251:5353", "224.0.0.252:5355", "10.0.0.5:137"]
                {
                    assert!(socket.send_to(b"question", resolver).is_err(), "{resolver}");
                }
                assert!(std::net::TcpStream::connect("1.1.1.1:853").is_err());
            });
            assert_eq!(names(world), ["listed.test"]);
            silent(world);
        });
    }
}

/// NET-08, NET-10: aliases, mixed answers, and an address of each family: each address is judged, and only a judged one is dialled.
#[test]
fn every_address_behind_a_name_is_judged_and_no_other_is_dialled() {
    in_both_worlds(&[], async |world| {
        let session = world.session();
        let mut tab = world.client(&session).await;
        tab.navigate(&format!("http://{PUBLIC}/start")).await;
        let url = |name: &str| format!("http://{name}.test/by-{name}");
        let said = fetched(&mut tab, &["alias-private", "alias-metadata"].map(url)).await;
        assert_eq!(said, [REFUSED, REFUSED]);
        // The good part of a mixed answer is dialled; from whichever end the list is tried.
        for _ in 0..4 {
            let said = fetched(&mut tab, &["alias-elsewhere", "mixed", "alias-mixed", "six"].map(url)).await;
            assert_eq!(said, [200, 200, 200, 200]);
        }
        // A tunnel is judged in the same way, and stays with its address when the name gets another one.
        let inside = Inside::new(world);
        let ask = |name: &str, path: &str| {
            inside.say(format!(
                "CONNECT {name}.test:80 HTTP/1.1\r\n\r\nGET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"
            ))
        };
        assert!(ask("mixed", "tunnelled").contains(&format!("the canary of {PUBLIC}:80")));
        let mut tunnel = inside.connect().unwrap();
        std::io::Write::write_all(&mut tunnel, b"CONNECT rebound.test:80 HTTP/1.1\r\n\r\n").unwrap();
        let mut established = [0; 39];
        std::io::Read::read_exact(&mut tunnel, &mut established).unwrap();
        assert!(ask("rebound", "by-rebound").contains("Rule: metadata-addresses"));
        std::io::Write::write_all(&mut tunnel, b"GET /in-the-old-tunnel HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut tunnel, &mut answer).unwrap();
        assert!(answer.contains(&format!("the canary of {PUBLIC}:80")), "{answer}");
        world.canary.hears("GET /in-the-old-tunnel");
        silent(world);
    });
}

/// NET-08: an alias that the policy lists is no licence for where it leads.
#[test]
fn a_listed_alias_of_a_private_name_is_refused() {
    in_world_of(LISTING, async |world| {
        let mut tab = listed(world).await;
        assert_eq!(fetched(&mut tab, &["http://alias-private.test/".to_owned()]).await, [REFUSED]);
        assert!(names(world).contains(&"alias-private.test".to_owned()));
        silent(world);
    });
}
