//! Secrets through the real server: programs send a placeholder, the bound host gets the value, and nothing in the session has it.
//!
//! ```text
//!   session: $SERVICE_KEY = cloister-secret-… ──▶ proxy ──▶ Far: saw the value, says it back in every spelling ──▶ session: ****
//! ```

use crate::audit::{records, whole};
use crate::programs::{serve, shell};
use crate::server::{Place, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_tests::far::{Asked, Far, TestAuthority, answer};
use serde_json::json;
use std::path::Path;

/// With characters that JSON, URLs and shells write differently.
const VALUE: &str = "sk-live/4f9a+\"&7c=0123456789";
const OTHER: &str = "another-value-9876543210";

/// Says back what it was asked, also in base64; `/chunked` in chunks of three bytes, `/header` in a header, `/gzip` as if compressed.
fn echo(asked: &Asked) -> Vec<u8> {
    let heard = asked.headers.join("\n");
    let body = json!({ "heard": heard, "base64": STANDARD.encode(&heard), "body": String::from_utf8_lossy(&asked.body) });
    let body = body.to_string();
    let close = "Connection: close\r\n\r\n";
    match asked.path() {
        "/chunked" => {
            let mut out = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{close}").into_bytes();
            for chunk in body.as_bytes().chunks(3) {
                out.extend(
                    format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"),
                );
            }
            out.extend(b"0\r\n\r\n");
            out
        }
        "/header" => {
            format!("HTTP/1.1 200 OK\r\nX-Heard: {heard:?}\r\nContent-Length: 0\r\n{close}").into_bytes()
        }
        "/gzip" => format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n{close}{body}").into_bytes(),
        _ => answer("200 OK", "application/json", body.as_bytes()),
    }
}

/// A server whose interpreter `local` lends SERVICE_KEY to `far` and OTHER_KEY to `other`.
fn lending(place: &Place, folder: &Path, authority: &TestAuthority, far: &Far, other: &Far) -> Server {
    lending_beside(place, folder, authority, far, other, &[])
}

/// The same, with further servers that sessions may reach.
fn lending_beside(
    place: &Place,
    folder: &Path,
    authority: &TestAuthority,
    far: &Far,
    other: &Far,
    beside: &[&Far],
) -> Server {
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("value"), format!("{VALUE}\n")).unwrap();
    std::fs::write(folder.join("other"), OTHER).unwrap();
    let (ip, other_ip) = (far.address.ip(), other.address.ip());
    let ports: Vec<_> = [far, other].iter().chain(beside).map(|far| far.address.port().to_string()).collect();
    let policy = format!(
        "secrets = [\"SERVICE_KEY\", \"OTHER_KEY\"]\n[network]\nmode = \"allowlist\"\n\
         allowed_cidrs = [\"127.0.0.0/8\"]\nports = [{}]\n",
        ports.join(", ")
    );
    let folder = folder.display();
    let config = format!(
        "[egress]\nca = \"{folder}/ca.pem\"\n\
         [secrets.SERVICE_KEY]\nfile = \"{folder}/value\"\nhosts = [\"{ip}\"]\n\
         [secrets.OTHER_KEY]\nfile = \"{folder}/other\"\nhosts = [\"{other_ip}\"]\ninject = \"x-api-key\"\n"
    );
    serve(place, Path::new(&folder.to_string()), &policy, &config)
}

/// Neither the value nor its base64 is in `text`.
fn clean(text: &str) {
    for before in ["", "x", "xy"] {
        let encoded = STANDARD.encode(format!("{before}{VALUE}"));
        assert!(!text.contains(&encoded[4..encoded.len() - 4]), "base64 of the value: {text}");
    }
    assert!(!text.contains(VALUE) && !text.contains(&VALUE.replace('"', "\\\"")), "the value: {text}");
    assert!(!text.contains(&VALUE[..14]), "most of the value: {text}");
}

