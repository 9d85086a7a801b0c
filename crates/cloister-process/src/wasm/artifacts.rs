//! Roots for engines: made once per image, engine and processor, kept in a private folder, and checked before each use.
//!
//! ```text
//!   key = sha256(image digest, engine program, processor) ─▶ <folder>/<key>/{root/, seal}
//!                                                           seal = HMAC(own secret, path and sha256 of every file)
//! ```
//!
//! Compiled code is trusted: whoever can change it is inside the engine's process before its second wall. So the folder is refused when
//! others can write to it, and the seal, whose secret lies beside it for this user alone, shows a file that was changed or swapped.

use cloister_core::backend::StartError;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// Begins the names of roots that are being made; the process id of the maker follows.
const NEW: &str = "new-";
/// Longer than the making of one takes on any machine.
const MAKING: Duration = Duration::from_secs(600);
/// Roots that are kept in any case: about 130 MB each.
const ROOTS: usize = 3;
/// Others go when no server has been started on them for so long. One that runs on an old root has mapped what it needs.
const UNUSED: Duration = Duration::from_secs(2 * 3600);
/// Bytes of the secret.
const SECRET: usize = 32;
/// How much of what the program says goes into an error.
const SAID: usize = 2000;

/// Where roots are made and kept.
#[derive(Debug)]
pub struct Workshop {
    folder: PathBuf,
    program: PathBuf,
    /// One is made at a time; those that have been checked.
    checked: Mutex<BTreeMap<String, Root>>,
}

/// A root that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// SHA-256 of the list of its files, with theirs: for receipts.
    pub(crate) digest: String,
}

impl Workshop {
    /// `program` is the engine; `folder` is made if it is not there.
    pub fn new(folder: PathBuf, program: PathBuf) -> Self {
        Self { folder, program, checked: Mutex::default() }
    }

