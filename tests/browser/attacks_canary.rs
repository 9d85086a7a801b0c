//! A network in which every address is the canary's: what a browser sends anywhere is seen, and what it asks for is answered.
//!
//! ```text
//!   thread of the test ── unshare(net, mounts) ──▶ lo: 0.0.0.0/0 and ::/0 are local
//!      ├─ ears      a packet socket: every TCP opening and every datagram, by destination
//!      ├─ pages     HTTP on ports 80 and 8081 of every address
//!      └─ names     the resolver of /etc/resolv.conf (127.0.0.1:53), in `attacks_names.rs`
//! ```
//!
//! Nothing of it exists outside of the thread and what it starts, and the kernel takes it away with the last of them.

use crate::attacks_names::resolve;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An address of the canary that policies take for public.
pub(crate) const PUBLIC: &str = "93.184.215.14";
/// A port of the canary on which the servers of these tests let sessions reach loopback, by the name `localhost`.
pub(crate) const NAMED: u16 = 8081;
/// Where a mark is sent that says: everything sent before has been seen.
const MARK: &str = "udp 127.0.0.1:9";

/// What was seen and asked for so far.
pub(crate) struct Canary {
    sent: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<String>>>,
    names: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    /// Moves this thread into a network of its own and listens there.
    pub(crate) fn new(folder: &Path) -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let resolvers = folder.join("resolv.conf");
        std::fs::write(&resolvers, "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n").unwrap();
        mount(Some(&resolvers), "/etc/resolv.conf", none, MsFlags::MS_BIND, none).unwrap();
        for arguments in
            ["link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"]
        {
            let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
            assert!(output.status.success(), "ip {arguments}: {output:?}");
        }
        let canary = Self {
            sent: Arc::default(),
            asked: Arc::default(),
            heads: Arc::default(),
            names: Arc::default(),
        };
        listen(Arc::clone(&canary.sent));
        for port in [80, NAMED] {
            for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                serve(TcpListener::bind((any, port)).unwrap(), &canary);
            }
        }
        resolve(Arc::clone(&canary.names));
        canary
    }

    /// Destinations of everything that was sent until now, as `tcp 1.2.3.4:80`, in order, each packet at least once.
    pub(crate) fn sent(&self) -> Vec<String> {
        let marks = || self.sent.lock().unwrap().iter().filter(|to| *to == MARK).count();
        let before = marks();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"mark", "127.0.0.1:9").unwrap();
        until("the mark is seen", || marks() > before);
        self.sent.lock().unwrap().iter().filter(|to| *to != MARK).cloned().collect()
    }

    /// Destinations to which something was sent and that are not among `known`.
    pub(crate) fn strangers(&self, known: &[String]) -> BTreeSet<String> {
        self.sent().into_iter().filter(|to| !known.contains(to)).collect()
    }

    /// Requests so far, as `93.184.215.14:80 GET /path`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Everything that requests had before their bodies.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Names that the resolver was asked for, each with the number of its record type.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    /// Waits until something with this text was asked for.
    pub(crate) fn hears(&self, text: &str) {
        until(text, || self.asked().iter().any(|asked| asked.contains(text)));
    }
}

/// Waits, for longer than anything here takes.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(60), "it never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Notes where TCP connections are opened to and where every other packet goes.
fn listen(sent: Arc<Mutex<Vec<String>>>) {
    let ears: OwnedFd =
        socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .unwrap();
    // Pictures of pages go over the same interface; none may push out what counts.
    setsockopt(&ears, sockopt::RcvBufForce, &(64 << 20)).unwrap();
    std::thread::spawn(move || {
        let mut packet = vec![0; 1 << 17];
        while let Ok(size) = recv(ears.as_raw_fd(), &mut packet, MsgFlags::empty()) {
            sent.lock().unwrap().extend(destination(&packet[..size]));
        }
    });
}