#[test]
fn programs_send_a_secret_that_they_never_see_and_get_it_back_from_nobody() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (far, other) = (Far::tls(&authority, echo), Far::tls(&authority, echo));
    let server = lending(&place, folder.path(), &authority, &far, &other);
    let id = server.session_of("local");
    let url = format!("https://{}", far.address);
    let js = "{headers: {authorization: \"Bearer \" + KEY}}";
    for (program, command) in [
        ("curl", format!("curl -sS -i -H \"Authorization: Bearer $SERVICE_KEY\" {url}/x")),
        ("curl, chunked", format!("curl -sS -H \"Authorization: Bearer $SERVICE_KEY\" {url}/chunked")),
        ("curl, header", format!("curl -sS -i -H \"Authorization: Bearer $SERVICE_KEY\" {url}/header")),
        (
            "curl, compressed",
            format!("curl -sS --compressed -H \"Authorization: Bearer $SERVICE_KEY\" {url}/x"),
        ),
        ("wget", format!("wget -nv -O- --header \"Authorization: Bearer $SERVICE_KEY\" {url}/x")),
        (
            "requests",
            format!(
                "python3 -c 'import os, requests; print(requests.post(\"{url}/x\", data=\"d\" * 9, headers={{\"Authorization\": \"Bearer \" + os.environ[\"SERVICE_KEY\"]}}).text)'"
            ),
        ),
        (
            "urllib",
            format!(
                "python3 -c 'import os, urllib.request as u; print(u.urlopen(u.Request(\"{url}/x\", headers={{\"Authorization\": \"Bearer \" + os.environ[\"SERVICE_KEY\"]}})).read())'"
            ),
        ),
        (
            "httpx",
            format!(
                "python3 -c 'import os, httpx; print(httpx.get(\"{url}/x\", headers={{\"Authorization\": \"Bearer \" + os.environ[\"SERVICE_KEY\"]}}).text)'"
            ),
        ),
        (
            "node",
            format!(
                "node -e 'fetch(\"{url}/x\", {}).then(a => a.text()).then(console.log)'",
                js.replace("KEY", "process.env.SERVICE_KEY")
            ),
        ),
        (
            "deno",
            format!(
                "deno eval 'console.log(await (await fetch(\"{url}/x\", {})).text())'",
                js.replace("KEY", "Deno.env.get(\"SERVICE_KEY\")")
            ),
        ),
    ] {
        let said = shell(&server, &id, &command);
        let asked = far.asked();
        assert_eq!(asked.len(), 1, "{program}: {said}");
        assert_eq!(
            asked[0].header("authorization"),
            Some(format!("Bearer {VALUE}").as_str()),
            "{program}: {said}"
        );
        assert!(said.starts_with("0 ") && said.contains("****"), "{program}: {said}");
        clean(&said);
    }
    // In Basic credentials, which programs encode.
    let said = shell(&server, &id, &format!("curl -sS -u me:$SERVICE_KEY {url}/x"));
    let expected = format!("Basic {}", STANDARD.encode(format!("me:{VALUE}")));
    assert_eq!(far.asked()[0].header("authorization"), Some(expected.as_str()), "{said}");
    clean(&said);
    // A header that the operator has chosen is set without the program's doing.
    let said = shell(&server, &id, &format!("curl -sS https://{}/x", other.address));
    assert_eq!(other.asked()[0].header("x-api-key"), Some(OTHER), "{said}");
    assert!(!said.contains(OTHER), "{said}");

    // What cannot be read is not passed on.
    let said = shell(&server, &id, &format!("curl -sS -H \"A: $SERVICE_KEY\" {url}/gzip"));
    assert!(said.contains("cloister asked the host, but cannot pass on its answer"), "{said}");
    far.asked();

    // Nothing in the session has it: variables of all processes, files, what programs have written.
    let code = "
import base64, glob, os
parts = [repr(dict(os.environ)).encode()]
for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):
    try: parts.append(open(path, 'rb').read())
    except OSError: pass
for top in ('/workspace', '/home', '/tmp', '/dev/shm'):
    for folder, _, names in os.walk(top):
        parts += [open(os.path.join(folder, name), 'rb').read() for name in names if os.path.isfile(os.path.join(folder, name))]
open('/workspace/found', 'wb').write(b'\\n'.join(parts))
print(b'\\n'.join(parts).decode('latin-1'))
";
    let found = server.python(&id, code).json()["stdout"].as_str().unwrap().to_owned();
    assert!(found.contains("cloister-secret-SERVICE_KEY-"), "the placeholder is there: {found}");
    clean(&found);
    server.stop(&id);
    assert!(server.terminate().success());
}

