//! What the head parser takes, what it refuses, and what it writes.

use super::*;

fn forwarded(head: &str) -> String {
    match parse_head(head.as_bytes()) {
        Ok(Request::Forward { head, .. }) => String::from_utf8(head).unwrap(),
        other => panic!("{head:?} gave {other:?}"),
    }
}

fn malformed(head: &str) -> bool {
    matches!(parse_head(head.as_bytes()), Err(HeadError::Malformed(_) | HeadError::Host(_)))
}

#[test]
fn connect_opens_a_tunnel_with_or_without_host() {
    for head in [
        "CONNECT packages.example:443 HTTP/1.1\r\nHost: packages.example:443\r\n\r\n",
        "CONNECT packages.example:443 HTTP/1.1\r\nHost: packages.example\r\nUser-Agent: pip\r\n\r\n",
        "CONNECT packages.example:443 HTTP/1.0\r\n\r\n",
    ] {
        let to = parse(b"packages.example:443", None).unwrap();
        assert_eq!(parse_head(head.as_bytes()), Ok(Request::Tunnel { to }), "{head:?}");
    }
}

#[test]
fn a_forwarded_request_is_written_anew_without_the_headers_of_the_hop() {
    let head = forwarded(
        "GET http://Example.com:8080/a?b=c HTTP/1.1\r\nhost: example.com:8080\r\nProxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic c2VjcmV0\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: x\r\nAccept: */*\r\n\r\n",
    );
    assert_eq!(
        head,
        "GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nHTTP2-Settings: x\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    assert!(
        forwarded("GET http://example.com HTTP/1.1\r\n\r\n")
            .starts_with("GET / HTTP/1.1\r\nHost: example.com\r\n")
    );
    assert!(forwarded("GET HTTP://example.com?q HTTP/1.0\r\n\r\n").starts_with("GET /?q HTTP/1.0\r\n"));
}

#[test]
fn a_body_keeps_its_one_framing() {
    let head = forwarded("POST http://a.com/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(head.matches("Content-Length: 5\r\n").count(), 1);
    let head = forwarded("POST http://a.com/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n");
    assert!(head.contains("Transfer-Encoding: chunked\r\n") && !head.contains("Trailer"));
}

#[test]
fn a_head_that_two_parsers_could_read_differently_is_refused() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n folded\r\n",
        "X: a\r\n\tfolded\r\n",
        "X: a\nY: b\r\n",
        "X: a\rY: b\r\n",
        "X: a\0b\r\n",
        "X: \u{e9}\r\n",
        "no colon\r\n",
        ": empty\r\n",
        "Host: a.com\r\nHost: a.com\r\n",
        "Host: b.com\r\n",
        "Host: a.com:8080\r\n",
        "Host: a.com@b.com\r\n",
    ] {
        assert!(malformed(&format!("POST http://a.com/ HTTP/1.1\r\n{headers}\r\n")), "{headers:?}");
    }
}

#[test]
fn odd_request_lines_are_refused() {
    for line in [
        "GET  http://a.com/ HTTP/1.1",
        "GET\thttp://a.com/ HTTP/1.1",
        "GET http://a.com/ HTTP/1.1 ",
        "GET http://a.com/ HTTP/2.0",
        "GET http://a.com/ http/1.1",
        "GET http://a.com/",
        "G(T http://a.com/ HTTP/1.1",
        "GET http://user@a.com/ HTTP/1.1",
        "GET http://a.com\\@b.com/ HTTP/1.1",
        "GET http://a.com#@b.com/ HTTP/1.1",
        "GET http://a.com:80:80/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http://2852039166/ HTTP/1.1",
        "CONNECT a.com HTTP/1.1",
        "CONNECT http://a.com:443 HTTP/1.1",
        "CONNECT a.com:443/ HTTP/1.1",
        "",
    ] {
        assert!(malformed(&format!("{line}\r\n\r\n")), "{line:?}");
    }
    assert!(malformed("CONNECT a.com:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\n"));
    assert!(malformed("POST http://a.com/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn anything_that_is_not_for_a_proxy_is_refused() {
    for line in [
        "GET / HTTP/1.1",
        "GET /v1/sessions HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET https://a.com/ HTTP/1.1",
        "GET ftp://a.com/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "connect a.com:443 HTTP/1.1",
    ] {
        assert_eq!(parse_head(format!("{line}\r\n\r\n").as_bytes()), Err(HeadError::NotForAProxy), "{line}");
    }
}

#[test]
fn too_many_headers_are_refused() {
    let many = "X: y\r\n".repeat(101);
    assert!(malformed(&format!("GET http://a.com/ HTTP/1.1\r\n{many}\r\n")));
}

#[test]
fn an_answer_closes_the_clients_connection() {
    let (code, head) =
        rewrite_answer(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX: y\r\n\r\n")
            .unwrap();
    assert_eq!((code, &head[..]), (200, &b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\n"[..]));
    let (code, head) = rewrite_answer(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").unwrap();
    assert_eq!((code, &head[..]), (103, &b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"[..]));
    assert!(rewrite_answer(b"SSH-2.0-x\r\n\r\n").is_err());
}

#[test]
fn the_form_for_another_proxy_has_the_whole_url() {
    for (url, line) in [
        ("http://example.com/a?b", "GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n"),
        ("http://[2606:4700::1]:81", "GET http://[2606:4700::1]:81/ HTTP/1.1\r\nHost: [2606:4700::1]:81\r\n"),
    ] {
        let Ok(Request::Forward { to, head, .. }) =
            parse_head(format!("GET {url} HTTP/1.1\r\n\r\n").as_bytes())
        else {
            panic!("{url} is not forwarded")
        };
        let head = String::from_utf8(absolute_form(&head, &to)).unwrap();
        assert!(head.starts_with(line), "{head}");
    }
}
