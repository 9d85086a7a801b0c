//! What a crashed server left behind: every sandbox directory is a sandbox that may still live, and is ended and removed.

use crate::launcher::Launcher;
use crate::maker::connect;
use crate::remains::{Lodging, remove_group};
use cloister_core::SandboxId;
use cloister_jail::cgroup::{self, Group};
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
    /// The directories of its cgroup. They lie below the group of the server that made them, and the next server may be started
    /// from another one (another login, another unit).
    #[serde(default)]
    pub(crate) cgroups: Vec<PathBuf>,
}

impl Record {
    fn read(directory: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(directory.join("record.json"))?)?)
    }

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
    let current: Vec<&Path> = groups.map(cgroup::Host::places).unwrap_or_default();
    for entry in fs::read_dir(state_dir)?.flatten() {
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let directory = entry.path();
        // Whatever somebody else keeps here is not ours to remove.
        if entry.file_name().to_str().and_then(SandboxId::parse).is_none() {
            tracing::warn!(directory = %directory.display(), "not a sandbox's; put other things somewhere else");
            continue;
        }
        match Record::read(&directory) {
            Err(error) => {
                tracing::debug!(directory = %directory.display(), %error, "a left-over sandbox has no record");
            }
            Ok(record) => {
                if let Err(error) = end(&directory, record, launcher, &current) {
                    tracing::warn!(directory = %directory.display(), %error, "a left-over sandbox does not go; the next start tries again");
                    continue;
                }
            }
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

/// Removes one directory of a group that an earlier server made, and with the last one that server's own.
fn remove_directory(path: &Path, current: &[&Path]) {
    // Killing and removing go by directory, whatever the version is.
    for left in remove_group(&Group::of_directory(path)) {
        tracing::warn!(left, "cannot remove a left-over cgroup");
    }
    let former = path.parent().filter(|parent| !current.contains(parent));
    if let Some(former) = former
        && fs::remove_dir(former).is_ok()
    {
        // Shared by all servers of that group; it stays while one of them uses it.
        let _: Option<io::Result<()>> = former.parent().map(fs::remove_dir);
    }
}

/// Ends what `record` speaks of.
fn end(directory: &Path, record: Record, launcher: &Arc<Launcher>, current: &[&Path]) -> io::Result<()> {
    // Refused where nobody listens any more: it has ended by itself.
    if let Err(error) = tell(directory, record.nonce) {
        tracing::debug!(directory = %directory.display(), %error, "a left-over sandbox did not answer");
    }
    if let Some((root, sandbox, uid, gid)) = record.lodging {
        Lodging { root, sandbox, uid, gid, launcher: Arc::clone(launcher) }.clear()?;
    }
    record.cgroups.iter().for_each(|path| remove_directory(path, current));
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn left_over_sandboxes_are_told_to_end_and_other_directories_stay() {
        let state = tempfile::tempdir().unwrap();
        let launcher = Arc::new(Launcher::start(Path::new("/bin/cat"), state.path()).unwrap());
        let place = |name: &str| {
            fs::create_dir(state.path().join(name)).unwrap();
            state.path().join(name)
        };
        let (answers, silent, lodged) = (place("01AAA"), place("01BBB"), place("01CCC"));
        let foreign = place("not-a-sandbox");
        let record = Record { version: 1, nonce: "n".into(), lodging: None, cgroups: Vec::new() };
        record.write(&answers).unwrap();
        // Nobody sweeps.
        launcher.end();
        let lodging = Some((state.path().to_owned(), "01ccc".to_owned(), 1, 1));
        Record { version: 1, nonce: "n".into(), lodging, cgroups: Vec::new() }.write(&lodged).unwrap();
        fs::write(silent.join("record.json"), "not JSON").unwrap();
        let listener = UnixListener::bind(answers.join("ctl.sock")).unwrap();
        let init = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            drop(stream.read_to_end(&mut heard));
            String::from_utf8_lossy(&heard).into_owned()
        });
        assert_eq!(reconcile(state.path(), None, &launcher).unwrap(), 2);
        let heard = init.join().unwrap();
        assert!(heard.contains("attach") && heard.contains("shutdown"), "{heard:?}");
        assert!(!answers.exists() && !silent.exists() && foreign.exists());
        assert!(lodged.exists(), "what does not go keeps its record");
    }

    #[test]
    fn groups_of_a_server_that_ran_in_another_group_are_removed_with_their_base() {
        let hierarchy = tempfile::tempdir().unwrap();
        let base = |group: &str| hierarchy.path().join(group).join("cloister/instance");
        let (former, current) = (base("former"), base("current"));
        for base in [&former, &current] {
            fs::create_dir_all(base.join("A")).unwrap();
            fs::create_dir_all(base.join("B")).unwrap();
        }
        let own = [current.as_path()];
        remove_directory(&former.join("A"), &own);
        assert!(former.join("B").exists(), "other sandboxes are not touched");
        remove_directory(&former.join("B"), &own);
        assert!(hierarchy.path().join("former").exists() && !former.exists());
        assert!(!hierarchy.path().join("former/cloister").exists());
        remove_directory(&current.join("A"), &own);
        remove_directory(&current.join("B"), &own);
        assert!(current.exists(), "this server goes on using it");
    }

    #[test]
    fn a_record_of_an_earlier_release_is_read() {
        let record: Record = serde_json::from_str(r#"{"version":1,"nonce":"n","lodging":null}"#).unwrap();
        assert!(record.cgroups.is_empty() && record.nonce == "n");
    }
}
