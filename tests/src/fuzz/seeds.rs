//! Inputs to begin with: what each reader meets on an ordinary day, and what has deceived others.

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A frame as it is on the wire, behind the byte that says how it is fed.
fn framed(how: u8, json: &str, blob: &[u8]) -> Vec<u8> {
    let lengths = [json.len(), blob.len()].map(|length| u32::try_from(length).unwrap_or(0).to_be_bytes());
    [&[how][..], &lengths[0], &lengths[1], json.as_bytes(), blob].concat()
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    vec![
        framed(2, r#"{"ev":"ready"}"#, b""),
        framed(0x7e, r#"{"ev":"display","id":1,"forms":[["text/plain",3]]}"#, b"abc"),
        framed(3, r#"{"ev":"done","id":1,"exit":0}"#, b""),
        framed(0xfc, r#"{"op":"write","id":1,"files":[{"path":"a","size":3}]}"#, b"abc"),
        framed(1, r#"{"ev":"stdout","id":1}"#, b"text"),
        framed(0, r#"{"op":"execute","id":7,"runtime":"python","clear":false}"#, b"print(1)"),
        [framed(2, r#"{"ev":"ready"}"#, b""), vec![0xff; 8]].concat(),
    ]
}

pub(super) fn paths() -> Vec<Vec<u8>> {
    texts(&[
        "a/b.txt",
        "file:///a.txt",
        "a/../b",
        "../x",
        "./../x",
        "/etc/passwd",
        "a\0b",
        "a//b/./c",
        "\u{202e}x",
    ])
}

pub(super) fn call_lists() -> Vec<Vec<u8>> {
    let rule = r#"{"calls": ["socket"], "action": "allow", "when": [{"arg": 0, "width": 32, "op": "eq", "value": "1"}], "why": "Unix."}"#;
    let list = format!(
        r#"{{"version": 1, "architecture": "x86_64", "default": {{"errno": "EPERM"}}, "foreign_architecture": "kill_process", "x32": "kill_process", "rules": [{rule}, {{"calls": ["read"], "action": "allow", "why": "Reads."}}], "never": [{{"calls": ["bpf"], "why": "Programs."}}]}}"#
    );
    vec![list.into_bytes(), include_bytes!("../../../policies/seccomp/engine.json").to_vec()]
}

pub(super) fn policies() -> Vec<Vec<u8>> {
    let shipped = [
        &include_bytes!("../../../policies/default.toml")[..],
        include_bytes!("../../../policies/strict.toml"),
        include_bytes!("../../../policies/packages.toml"),
        include_bytes!("../../../policies/browser-open.toml"),
    ];
    let mut seeds: Vec<Vec<u8>> = shipped.iter().map(|text| text.to_vec()).collect();
    seeds.extend(texts(&[
        "extends = \"ceiling\"\n[resources]\nmemory = \"1 GiB\"\n",
        "[network]\nmode = \"allowlist\"\nallow = [\"*.example.com\"]\nports = [443]\n",
        "[time]\ncall = \"60 s\"\n[filesystem]\ndisk = \"1e9 GiB\"\n",
    ]));
    seeds
}

pub(super) fn destinations() -> Vec<Vec<u8>> {
    texts(&[
        "example.com:443",
        "EXAMPLE.com:80",
        "93.184.215.14:443",
        "[2001:db8::1]:443",
        "2852039166:80",
        "0xa9fea9fe:80",
        "169.254.43518:80",
        "example.com.:443",
        "user@example.com:443",
        "example.com\0.evil:443",
        "xn--bcher-kva.example:443",
    ])
}

pub(super) fn addresses() -> Vec<Vec<u8>> {
    let four = [[169, 254, 169, 254], [127, 0, 0, 1], [10, 0, 0, 1], [93, 184, 215, 14], [100, 64, 0, 1]];
    let six: [std::net::Ipv6Addr; 4] = [
        "64:ff9b::a9fe:a9fe".parse().unwrap(),
        "fd00:ec2::254".parse().unwrap(),
        "2002:7f00:1::".parse().unwrap(),
        "2606:4700::1".parse().unwrap(),
    ];
    four.iter()
        .map(|octets| octets.to_vec())
        .chain(six.iter().map(|address| address.octets().to_vec()))
        .collect()
}

pub(super) fn heads() -> Vec<Vec<u8>> {
    texts(&[
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        "GET http://example.com/a?b=c HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n",
        "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\nConnection: keep-alive, x\r\nX: y\r\n\r\n",
        "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
    ])
}

pub(super) fn signatures() -> Vec<Vec<u8>> {
    let signature = "0123456789abcdef".repeat(4);
    vec![
        format!(
            "PUT /code-interpreters/aws.codeinterpreter.v1/sessions/start?a=b&c HTTP\nhost: localhost\nx-amz-date: 20260131T123456Z\nauthorization: AWS4-HMAC-SHA256 Credential=AKIA/20260131/us-west-2/bedrock-agentcore/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}\n"
        )
        .replace(" HTTP\n", "\n")
        .into_bytes(),
        format!(
            "GET /x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260131%2Fus-west-2%2Fbedrock-agentcore%2Faws4_request&X-Amz-Date=20260131T123456Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}\nhost: localhost\nx-amz-content-sha256: UNSIGNED-PAYLOAD\n"
        )
        .into_bytes(),
    ]
}

pub(super) fn hosts() -> Vec<Vec<u8>> {
    texts(&[
        "GET /\nhost: localhost:8484\n",
        "GET /docs\nhost: [::1]:8484\norigin: http://localhost:8484\n",
        "POST /v1/sessions\nhost: 127.0.0.1\nsec-fetch-site: cross-site\n",
        "GET http://localhost/\nhost: localhost\n",
        "GET /\nhost: localhost.evil.example\n",
        "GET /\nhost: 127.0.0.1@evil.example\n",
    ])
}

pub(super) fn json() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"code":"print(1)","language":"python","n":[1,2.5e3,-0,null,true]}"#,
        r#""text \ud83d\ude00 \n""#,
        r#"{"a":1,"a":2}"#,
        "[[[[[[]]]]]]",
        "1e400",
    ])
}

pub(super) fn queries() -> Vec<Vec<u8>> {
    texts(&["a=b&c=d%20e&f", "%C3%A4=%00", "a=1&a=2&&=x", "a=%u0041&b=%"])
}

pub(super) fn events() -> Vec<Vec<u8>> {
    texts(&["result\0{\"content\":[]}", "heartbeat\0{}", "\0", "name without payload"])
}

pub(super) fn websockets() -> Vec<Vec<u8>> {
    let mask = [1, 2, 3, 4];
    let frame = |first: u8, payload: &[u8]| {
        let body = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let length = 0x80 | u8::try_from(payload.len()).unwrap_or(0x7d);
        [first, length].into_iter().chain(mask).chain(body).collect::<Vec<u8>>()
    };
    vec![
        frame(0x81, b"{\"id\":1}"),
        [frame(0x01, b"{\"id\""), frame(0x89, b"ping"), frame(0x80, b":1}")].concat(),
        [frame(0x81, b"{}"), frame(0x88, b"\x03\xe8")].concat(),
        [&[0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0][..], &mask, b"abc"].concat(),
        [&[0x81, 0xfe, 0xff, 0xff][..], &mask, &[0; 64]].concat(),
    ]
}

pub(super) fn cdp_requests() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"id":1,"method":"Page.navigate","params":{"url":"https://example.com"},"sessionId":"A1"}"#,
        r#"{"id":2,"method":"Target.createTarget","params":{"url":"about:blank","width":800}}"#,
        r#"{"id":3,"method":"Page.navigate","params":{"url":"file:///etc/passwd"}}"#,
        r#"{"id":4,"method":"DOM.setFileInputFiles","params":{"files":["/workspace/a"],"nodeId":1}}"#,
        r#"{"id":5,"method":"Runtime.evaluate","params":{"expression":"1"}}"#,
        r#"{"id":6,"method":"Browser.setDownloadBehavior","params":{"behavior":"allow","downloadPath":"/"}}"#,
        r#"{"id":7,"method":"Fetch.continueRequest","params":{"requestId":"1","url":"file:///x"}}"#,
        r#"{"id":8,"method":"Input.dispatchDragEvent","params":{"data":{"items":[],"files":["/etc/passwd"]}}}"#,
    ])
}

pub(super) fn cdp_messages() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"id":7,"result":{"data":"AAAA"},"sessionId":"A1B2"}"#,
        r#"{"method":"Page.frameNavigated","params":{"frame":{"id":"F"}},"sessionId":"A1B2"}"#,
        r#"{"id":9,"error":{"code":-32000,"message":"no \"sessionId\":\"X\""}}"#,
        r#"{"error":{"code":-32700}}"#,
    ])
}