    /// The root for an image, made if there is none. Blocking: compiling takes seconds, once.
    pub(crate) fn root(&self, image: &str, image_root: &Path, digest: &str) -> Result<Root, StartError> {
        let failed = |step: &'static str| {
            move |source: io::Error| StartError::Step { step: format!("{step} of the image {image}"), source }
        };
        let key = self.key(digest).map_err(failed("name the engine's root"))?;
        let mut checked = cloister_core::lock::lock(&self.checked);
        if let Some(root) = checked.get(&key) {
            return Ok(root.clone());
        }
        self.private().map_err(failed("look at the folder for roots"))?;
        let place = self.folder.join(&key);
        let secret = self.secret().map_err(failed("read the secret that seals roots"))?;
        let digest = match check(&place, &secret) {
            Ok(digest) => digest,
            Err(why) => {
                if place.exists() {
                    tracing::warn!(place = %place.display(), %why, "an engine's root does not match its seal; it is made anew");
                    fs::remove_dir_all(&place).map_err(failed("remove the old root"))?;
                }
                self.make(image_root, &place, &secret).map_err(failed("make the engine's root"))?;
                check(&place, &secret).map_err(failed("read the engine's root"))?
            }
        };
        let root = Root { path: place.join("root"), digest };
        self.prune(&place);
        checked.insert(key, root.clone());
        Ok(root)
    }

    /// Roots that somebody was making who is no more.
    fn abandoned(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let unfinished = entries.filter(|entry| {
            let name = entry.file_name();
            let maker = name.to_str().and_then(|name| name.strip_prefix(NEW)?.split('-').next());
            // A maker in another pid namespace has no entry here, so that its age counts too.
            let since = entry.metadata().and_then(|meta| meta.modified());
            let old = since.is_ok_and(|since| since.elapsed().is_ok_and(|age| age > MAKING));
            old && maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        });
        unfinished.map(|entry| entry.path()).collect()
    }

    /// Marks a root as used, and removes those that nobody has used for long: every new engine or image makes another one.
    fn prune(&self, used: &Path) {
        let now = SystemTime::now();
        let touched = fs::File::open(used.join("seal")).and_then(|seal| seal.set_modified(now));
        if let Err(error) = touched {
            tracing::debug!(place = %used.display(), %error, "a root is not marked as used");
        }
        let mut roots: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                Some((fs::metadata(path.join("seal")).ok()?.modified().ok()?, path))
            })
            .collect();
        roots.sort_by(|a, b| b.cmp(a));
        let unused = roots
            .into_iter()
            .skip(ROOTS)
            .filter(|(since, _)| now.duration_since(*since).is_ok_and(|age| age > UNUSED));
        for root in unused.map(|(_, root)| root).chain(self.abandoned()) {
            tracing::info!(root = %root.display(), "removing the root of an engine that is no longer used");
            if let Err(error) = fs::remove_dir_all(&root) {
                tracing::warn!(root = %root.display(), %error, "it stays");
            }
        }
    }

    fn key(&self, digest: &str) -> io::Result<String> {
        let mut hash = Sha256::new();
        hash.update(digest.as_bytes());
        hash.update(sha256(&self.program)?);
        // Compiled code uses what this processor has.
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = cpu.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
        hash.update(flags.unwrap_or_default().as_bytes());
        Ok(hex(&hash.finalize())[..32].to_owned())
    }

    /// Makes the folder, and refuses one that others can write to.
    fn private(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let meta = fs::metadata(&self.folder)?;
        let (owner, mode) = (meta.uid(), meta.mode() & 0o777);
        if owner == nix::unistd::geteuid().as_raw() && mode & 0o022 == 0 {
            return Ok(());
        }
        let what = format!("{} belongs to user {owner} and has mode {mode:o}", self.folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    }

    fn secret(&self) -> io::Result<Vec<u8>> {
        let path = self.folder.join("secret");
        match fs::read(&path) {
            Ok(secret) if secret.len() == SECRET => return Ok(secret),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut secret = vec![0; SECRET];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let new = self.folder.join(format!("secret.{}", std::process::id()));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&secret)?;
        // Whoever is first has made it; a second server on the same folder takes that one.
        match fs::hard_link(&new, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::remove_file(&new)?,
        }
        fs::read(&path)
    }

    fn make(&self, image: &Path, place: &Path, secret: &[u8]) -> io::Result<()> {
        let new =
            self.folder.join(format!("{NEW}{}-{}", std::process::id(), place.display().to_string().len()));
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        // Everybody may look: the sandbox's user is another one. The folder around it is private.
        fs::DirBuilder::new().mode(0o755).create(&new)?;
        let started = std::time::Instant::now();
        let made = Command::new(&self.program)
            .arg("prepare")
            .args([image, &new.join("root")])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            let said: String = said.trim().chars().take(SAID).collect();
            fs::remove_dir_all(&new)?;
            return Err(io::Error::other(said));
        }
        fs::set_permissions(new.join("root"), fs::Permissions::from_mode(0o755))?;
        fs::write(new.join("seal"), seal(&listed(&new.join("root"))?, secret)?)?;
        match fs::rename(&new, place) {
            // Another server has made the same meanwhile.
            Err(_) if check(place, secret).is_ok() => fs::remove_dir_all(&new)?,
            other => other?,
        }
        tracing::info!(
            seconds = started.elapsed().as_secs_f32(),
            "compiled an interpreter for the wasm tier"
        );
        Ok(())
    }
}

/// Compares a root with its seal; returns the digest of what is in it.
fn check(place: &Path, secret: &[u8]) -> io::Result<String> {
    let kept = fs::read(place.join("seal"))?;
    let list = listed(&place.join("root"))?;
    if seal(&list, secret)? == kept {
        return Ok(hex(&Sha256::digest(list.as_bytes())));
    }
    Err(io::Error::other("its files are not those that were sealed"))
}

/// The path, kind and content of everything in a root.
fn listed(root: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut folders = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if fs::symlink_metadata(&path)?.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    for path in found {
        let meta = fs::symlink_metadata(&path)?;
        let what = if meta.is_symlink() {
            format!("link {}", fs::read_link(&path)?.display())
        } else if meta.is_dir() {
            "folder".to_owned()
        } else {
            format!("file {:o} {}", meta.mode() & 0o7777, hex(&sha256(&path)?))
        };
        let name = path.strip_prefix(root).unwrap_or(&path);
        // Neither can hold a line feed: they are our own.
        writeln!(text, "{} {what}", name.display()).map_err(io::Error::other)?;
    }
    Ok(text)
}

