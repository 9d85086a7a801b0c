//! A WebSocket client of one connection that blocks: text messages, and answers to pings. Small, so that what is measured is the server.

use crate::cdp::Wire;
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longest silence of a server.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest frame: no screenshot of a bench comes near it, and a broken length asks for no memory.
const LONGEST: u64 = 64 << 20;
/// A client has to mask what it sends; any mask will do where nobody caches what is in between.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open connection.
#[derive(Debug)]
pub struct WebSocket(BufReader<TcpStream>);

impl WebSocket {
    /// Connects to `host:port` and asks for `path`, without Nagle's delay.
    pub fn connect(host: &str, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut stream = BufReader::with_capacity(64 * 1024, stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(broken(&format!("the answer to {path} ended early: {head:?}")));
            }
        }
        if head.split(' ').nth(1) != Some("101") {
            return Err(broken(&format!("{path} is no WebSocket: {head:?}")));
        }
        Ok(Self(stream))
    }

    fn write(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        self.0.get_mut().write_all(&frame(opcode, payload))
    }

    /// One frame: whether it is the last of its message, its kind, and what is in it.
    fn read(&mut self) -> Result<(bool, u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        let size = usize::try_from(length.min(LONGEST)).unwrap_or_default();
        if size as u64 != length {
            return Err(broken(&format!("a frame of {length} bytes")));
        }
        let mut payload = vec![0; size];
        self.0.read_exact(&mut payload)?;
        Ok((head[0] & 0x80 != 0, head[0] & 0x0f, payload))
    }
}

impl Wire for WebSocket {
    fn send(&mut self, text: &str) -> Result<()> {
        self.write(TEXT, text.as_bytes())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let (last, opcode, payload) = self.read()?;
            match opcode {
                CLOSE => return Err(broken(&format!("closed: {}", String::from_utf8_lossy(&payload)))),
                PING => self.write(PONG, &payload)?,
                PONG => {}
                _ if message.is_empty() => message = payload,
                _ => message.extend_from_slice(&payload),
            }
            if last && opcode < CLOSE {
                return Ok(message);
            }
        }
    }
}

/// A whole masked message in one piece: one system call sends it.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => frame.push(0x80 | short),
        (_, Ok(medium)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_length_of_a_frame_takes_as_many_bytes_as_it_needs() {
        let head = |length: usize, bytes: usize| frame(TEXT, &vec![b'x'; length])[..bytes].to_vec();
        assert_eq!(head(125, 2), [0x81, 0x80 | 125]);
        assert_eq!(head(126, 4), [0x81, 0x80 | 126, 0, 126]);
        assert_eq!(head(65536, 10), [0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        let short = frame(TEXT, b"ab");
        assert_eq!([short[6] ^ MASK[0], short[7] ^ MASK[1]], *b"ab", "masked with the mask that it names");
    }

    #[test]
    fn a_message_in_pieces_with_a_ping_between_them_is_one_message() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            let parts: [&[u8]; 4] =
                [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"\x01\x02ab", b"\x89\x01!", b"\x80\x01c"];
            stream.get_mut().write_all(&parts.concat()).unwrap();
            let mut pong = [0; 7];
            stream.read_exact(&mut pong).unwrap();
            pong
        });
        let mut socket = WebSocket::connect(&host, "/").unwrap();
        assert_eq!(socket.receive().unwrap(), b"abc");
        assert_eq!(server.join().unwrap().to_vec(), frame(PONG, b"!"));
    }
}
