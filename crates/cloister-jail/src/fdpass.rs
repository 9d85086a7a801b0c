//! Messages with descriptors over a SEQPACKET socket: one JSON object per message.

use crate::plan::wipe;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recv, recvmsg, sendmsg};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Bytes of one message. A plan with its filters is about 30 KiB.
pub const MAX_MESSAGE: usize = 192 * 1024;
/// Descriptors of one message.
pub const MAX_FDS: usize = 16;

/// Sends one message.
pub fn send<M: Serialize>(socket: impl AsFd, message: &M, fds: &[RawFd]) -> Result<(), Errno> {
    let json = serde_json::to_vec(message).map_err(|_| Errno::EINVAL)?;
    if json.len() > MAX_MESSAGE || fds.len() > MAX_FDS {
        return Err(Errno::EMSGSIZE);
    }
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    loop {
        let sent = sendmsg::<()>(
            socket.as_fd().as_raw_fd(),
            &[IoSlice::new(&json)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Receives one message with its descriptors (close-on-exec). `Ok(None)` when the peer has closed.
pub fn receive<M: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(M, Vec<OwnedFd>)>, Errno> {
    // As large as the message and no larger: what a zygote writes to here, it pays for again after each fork, page by page.
    let mut buffer = vec![0u8; next_length(&socket)?];
    let (length, fds) = receive_bytes(socket, &mut buffer)?;
    if length == 0 {
        return Ok(None);
    }
    let json = buffer.get(..length).unwrap_or_default();
    let message = serde_json::from_slice(json).map_err(|_| Errno::EPROTO);
    // It held a sandbox's secrets, and the receiver may be a zygote, whose memory guests inherit.
    wipe(buffer);
    Ok(Some((message?, fds)))
}

/// Waits for a message, which stays where it is, and returns its length (at most [`MAX_MESSAGE`]); 0 when the peer has closed.
fn next_length(socket: impl AsFd) -> Result<usize, Errno> {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
    loop {
        match recv(socket.as_fd().as_raw_fd(), &mut [], flags) {
            Err(Errno::EINTR) => {}
            // One that is longer is received cut off, which is an error there.
            other => return other.map(|length| length.min(MAX_MESSAGE)),
        }
    }
}

/// Receives bytes and the descriptors that come with them. Zero bytes mean that the peer has closed.
pub fn receive_bytes(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = cmsg_space!([RawFd; MAX_FDS]);
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<()>(
            socket.as_fd().as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        );
        match received {
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
            Ok(message) => {
                let mut fds = Vec::new();
                for control in message.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(raw) = control {
                        fds.extend(raw.into_iter().filter_map(crate::sys::adopt));
                    }
                }
                if message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
                    return Err(Errno::EMSGSIZE);
                }
                return Ok((message.bytes, fds));
            }
        }
    }
}
