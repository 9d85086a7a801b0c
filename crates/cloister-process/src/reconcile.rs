//! What a crashed server left behind: every sandbox directory is a sandbox that may still live, and is ended and removed.

use crate::maker::connect;
use crate::orders::Launcher;
use crate::sandbox::{Lodging, remove_group};
use cloister_jail::cgroup;
use cloister_jail::guest::frame;
use cloister_jail::guest::message::Request;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `record.json` of a sandbox's directory: enough to speak to it after a restart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 1.
    pub(crate) version: u32,
    /// The secret of its control channel.
    pub(crate) nonce: String,
    /// Where it lives, if it has no namespaces that end with it: the image's root, its name there, and its user and group.
    pub(crate) lodging: Option<(PathBuf, String, u32, u32)>,
}

impl Record {
    /// Writes it, readable by the server only.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join("record.json"))?;
        file.write_all(&serde_json::to_vec(self)?)
    }
}

/// Ends every sandbox that an earlier server on this state directory left, and removes its directory and cgroup. Blocking.
pub(crate) fn reconcile(
    state_dir: &Path,
    groups: Option<&cgroup::Host>,
    launcher: &Arc<Launcher>,
) -> io::Result<usize> {
    let mut ended = 0;
    for entry in fs::read_dir(state_dir)?.flatten() {
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let directory = entry.path();
        // Refused where nobody listens any more: it has ended by itself.
        if let Err(error) = shut_down(&directory, launcher) {
            tracing::debug!(directory = %directory.display(), %error, "a left-over sandbox did not answer");
        }
        ended += 1;
        if let Err(error) = fs::remove_dir_all(&directory) {
            tracing::warn!(directory = %directory.display(), %error, "cannot remove a left-over sandbox directory");
        }
    }
    if let Some(host) = groups {
        for name in host.names() {
            for left in remove_group(&host.existing(&name)) {
                tracing::warn!(left, "cannot remove a left-over cgroup");
            }
        }
    }
    Ok(ended)
}

fn shut_down(directory: &Path, launcher: &Arc<Launcher>) -> io::Result<()> {
    let record: Record = serde_json::from_slice(&fs::read(directory.join("record.json"))?)?;
    let told = tell(directory, record.nonce);
    if let Some((root, sandbox, uid, gid)) = record.lodging {
        Lodging { root, sandbox, uid, gid, launcher: Arc::clone(launcher) }.clear()?;
    }
    told
}

fn tell(directory: &Path, nonce: String) -> io::Result<()> {
    let mut stream = connect(directory)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    for request in [Request::Attach { nonce, ttl_ms: 0 }, Request::Shutdown] {
        stream.write_all(&frame::encode(&request, b"").map_err(io::Error::other)?)?;
    }
    // The end of the stream is the end of its init.
    io::copy(&mut Read::by_ref(&mut stream).take(1 << 30), &mut io::sink()).map(drop)
}