/// The seal of a root: a keyed hash over the list of what is in it.
fn seal(list: &str, secret: &[u8]) -> io::Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(io::Error::other)?;
    mac.update(list.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

fn sha256(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _: Result<(), std::fmt::Error> = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workshop whose program makes a root of one file, and says how often it was called.
    fn workshop(folder: &Path) -> Workshop {
        let program = folder.join("program");
        let script = "#!/bin/sh\nset -e\nPATH=/usr/bin:/bin\nmkdir \"$3\"\necho code > \"$3/python.cwasm\"\necho x >> \"$2/calls\"\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Workshop::new(folder.join("roots"), program)
    }

    fn calls(image: &Path) -> usize {
        fs::read_to_string(image.join("calls")).unwrap_or_default().lines().count()
    }

    #[test]
    fn a_root_is_made_once_and_again_for_another_image() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        fs::create_dir(&image).unwrap();
        let root = workshop(dir.path()).root("i", &image, "digest").unwrap().path;
        assert!(root.join("python.cwasm").exists());
        assert_eq!(workshop(dir.path()).root("i", &image, "digest").unwrap().path, root);
        assert_eq!(calls(&image), 1, "another server finds it");
        assert_ne!(workshop(dir.path()).root("i", &image, "other").unwrap().path, root);
        assert_eq!(calls(&image), 2);
    }

    #[test]
    fn a_root_that_was_changed_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        fs::create_dir(&image).unwrap();
        let root = workshop(dir.path()).root("i", &image, "digest").unwrap().path;
        for change in ["python.cwasm", "another"] {
            fs::write(root.join(change), "evil").unwrap();
            let again = workshop(dir.path()).root("i", &image, "digest").unwrap().path;
            assert_eq!(fs::read_to_string(again.join("python.cwasm")).unwrap(), "code\n");
            assert!(!again.join("another").exists());
        }
        assert_eq!(calls(&image), 3);
    }

    #[test]
    fn roots_that_nobody_uses_any_more_go_and_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        fs::create_dir(&image).unwrap();
        let roots: Vec<PathBuf> =
            (0..6).map(|n| workshop(dir.path()).root("i", &image, &n.to_string()).unwrap().path).collect();
        assert!(roots.iter().all(|root| root.exists()), "all are in use");
        for (age, root) in roots.iter().enumerate() {
            let seal = fs::File::open(root.parent().unwrap().join("seal")).unwrap();
            seal.set_modified(SystemTime::now() - UNUSED * (7 - age as u32)).unwrap();
        }
        // One that a server was making when it died, and one that is being made.
        let folder = roots[0].parent().unwrap().parent().unwrap();
        let (dead, young) = (folder.join("new-999999999-1"), folder.join("new-999999998-1"));
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&young).unwrap();
        fs::File::open(&dead).unwrap().set_modified(SystemTime::now() - 2 * MAKING).unwrap();
        let last = workshop(dir.path()).root("i", &image, "5").unwrap().path;
        assert!(!dead.exists() && young.exists());
        let left: Vec<bool> = roots.iter().map(|root| root.exists()).collect();
        assert_eq!(left, [false, false, false, true, true, true]);
        assert_eq!(last, roots[5]);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (image, folder) = (dir.path().join("image"), dir.path().join("roots"));
        fs::create_dir_all(&image).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = workshop(dir.path()).root("i", &image, "digest").unwrap_err();
        assert!(refused.to_string().contains("mode 777"), "{refused}");
    }

    #[test]
    fn what_the_program_says_is_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let workshop = workshop(dir.path());
        let error = workshop.root("i", &dir.path().join("nothing/here"), "digest").unwrap_err();
        assert!(error.to_string().contains("calls"), "{error}");
    }
}
