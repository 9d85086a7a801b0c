//! Reads one request head as strictly as it can be read, and writes it anew for the far side.
//!
//! Two parsers that disagree about where a request ends are an attack (request smuggling). This one accepts one spelling
//! of everything and refuses the rest, and what goes out is written from the parsed parts, never copied.

use super::host::{Destination, HostError, parse};

/// Longest head. Browsers and package managers stay below 8 KiB; more is somebody filling memory.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
/// Most header lines.
const MAX_HEADERS: usize = 100;

/// Headers between two neighbours; they end at a proxy (RFC 9110 §7.6.1). `Host` and the body's framing are written anew.
const NOT_FORWARDED: [&str; 12] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "host",
    "content-length",
];

/// A request that the proxy can carry out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// `CONNECT host:port`: bytes in both directions.
    Tunnel {
        /// Where to.
        to: Destination,
    },
    /// `GET http://host/path`: one request, one answer.
    Forward {
        /// Where to.
        to: Destination,
        /// The head to send there, complete.
        head: Vec<u8>,
        /// How the body is delimited.
        body: Body,
        /// The client waits for `100 Continue` before it sends the body.
        expects_continue: bool,
    },
}

/// How a request body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Why a head is not carried out. The connection is closed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// Not the grammar, or a spelling that another parser may read differently.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// A well-formed request for something that a proxy does not do.
    #[error(
        "this port is an egress proxy and serves nothing else: send CONNECT host:port, or GET http://host/path"
    )]
    NotForAProxy,
    /// The destination's text.
    #[error("{0}")]
    Host(#[from] HostError),
}

use HeadError::Malformed;

/// Parses a head, which ends in an empty line.
pub(crate) fn parse_head(head: &[u8]) -> Result<Request, HeadError> {
    parse_with(head, RequestLine::parse)
}

/// Parses a head that came through a tunnel to `to`, as its host would have got it: with a path and no destination.
pub(crate) fn parse_inner(head: &[u8], to: &Destination) -> Result<Request, HeadError> {
    parse_with(head, |line| RequestLine::parse_inner(line, to))
}

fn parse_with<'a>(
    head: &'a [u8],
    read: impl FnOnce(&'a str) -> Result<RequestLine<'a>, HeadError>,
) -> Result<Request, HeadError> {
    let text = check_bytes(head)?;
    let mut lines = text.strip_suffix("\r\n\r\n").ok_or(Malformed("no empty line"))?.split("\r\n");
    let line = read(lines.next().unwrap_or_default())?;
    let headers = Headers::parse(lines)?;
    headers.check_host(&line)?;
    let body = headers.body(&line)?;
    match line.path {
        None if body == Body::Length(0) => Ok(Request::Tunnel { to: line.to }),
        None => Err(Malformed("CONNECT with a body")),
        Some(_) => Ok(Request::Forward {
            head: headers.serialise(&line, body),
            body,
            expects_continue: headers.get("expect").is_some(),
            to: line.to,
        }),
    }
}

/// The head as text: ASCII, every line ended by CR LF, no other control bytes than tabs.
fn check_bytes(head: &[u8]) -> Result<&str, HeadError> {
    let mut previous = 0u8;
    for &byte in head {
        match byte {
            b'\n' if previous != b'\r' => return Err(Malformed("a line that ends in a bare LF")),
            b'\n' | b'\t' | b'\r' | 0x20..=0x7e if previous != b'\r' || byte == b'\n' => previous = byte,
            _ if previous == b'\r' => return Err(Malformed("a CR inside a line")),
            _ => return Err(Malformed("a byte that is not printable ASCII")),
        }
    }
    std::str::from_utf8(head).map_err(|_| Malformed("a byte that is not printable ASCII"))
}

/// The first line, taken apart.
struct RequestLine<'a> {
    method: &'a str,
    to: Destination,
    /// `None` for CONNECT.
    path: Option<String>,
    /// `HTTP/1.1` or `HTTP/1.0`.
    version: &'a str,
    /// The port that a host without one means.
    default_port: u16,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a str) -> Result<Self, HeadError> {
        let (method, target, version) = Self::words(line)?;
        if method == "CONNECT" {
            let to = parse(target.as_bytes(), None)?;
            return Ok(Self { method, default_port: to.port, to, path: None, version });
        }
        let rest = strip_scheme(target).ok_or(HeadError::NotForAProxy)?;
        if rest.contains(['#', '\\']) {
            return Err(Malformed("a target with a fragment or a backslash"));
        }
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let to = parse(authority.as_bytes(), Some(80))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { method, to, path: Some(path), version, default_port: 80 })
    }

    fn parse_inner(line: &'a str, to: &Destination) -> Result<Self, HeadError> {
        let (method, target, version) = Self::words(line)?;
        if method == "CONNECT" || !(target.starts_with('/') || target == "*") {
            return Err(Malformed("a target that is not a path"));
        }
        if target.contains(['#', '\\']) {
            return Err(Malformed("a target with a fragment or a backslash"));
        }
        Ok(Self { method, to: to.clone(), path: Some(target.to_owned()), version, default_port: 443 })
    }

    fn words(line: &'a str) -> Result<(&'a str, &'a str, &'a str), HeadError> {
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed("a request line that is not METHOD TARGET VERSION"));
        };
        if !is_token(method) || target.contains('\t') {
            return Err(Malformed("a request line that is not METHOD TARGET VERSION"));
        }
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
            return Err(Malformed("a version other than HTTP/1.0 and HTTP/1.1"));
        }
        Ok((method, target, version))
    }
}

