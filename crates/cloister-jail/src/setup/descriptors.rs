//! Closes every descriptor that a new process should not have: what is not there cannot leak (CVE-2024-21626 was one that was).

use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::os::fd::{IntoRawFd, RawFd};

/// Closes all descriptors but those in `keep`; 0, 1 and 2 become /dev/null unless they are kept.
pub fn keep_only(keep: &[RawFd]) -> Result<(), Step> {
    let mut keep: Vec<RawFd> = keep.to_vec();
    keep.sort_unstable();
    keep.dedup();
    let mut first = 0;
    for &fd in &keep {
        if fd > first {
            sys::close_range(first, (fd - 1) as u32).map_err(Step::at("close inherited descriptors"))?;
        }
        first = fd + 1;
    }
    sys::close_range(first, u32::MAX).map_err(Step::at("close inherited descriptors"))?;
    // The kernel hands out the lowest free number, so these become exactly the missing ones of 0, 1 and 2. Not close-on-exec:
    // a program that starts without them would get its first file as its standard output.
    for missing in (0..=2).filter(|fd| !keep.contains(fd)) {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR, nix::sys::stat::Mode::empty())
            .map_err(Step::at("open /dev/null"))?;
        if null.into_raw_fd() != missing {
            return Err(Step { step: "descriptors 0 to 2 are not in order".into(), errno: Errno::EBADF });
        }
    }
    Ok(())
}

/// The errno of an I/O error, or EIO if it has none.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
