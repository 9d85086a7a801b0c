//! A refusal by any layer of the real server is explained by its id: the line that refused, and the change that would not have.
//!
//! ```text
//!   refused ──den_…──▶ text of the refusal ──▶ cloister policy explain den_… ─┬─ the server, for whoever was refused
//!                                                                             └─ --data-dir: the audit log, for the operator
//! ```

use crate::server::{Place, Server};
use cloister_tests::needs;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::path::Path;
use tokio_tungstenite::tungstenite::Message;

/// Where what is refused is written: line by line, as the explanations name them.
const POLICY: &str = "extends = \"ceiling\"\n[network]\nmode = \"allowlist\"\nallowed_domains = [\"files.example.com\"]\n\
                      ports = [443]\n[languages]\nshell = false\nruntimes = [\"python\"]\n\
                      [packages]\ninstall = \"mirror\"\nindex = \"http://127.0.0.1:9/simple/\"\nallow = [\"numpy\"]\n";
const ACCESS: &str = "@id(\"no-forks\")\nforbid (principal, action == Action::\"ForkSession\", resource);\n\
                      @id(\"no-quotas\")\nforbid (principal, action == Action::\"ReadQuotas\", resource);\n";
const CONFIG: &str = "[interpreters.mine]\npolicy = \"mine\"\n[quotas.principal]\nsessions = 2\n";

