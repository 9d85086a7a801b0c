//! An HTTP/1.1 client of one connection that is kept open: small, so that what is measured is the server.

use crate::failure::{Failure, excerpt};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest silence of a server. A bench that hangs reports nothing, and says so.
const SILENCE: Duration = Duration::from_secs(120);
/// A body up to this size goes out in one segment with its head.
const SMALL: usize = 16 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

/// Status and whole body.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port`, without Nagle's delay.
    pub fn open(host: &str) -> Result<Self, Failure> {
        let connect = || {
            let stream = TcpStream::connect(host)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(SILENCE))?;
            Ok(stream)
        };
        let stream = connect().map_err(Failure::io(format!("connect to {host}")))?;
        Ok(Self { host: host.to_owned(), stream: BufReader::with_capacity(64 * 1024, stream) })
    }

    /// One request and its answer; an answer that is not 2xx is a failure.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let response =
            self.exchange(method, path, headers, body).map_err(Failure::io(format!("{method} {path}")))?;
        if (200..300).contains(&response.status) {
            return Ok(response.body);
        }
        let (request, status, body) = (format!("{method} {path}"), response.status, excerpt(&response.body));
        Err(Failure::Answer { request, status, body })
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Response> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.host, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut first = head.into_bytes();
        let stream = self.stream.get_mut();
        if body.len() <= SMALL {
            first.extend_from_slice(body);
            stream.write_all(&first)?;
        } else {
            stream.write_all(&first)?;
            stream.write_all(body)?;
        }
        read_response(&mut self.stream)
    }
}

fn read_response(stream: &mut impl BufRead) -> std::io::Result<Response> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| broken(&format!("no status line: {status_line:?}")))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream)?;
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = value.trim().parse().map_err(|_| broken("content-length is no number"))?;
            }
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let body = if chunked { read_chunks(stream)? } else { read_exactly(stream, length)? };
    Ok(Response { status, body })
}

fn read_chunks(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| broken("a chunk's size is no number"))?;
        body.append(&mut read_exactly(stream, size)?);
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_exactly(stream: &mut impl BufRead, length: usize) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(length);
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() == length { Ok(body) } else { Err(broken("the body ended early")) }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(broken("the connection was closed"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn broken(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_by_length_and_by_chunks() {
        let mut plain = &b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1"[..];
        let response = read_response(&mut plain).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (201, &b"abc"[..]));
        assert_eq!(plain, b"HTTP/1.1", "the next answer must stay in the stream");

        let mut chunked = &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nA;x\r\n0123456789\r\n0\r\n\r\n"[..];
        assert_eq!(read_response(&mut chunked).unwrap().body, b"ab0123456789");
        assert!(chunked.is_empty());
    }

    #[test]
    fn half_an_answer_is_an_error_and_not_a_short_one() {
        assert!(read_response(&mut &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"[..]).is_err());
        assert!(
            read_response(&mut &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc"[..])
                .is_err()
        );
        assert!(read_response(&mut &b""[..]).is_err());
    }
}