/// What follows `http://`, in any case.
fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("http://").then_some(rest)
}

/// The header lines, in order.
struct Headers<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Headers<'a> {
    fn parse(lines: impl Iterator<Item = &'a str>) -> Result<Self, HeadError> {
        let mut headers = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                return Err(Malformed("a folded header line"));
            }
            let (name, value) = line.split_once(':').ok_or(Malformed("a header line without a colon"))?;
            if !is_token(name) {
                return Err(Malformed("a header name with a blank or another forbidden byte"));
            }
            if headers.len() == MAX_HEADERS {
                return Err(Malformed("too many header lines"));
            }
            headers.push((name, value.trim_matches([' ', '\t'])));
        }
        Ok(Self(headers))
    }

    /// Every value of a header.
    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// `Host` may be missing (CONNECT of old clients); twice, or another destination than the target's, is fronting.
    fn check_host(&self, line: &RequestLine<'_>) -> Result<(), HeadError> {
        let mut hosts = self.all("host");
        let Some(host) = hosts.next() else { return Ok(()) };
        if hosts.next().is_some() {
            return Err(Malformed("more than one Host"));
        }
        // For a tunnel, `Host: name` without the port is common and means the same name.
        if parse(host.as_bytes(), Some(line.default_port))? != line.to {
            return Err(Malformed("a Host that is not the target's"));
        }
        Ok(())
    }

    /// The framing of the body: one length, or `chunked`, or neither; both or two of one are ambiguous.
    fn body(&self, line: &RequestLine<'_>) -> Result<Body, HeadError> {
        let mut lengths = self.all("content-length");
        let length = lengths.next();
        if lengths.next().is_some() {
            return Err(Malformed("more than one Content-Length"));
        }
        let mut codings = self.all("transfer-encoding");
        let coding = codings.next();
        match (length, coding, codings.next()) {
            (None, None, _) => Ok(Body::Length(0)),
            (Some(digits), None, _) => {
                let plain = (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                let length = digits.parse().ok().filter(|_| plain);
                length.map(Body::Length).ok_or(Malformed("a Content-Length that is not a number"))
            }
            (None, Some("chunked"), None) if line.version == "HTTP/1.1" => Ok(Body::Chunked),
            (None, Some(_), _) => Err(Malformed("a Transfer-Encoding other than chunked")),
            (Some(_), Some(_), _) => Err(Malformed("both Content-Length and Transfer-Encoding")),
        }
    }

    /// The head for the far side: its own path form, one framing, and no second request on the connection.
    fn serialise(&self, line: &RequestLine<'_>, body: Body) -> Vec<u8> {
        let mut head = format!(
            "{} {} {}\r\nHost: {}\r\n",
            line.method,
            line.path.as_deref().unwrap_or("/"),
            line.version,
            authority(&line.to, line.default_port)
        );
        let named: Vec<&str> =
            self.all("connection").flat_map(|list| list.split(',')).map(str::trim).collect();
        for (name, value) in &self.0 {
            let dropped = NOT_FORWARDED.iter().chain(&named).any(|other| other.eq_ignore_ascii_case(name));
            if !dropped {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        match body {
            Body::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Body::Length(0) if self.get("content-length").is_none() => {}
            Body::Length(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
        }
        head.push_str("Connection: close\r\n\r\n");
        head.into_bytes()
    }
}

/// The same head for another proxy, which wants the whole URL where the far side wants the path.
pub(crate) fn absolute_form(head: &[u8], to: &Destination) -> Vec<u8> {
    // `serialise` has written METHOD, one blank, and the path.
    let path = head.iter().position(|&byte| byte == b' ').map_or(0, |at| at + 1);
    let (method, rest) = head.split_at(path);
    [method, b"http://", authority(to, 80).as_bytes(), rest].concat()
}

/// Host and port as they stand in a URL whose scheme means `default_port`.
fn authority(to: &Destination, default_port: u16) -> String {
    if to.port == default_port { to.host.to_string() } else { to.to_string() }
}

/// The answer's head for the client: the far side's, without what belongs to its connection, and closing ours.
pub(crate) fn rewrite_answer(head: &[u8]) -> Result<(u16, Vec<u8>), HeadError> {
    // Answers hold Latin-1 at times; they go to the guest, whom no spelling can hurt more than it can hurt itself.
    let end = head.len().checked_sub(2).ok_or(Malformed("an empty answer"))?;
    let mut lines = head[..end].split_inclusive(|&b| b == b'\n');
    let status = lines.next().unwrap_or_default();
    let code = match status {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', a, b, c, ..] => {
            std::str::from_utf8(&[*a, *b, *c]).ok().and_then(|digits| digits.parse().ok())
        }
        _ => None,
    };
    let code: u16 = code.ok_or(Malformed("an answer that is not HTTP/1"))?;
    let mut out = status.to_vec();
    for line in lines {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        let hop = [&b"connection"[..], b"keep-alive", b"proxy-connection", b"upgrade"];
        if !hop.iter().any(|h| h.eq_ignore_ascii_case(name)) {
            out.extend_from_slice(line);
        }
    }
    // An interim answer (100, 103) ends nothing.
    if code >= 200 {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok((code, out))
}

/// A token of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