/// The destination of a packet; `None` for TCP segments that open nothing.
fn destination(packet: &[u8]) -> Option<String> {
    let (address, protocol, rest) = match packet.first()? >> 4 {
        4 => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (IpAddr::from(to), packet[9], packet.get(usize::from(packet[0] & 15) * 4..)?)
        }
        _ => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (IpAddr::from(to), packet[6], packet.get(40..)?)
        }
    };
    let port = || Some(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?));
    match protocol {
        // SYN without ACK.
        6 => (rest.get(13)? & 0x12 == 2).then_some(format!("tcp {}", SocketAddr::new(address, port()?))),
        // The resolver's own answers are no attempt of anybody.
        17 if rest.get(..2)? == [0, 53] => None,
        17 => Some(format!("udp {}", SocketAddr::new(address, port()?))),
        // What the kernel says to a sender about a closed port.
        1 | 58 => None,
        other => Some(format!("protocol {other} {address}")),
    }
}

/// Answers requests on every address that the listener has.
fn serve(listener: TcpListener, canary: &Canary) {
    let (asked, heads) = (Arc::clone(&canary.asked), Arc::clone(&canary.heads));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (asked, heads) = (Arc::clone(&asked), Arc::clone(&heads));
            std::thread::spawn(move || answer(stream, &asked, &heads));
        }
    });
}

/// One request, one answer, and the end: `/redirect?URL` leads there, `/download?NAME` is a file of that name, `/large?MIB` one of that
/// size, `*.js` is a worker that passes fetches on, `/closed` is a page that no other origin may read, and everything else is one that
/// every origin may read.
fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>, heads: &Mutex<Vec<String>>) -> Option<()> {
    let local = stream.local_addr().ok()?;
    // A body that never comes must not keep its thread for ever.
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).ok()? {
            0 => break,
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let body = head.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |end| head.len() - end - 4);
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default().rsplit_once(' ').map_or("", |(line, _)| line);
    asked.lock().unwrap().push(format!("{local} {line}"));
    heads.lock().unwrap().push(head.clone());
    // To the end: who answers and leaves before it has heard everything resets the connection, and the answer is lost.
    let announced = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let rest = announced.unwrap_or(0_usize).saturating_sub(body);
    std::io::copy(&mut (&stream).take(rest as u64), &mut std::io::sink()).ok()?;
    let path = line.split_once(' ').map_or("", |(_, path)| path);
    if let Some(size) = path.strip_prefix("/large?").and_then(|size| size.parse::<usize>().ok()) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=large\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            size << 20
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mebibyte = vec![b'x'; 1 << 20];
        return (0..size).try_for_each(|_| stream.write_all(&mebibyte)).ok();
    }
    let shared = if path.starts_with("/closed") { "null" } else { "*" };
    let (status, header, body) = if let Some((kind, to)) = path.split_once("?to=") {
        let status = kind.rsplit('/').next().unwrap_or("302");
        (format!("{status} Moved"), format!("Location: {to}"), String::new())
    } else if let Some(name) = path.strip_prefix("/download?") {
        let header = format!("Content-Disposition: attachment; filename=\"{}\"", unescaped(name));
        ("200 OK".to_owned(), header, "downloaded".to_owned())
    } else if path.split('?').next().is_some_and(|path| path.ends_with(".js")) {
        let script = "self.onfetch = event => event.respondWith(fetch(event.request.url));
            self.oninstall = () => self.skipWaiting(); self.onactivate = event => event.waitUntil(clients.claim());";
        ("200 OK".to_owned(), "Content-Type: text/javascript".to_owned(), script.to_owned())
    } else {
        let cookie = format!("Content-Type: text/html\r\nSet-Cookie: seen=by-{local}; Max-Age=3600");
        ("200 OK".to_owned(), cookie, format!("<!doctype html><title>canary</title>the canary of {local}"))
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{header}\r\nAccess-Control-Allow-Origin: {shared}\r\nCache-Control: max-age=3600\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).ok()
}

fn unescaped(text: &str) -> String {
    text.replace("%2F", "/").replace("%20", " ").replace("%5C", "\\")
}
