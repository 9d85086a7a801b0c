//! A program in a browser's network, as somebody who has taken over the network service would be: what it can say to the way out, and hear.
//!
//! It is more than such a program: the test's own thread, with root's rights and no list of system calls, moved into the sandbox's network.

use crate::attacks_world::World;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Where the way out listens, as the kernel writes it: 127.0.0.1:3128.
const WAY_OUT: &str = "0100007F:0C38 00000000:0000 0A";
/// Longer than anything here takes.
const PLENTY: Duration = Duration::from_secs(30);

/// The network of one session.
pub(crate) struct Inside {
    network: File,
}

impl Inside {
    /// That of a world's only session.
    pub(crate) fn new(world: &World) -> Self {
        Self::beside(world, &[])
    }

    /// That of the session whose processes are not among `known`.
    pub(crate) fn beside(world: &World, known: &[i32]) -> Self {
        let pids = world.server.processes().into_iter().map(|process| process.pid);
        let mut new = pids.filter(|pid| !known.contains(pid));
        let inside = new.find(|pid| {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
            table.contains(WAY_OUT)
        });
        let pid = inside.expect("a process of the session");
        Self { network: File::open(format!("/proc/{pid}/ns/net")).unwrap() }
    }

    /// Runs `what` there.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.network, CloneFlags::CLONE_NEWNET).unwrap();
                what()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A connection to the way out.
    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = self.run(|| TcpStream::connect("127.0.0.1:3128"))?;
        stream.set_read_timeout(Some(PLENTY))?;
        Ok(stream)
    }

    /// Says something to the way out, then nothing more; what it answers until it closes.
    pub(crate) fn say(&self, words: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().unwrap();
        // It may refuse before it has read everything.
        let _ = stream.write_all(words.as_ref());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}