#[test]
fn a_placeholder_that_goes_anywhere_else_is_refused_or_stays_a_placeholder() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (far, other) = (Far::tls(&authority, echo), Far::tls(&authority, echo));
    let third = Far::tls(&authority, echo);
    let server = lending_beside(&place, folder.path(), &authority, &far, &other, &[&third]);
    let id = server.session_of("local");
    let (url, other_url) = (format!("https://{}", far.address), format!("https://{}", other.address));
    for (what, command) in [
        (
            "another host's header",
            format!("curl -sS -H \"Authorization: Bearer $SERVICE_KEY\" {other_url}/x"),
        ),
        ("another host's credentials", format!("curl -sS -u me:$SERVICE_KEY {other_url}/x")),
        ("the address", format!("curl -sS \"{url}/x?key=$SERVICE_KEY\"")),
        ("a request without TLS", format!("curl -sS -H \"A: $SERVICE_KEY\" http://{}/x", far.address)),
        ("a header that is not the chosen one", format!("curl -sS -H \"A: $OTHER_KEY\" {other_url}/x")),
    ] {
        let said = shell(&server, &id, &command);
        assert!(said.starts_with("0 ") && said.contains("Rule: secrets"), "{what}: {said}");
    }
    // A body is not looked into: it goes as it is, and a placeholder is worth nothing.
    let said = shell(&server, &id, &format!("curl -sS -d \"key=$SERVICE_KEY\" {url}/x"));
    let asked = far.asked();
    assert_eq!(asked.len(), 1, "{said}");
    assert!(
        String::from_utf8_lossy(&asked[0].body).contains("key=cloister-secret-SERVICE_KEY-"),
        "{asked:?}"
    );
    assert!(other.asked().is_empty());
    // To a host that no secret is bound to, TLS goes from end to end: what arrives is the placeholder.
    let said =
        shell(&server, &id, &format!("curl -sS -k -v -H \"A: $SERVICE_KEY\" https://{}/x", third.address));
    assert!(!said.contains("hosts of this session's secrets"), "{said}");
    assert!(
        third.asked()[0].header("a").is_some_and(|value| value.starts_with("cloister-secret-")),
        "{said}"
    );

    // The refusals are in the session's account, and the value can be changed and withdrawn while it runs.
    assert_eq!(server.detail(&id)["egress"]["refused"], 5);
    let call = format!("curl -sS -H \"A: $SERVICE_KEY\" {url}/x");
    std::fs::write(folder.path().join("value"), "a-second-value-of-it").unwrap();
    shell(&server, &id, &call);
    assert_eq!(far.asked()[0].header("a"), Some("a-second-value-of-it"));
    std::fs::remove_file(folder.path().join("value")).unwrap();
    let said = shell(&server, &id, &call);
    assert!(said.contains("the value of SERVICE_KEY cannot be read"), "{said}");
    assert!(far.asked().is_empty());
    assert!(
        !shell(&server, &server.session(), "env; tail -c 2000 /etc/ssl/certs/ca-certificates.crt")
            .contains("cloister-secret")
    );
}

#[test]
fn a_bound_host_whose_certificate_is_not_good_gets_nothing() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    // By an authority that the server does not trust.
    let (far, other) = (Far::tls(&TestAuthority::new(), echo), Far::tls(&authority, echo));
    let server = lending(&place, folder.path(), &authority, &far, &other);
    let id = server.session_of("local");
    let said = shell(&server, &id, &format!("curl -sS -H \"A: $SERVICE_KEY\" https://{}/x", far.address));
    assert!(said.contains("its TLS cannot be verified"), "{said}");
    assert!(far.asked().is_empty());
}

/// Every file below `folder`.
fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let below = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_of(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(below).collect()
}