struct Setup {
    place: Place,
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Option<Self> {
        let this = Self { place: Place::new()?, folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(this.path("p/access")).unwrap();
        for (name, text) in [("p/mine.toml", POLICY), ("p/access/site.cedar", ACCESS), ("config", CONFIG)] {
            std::fs::write(this.path(name), text).unwrap();
        }
        Some(this)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn serve(&self) -> Server {
        self.place.serve_with(0, &["--policies", &self.path("p"), "--config", &self.path("config")])
    }

    /// What the command says of a refusal, asked of the server and looked up in its log: the same.
    fn explain(&self, server: &Server, id: &str) -> Value {
        let data: &Path = self.place.path();
        let (url, data) = (format!("http://{}", server.address()), data.to_str().unwrap());
        let policies = self.path("p");
        let said = |from: [&str; 2]| -> Value {
            let words = ["--json", "policy", "explain", id, "--policies", &policies, from[0], from[1]];
            let output = self.place.command(&words);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let (asked, logged) = (said(["--endpoint", &url]), said(["--data-dir", data]));
        for member in ["rule", "file", "line", "value", "policy", "layer"] {
            assert_eq!(asked[member], logged[member], "{member}: {asked} {logged}");
        }
        assert_eq!((&asked["denial"]["id"], &logged["allowed"]), (&json!(id), &json!(false)));
        logged
    }
}

/// The id in a text.
fn id_in(text: &str) -> String {
    let at = text.find("den_").unwrap_or_else(|| panic!("no denial: {text}"));
    text[at..at + 30].to_owned()
}

/// File, line and change of an explanation.
fn place(said: &Value) -> (String, u64) {
    let file = said["file"].as_str().unwrap_or_default();
    let name = file.rsplit_once("/p/").map_or(file, |(_, name)| name);
    (name.to_owned(), said["line"].as_u64().unwrap_or_default())
}

#[test]
fn a_refusal_is_traced_to_its_line_and_its_change_whatever_layer_it_comes_from() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve();
    let session = server.session_of("mine");
    let at = |file: &str, line: u64| (file.to_owned(), line);

    // The egress proxy.
    let code = "import urllib.request as u, urllib.error as e\n\
                try: u.urlopen('https://other.example.com/x')\n\
                except OSError as error: print(error)\n";
    let said = server.python(&session, code).text();
    let egress = setup.explain(&server, &id_in(&said));
    assert_eq!((place(&egress), &egress["layer"]), (at("mine.toml", 4), &json!("egress proxy")), "{egress}");
    let change = egress["change"]["toml"].as_str().unwrap();
    assert!(change.contains("[\"files.example.com\", \"other.example.com\"]"), "{change}");
    assert_eq!(egress["denial"]["session"], json!(session));

    // The package index, which asks no mirror for what it does not offer.
    let code =
        "try: u.urlopen('http://packages.cloister/simple/Pandas/')\nexcept OSError as error: print(error)\n";
    let package = setup.explain(&server, &id_in(&server.python(&session, code).text()));
    assert_eq!(
        (place(&package), &package["rule"]),
        (at("mine.toml", 12), &json!("packages.allow")),
        "{package}"
    );
    assert_eq!(package["change"]["toml"], "[packages]\nallow = [\"numpy\", \"pandas\"]");

    // The session's rights.
    let body = json!({ "code": "1", "language": "javascript" });
    let refused = server.request("POST", &format!("/v1/sessions/{session}/invoke"), &[], Some(body));
    let rights = setup.explain(&server, &id_in(&refused.text()));
    assert_eq!((refused.status, place(&rights)), (403, at("mine.toml", 8)), "{rights}");
    assert!(rights["change"]["toml"].as_str().unwrap().contains("runtimes = [\"python\", "), "{rights}");

    // An access policy, in its own file and line.
    let refused = server.request("GET", "/v1/quotas", &[], None);
    let access = setup.explain(&server, &id_in(&refused.text()));
    assert_eq!((refused.status, place(&access)), (403, at("access/site.cedar", 3)), "{access}");
    assert_eq!((&access["rule"], &access["value"]), (&json!("no-quotas"), &json!("forbid")));
    let change = access["change"]["cedar"].as_str().unwrap();
    assert!(change.contains("unless { principal == User::\"local/local\""), "{change}");

    // A quota.
    server.session();
    let refused = server.start_session();
    let quota = setup.explain(&server, &id_in(&refused.text()));
    assert_eq!((refused.status, &quota["value"]), (402, &json!("2")), "{quota}");
    assert!(quota["change"]["advice"].as_str().unwrap().contains("set sessions to more than 2"), "{quota}");

    // People read the same.
    let words = ["policy", "explain", &id_in(&said), "--data-dir", setup.place.path().to_str().unwrap()];
    let output = setup.place.command(&[&words[..], &["--policies", &setup.path("p")]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("mine.toml:4") && text.contains("egress proxy"), "{text}");
}

/// What code runs into inside of its session: the kernel says an error, and the answer says which rule that was.
#[test]
fn what_the_kernel_refuses_is_named_by_rule_and_id_in_the_answer_the_receipt_and_the_log() {
    let Some(setup) = Setup::new() else { return };
    let narrow = "extends = \"default\"\n[filesystem]\ndisk = \"24MiB\"\nmax_file = \"8MiB\"\nexec = false\n\
                  [resources]\nmemory = \"400MiB\"\nopen_files = 64\n";
    std::fs::write(setup.path("p/narrow.toml"), narrow).unwrap();
    std::fs::write(setup.path("config"), "[interpreters.narrow]\npolicy = \"narrow\"\n").unwrap();
    let server = setup.serve();
    let session = server.session_of("narrow");
    let python = |code: &str| json!({ "code": code });
    let node = |code: &str| json!({ "code": code, "language": "javascript", "runtime": "nodejs" });
    let deno = |code: &str| json!({ "code": code, "language": "javascript", "runtime": "deno" });
    let shell = |command: &str| json!({ "command": command });
    let calls = [
        (python("open('/etc/x', 'w')"), "filesystem.workspace", 0),
        (python("import socket\nsocket.sethostname('mine')"), "isolation.seccomp", 0),
        (python("import os\nos.mkdir('/usr/here')"), "filesystem.workspace", 0),
        (python("open('large', 'wb').write(bytes(9 << 20))"), "filesystem.max_file", 4),
        (python("for n in range(29): open(f'f{n}', 'wb').write(bytes(1 << 20))"), "filesystem.disk", 3),
        (
            python(
                "import os\nfor n in range(29): os.path.exists(f'f{n}') and os.remove(f'f{n}')\na = [open('/dev/null') for _ in range(99)]",
            ),
            "resources.open_files",
            8,
        ),
        (python("import socket\nsocket.getaddrinfo('files.example.com', 443)"), "network.mode", 0),
        (node("require('fs').writeFileSync('/etc/x', 'x')"), "filesystem.workspace", 0),
        (node("await fetch('https://files.example.com/')"), "network.mode", 0),
        (deno("Deno.writeTextFileSync('/etc/x', 'x')"), "filesystem.workspace", 0),
        (shell("echo x > /etc/x"), "filesystem.workspace", 0),
        (shell("python3 -c 'import socket; socket.sethostname(chr(120))'"), "isolation.seccomp", 0),
        (shell("cp /bin/true ./mine && ./mine"), "filesystem.exec", 5),
        (shell("git clone https://files.example.com/a.git"), "network.mode", 0),
    ];
    for (body, rule, line) in calls {
        let path = format!("/v1/sessions/{session}/invoke");
        let answer = server.request("POST", &path, &[], Some(body.clone()));
        let said = answer.json();
        let denials: Vec<_> =
            said["denials"].as_array().unwrap_or_else(|| panic!("{body}: {said}")).iter().collect();
        let denial =
            denials.iter().find(|denial| denial["rule"] == rule).unwrap_or_else(|| panic!("{body}: {said}"));
        let id = denial["id"].as_str().unwrap();
        let text = said["notes"].as_array().unwrap().iter().find(|note| note.as_str().unwrap().contains(id));
        let text = text.unwrap_or_else(|| panic!("{body}: {said}")).as_str().unwrap();
        assert!(text.starts_with("cloister refused ") && text.contains(&format!("rule {rule}")), "{text}");
        assert!(said["receipt"]["payload"]["denials"].as_array().unwrap().contains(&json!(id)), "{said}");
        let explained = setup.explain(&server, id);
        assert_eq!((&explained["rule"], &explained["denial"]["session"]), (&json!(rule), &json!(session)));
        if line > 0 {
            assert_eq!(place(&explained), ("narrow.toml".to_owned(), line), "{explained}");
        }
    }
    // The same again is the same refusal, and what went well names none.
    let path = format!("/v1/sessions/{session}/invoke");
    let twice = [(); 2].map(|()| {
        let answer = server.request("POST", &path, &[], Some(python("open('/etc/x', 'w')"))).json();
        answer["denials"][0]["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(twice[0], twice[1]);
    let well = server.request("POST", &path, &[], Some(python("open('own', 'w').write('x')"))).json();
    assert_eq!((&well["denials"], &well["notes"]), (&json!([]), &json!([])), "{well}");

    // The file tools, which are no code: the text is where their error is.
    let headers = [("x-amzn-code-interpreter-session-id", session.as_str())];
    let body =
        json!({ "name": "writeFiles", "arguments": { "content": [{ "path": "/etc/x", "text": "x" }] } });
    let written =
        server.request("POST", "/code-interpreters/narrow/tools/invoke", &headers, Some(body)).text();
    assert!(written.contains("/etc/x: read-only"), "{written}");
    let tools = setup.explain(&server, &id_in(&written));
    assert_eq!(tools["rule"], "filesystem.workspace", "{tools}");
}

#[test]
fn a_method_that_a_browser_is_not_asked_is_traced_to_the_list_of_methods() {
    let Some(setup) = Setup::new().filter(|_| needs::image("headless-shell")) else { return };
    let server = setup.serve();
    let answer = server.request("POST", "/v1/sessions", &[], Some(json!({ "browser": {} })));
    assert_eq!(answer.status, 201, "{answer:?}");
    let session = answer.json()["id"].as_str().unwrap().to_owned();
    let url =
        format!("ws://{}/browser-streams/aws.browser.v1/sessions/{session}/automation", server.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        socket.send(Message::text(json!({ "id": 1, "method": "Browser.crash" }).to_string())).await.unwrap();
        loop {
            let heard = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
            if heard.contains("\"id\":1") {
                return heard;
            }
        }
    });
    let cdp = setup.explain(&server, &id_in(&said));
    assert_eq!(cdp["layer"], "browser broker", "{cdp}");
    let (file, line) = place(&cdp);
    assert_eq!(file, "policies/cdp/methods.json");
    let list = include_str!("../../policies/cdp/methods.json");
    assert!(list.lines().nth(line as usize - 1).unwrap().contains("\"crash\""), "{cdp}");
}

#[test]
fn an_id_that_nobody_was_given_is_said_to_be_unknown_and_what_is_none_to_be_none() {
    let Some(setup) = Setup::new() else { return };
    let server = setup.serve();
    let (url, data) =
        (format!("http://{}", server.address()), setup.place.path().to_str().unwrap().to_owned());
    let explain = |id: &str, from: [&str; 2]| {
        let output = setup.place.command(&["policy", "explain", id, from[0], from[1]]);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let unknown = format!("den_{}", "0".repeat(26));
    let (code, said) = explain(&unknown, ["--endpoint", &url]);
    assert!(code == 125 && said.contains("no such denial") && said.contains("--data-dir"), "{code} {said}");
    let (code, said) = explain(&unknown, ["--data-dir", &data]);
    assert!(code == 125 && said.contains("do not have den_"), "{code} {said}");
    let (code, said) = explain("den_7", ["--data-dir", &data]);
    assert!(code == 2 && said.contains("no id of a refusal"), "{code} {said}");
}
