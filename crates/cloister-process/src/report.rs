//! The report of a sandbox that is being made: one message on a pipe, awaited with patience but not for ever.

use cloister_jail::plan::Started;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long its walls may take. Milliseconds as a rule; a mount that hangs must not hold the thread of its starter for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that a report may have.
const LONGEST: usize = 64 << 10;

/// Reads to the end of the pipe. `None`: the sandbox died before it could say anything.
pub(crate) fn read(mut pipe: PipeReader, patience: Duration) -> io::Result<Option<Started>> {
    let until = Instant::now() + patience;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let millis = until.saturating_duration_since(Instant::now()).as_millis();
        let timeout =
            PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "its walls do not stand in time")),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(serde_json::from_slice(&text).ok()),
            Ok(n) if text.len() + n <= LONGEST => text.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Ok(_) => return Err(io::Error::other("its report does not end")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn a_report_is_read_whole_and_its_absence_is_one_as_well() {
        let (pipe, mut sandbox) = io::pipe().unwrap();
        sandbox.write_all(br#"{"ev":"failed","step":"mo"#).unwrap();
        let reader = std::thread::spawn(move || read(pipe, PATIENCE));
        sandbox.write_all(br#"unt","errno":1}"#).unwrap();
        drop(sandbox);
        let report = reader.join().unwrap().unwrap();
        assert!(matches!(&report, Some(Started::Failed { step, errno: 1 }) if step == "mount"), "{report:?}");
        let (pipe, sandbox) = io::pipe().unwrap();
        drop(sandbox);
        assert!(read(pipe, PATIENCE).unwrap().is_none());
    }

    #[test]
    fn a_sandbox_that_hangs_while_it_is_made_is_not_awaited_for_ever() {
        let (pipe, _sandbox) = io::pipe().unwrap();
        assert_eq!(read(pipe, SHORT).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