#[test]
fn a_value_that_a_foreign_host_gives_away_is_in_no_answer_no_log_and_no_record() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (far, other) = (Far::tls(&authority, echo), Far::tls(&authority, echo));
    // No secret is bound to it, so that the proxy does not look into what it says.
    let leak = Far::tls(&authority, |_| answer("200 OK", "text/plain", VALUE.as_bytes()));
    let server = lending_beside(&place, folder.path(), &authority, &far, &other, &[&leak]);
    let id = server.session_of("local");
    let fetch = format!(
        "import subprocess\nvalue = subprocess.run(['curl', '-sSk', 'https://{}/'], capture_output=True, text=True).stdout\nlen(value)",
        leak.address
    );
    assert_eq!(server.value(&id, &fetch), VALUE.len().to_string(), "the session has it");
    let stars = "*".repeat(VALUE.len());
    let mut said = String::new();
    for (what, code) in [
        ("standard output", "print('before', value, 'after')"),
        ("standard error", "import sys\nprint('before', value, 'after', file=sys.stderr)"),
        ("the value", "'before ' + value"),
        (
            "a display",
            "class Shown:\n    def _repr_html_(self): return '<b>' + value + '</b>'\ndisplay(Shown())",
        ),
        ("an exception", "raise ValueError(value)"),
        (
            "a traceback",
            "try:\n    raise KeyError('x' + value)\nexcept KeyError as e:\n    raise RuntimeError('no') from e",
        ),
        ("JSON", "import json\nprint(json.dumps({'key': value}))"),
        ("base64", "import base64\nprint('x', base64.b64encode(('me:' + value).encode()).decode())"),
        ("an address", "import urllib.parse\nprint(urllib.parse.quote(value, safe=''))"),
        (
            "a name",
            "import base64\nopen(value.replace('/', '') + '.txt', 'w').close()\nopen('leak.txt', 'w').write('x' * 50 + value + 'y' * 50)",
        ),
    ] {
        let answer = server.python(&id, code).text();
        clean(&answer);
        assert!(answer.contains("****") || what == "a name", "{what}: {answer}");
        said += &answer;
    }
    // In pieces, each of which is an event of its own.
    let slowly = "import sys, time\nfor c in 'before ' + value + ' after':\n    sys.stdout.write(c)\n    sys.stdout.flush()\n    time.sleep(0.01)";
    let path = format!("/v1/sessions/{id}/invoke");
    let streamed = server.request("POST", &path, &[], Some(json!({ "code": slowly, "stream": true }))).text();
    let texts: String = streamed
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok())
        .filter_map(|data| data["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(texts, format!("before {stars} after"), "{streamed}");
    assert!(
        streamed.matches("event: stdout").count() > 5,
        "what cannot be a value is not held back: {streamed}"
    );

    // What ends in the middle of a value comes out whole.
    let half = server.python(&id, "print(value[:10], end='')").json();
    assert_eq!(half["stdout"], &VALUE[..10], "{half}");

    // Files, also in parts, and background commands.
    let file = format!("/v1/sessions/{id}/files/leak.txt");
    let whole = server.request("GET", &file, &[], None).text();
    assert_eq!(whole, format!("{}{stars}{}", "x".repeat(50), "y".repeat(50)));
    let part = server.request("GET", &file, &[("Range", "bytes=40-63")], None).text();
    assert_eq!(part, format!("{}{}", "x".repeat(10), &stars[..14]), "a part of a value");
    // Also one that lies in it, or is a single byte of it: what lies around it is looked at as well.
    for (first, last) in [(51, 50 + VALUE.len() - 2), (53, 53)] {
        let range = format!("bytes={first}-{last}");
        let part = server.request("GET", &file, &[("Range", &range)], None).text();
        assert_eq!(part, stars[..=last - first], "{range}");
    }
    let rest = server.request("GET", &file, &[("Range", "bytes=-49")], None).text();
    assert_eq!(rest, "y".repeat(49));
    let tasks = format!("/v1/sessions/{id}/tasks");
    let task = server.request("POST", &tasks, &[], Some(json!({ "command": "cat leak.txt" }))).json();
    let task = format!("{tasks}/{}", task["id"].as_str().unwrap_or_default());
    cloister_tests::host::settled(|| {
        let shown = server.request("GET", &task, &[], None).text();
        clean(&shown);
        if shown.contains(&stars) { Ok(()) } else { Err(shown) }
    });
    let listing = server.request("GET", &format!("/v1/sessions/{id}/files"), &[], None).text();
    clean(&listing);
    clean(&said);

    // Nothing of it is on the disk: records, receipts, the audit log.
    server.stop(&id);
    assert!(server.terminate().success());
    for path in files_of(place.path()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(VALUE.len()).any(|w| w == VALUE.as_bytes()), "{}", path.display());
    }
}

#[test]
fn every_use_of_a_secret_is_in_the_audit_log_without_its_value_and_the_log_is_whole() {
    let Some(place) = Place::new() else { return };
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let (far, other) = (Far::tls(&authority, echo), Far::tls(&authority, echo));
    let server = lending(&place, folder.path(), &authority, &far, &other);
    let id = server.session_of("local");
    let used = || records(&place, &["--action", "secret.use"]);
    assert_eq!(used().len(), 0);
    shell(
        &server,
        &id,
        &format!("curl -sS -H \"Authorization: Bearer $SERVICE_KEY\" https://{}/x", far.address),
    );
    shell(&server, &id, &format!("curl -sS https://{}/x", other.address));
    // One that is refused is no use, and neither is a request that has no placeholder.
    shell(&server, &id, &format!("curl -sS -H \"A: $SERVICE_KEY\" https://{}/x", other.address));
    shell(&server, &id, &format!("curl -sS https://{}/x", far.address));
    let told: Vec<_> = used()
        .iter()
        .map(|one| {
            assert_eq!((&one["session"], &one["decision"]), (&json!(id), &json!("allowed")), "{one}");
            let (untrusted, place) = (&one["untrusted"], &one["detail"]["place"]);
            [&untrusted["resource"], &untrusted["asked"], place].map(|text| text.as_str().unwrap().to_owned())
        })
        .collect();
    let line =
        |name: &str, to: &Far, place: &str| [name.to_owned(), to.address.to_string(), place.to_owned()];
    assert_eq!(
        told,
        [line("SERVICE_KEY", &far, "header authorization"), line("OTHER_KEY", &other, "header x-api-key"),]
    );
    assert!(server.terminate().success());
    assert!(whole(&place)["records"].as_u64().unwrap() > 5);
    let log = std::fs::read_to_string(place.path().join("audit/00000001.jsonl")).unwrap();
    clean(&log);
    assert!(!log.contains(OTHER) && !log.contains("cloister-secret-"), "{log}");
}
