//! `cloister cp`: one file into a session or out of it.

use super::session::file_path;
use super::{Connection, Failure};
use crate::client::Client;
use crate::output::Output;
use bytes::Bytes;
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Largest file that is sent; the API takes no larger one.
const LARGEST: u64 = 100_000_000;

/// Arguments of `cloister cp`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// SESSION:path, or a local file ("-" is standard input)
    from: String,
    /// SESSION:path, or a local file or folder ("-" is standard output)
    to: String,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Remote { session: String, path: String },
    Local(PathBuf),
}

impl Place {
    /// `SESSION:path` if what stands before the first colon can be an id; `./a:b` is always local.
    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((session, path)) if is_id(session) => {
                Self::Remote { session: session.to_owned(), path: path.to_owned() }
            }
            _ => Self::Local(PathBuf::from(text)),
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let (session, path, local, bytes) = match (Place::parse(&args.from), Place::parse(&args.to)) {
        (Place::Remote { session, path }, Place::Local(local)) => {
            let (local, bytes) = fetch(&client, &session, &path, &local).await?;
            (session, path, local, bytes)
        }
        (Place::Local(local), Place::Remote { session, path }) => {
            let path = remote_name(&path, &local)?;
            let bytes = send(&client, &session, &path, &local).await?;
            (session, path, local, bytes)
        }
        _ => {
            return Err(Failure::usage(
                "one side must be SESSION:path and the other a local file (write ./a:b for a local name with a colon)",
            ));
        }
    };
    if out.is_json() && local != Path::new("-") {
        out.json(&json!({ "session": session, "path": path, "local": local, "bytes": bytes }))?;
    }
    Ok(())
}

/// The path in the session: `SESSION:` and `SESSION:folder/` take the local file's name.
fn remote_name(path: &str, local: &Path) -> Result<String, Failure> {
    if !path.is_empty() && !path.ends_with('/') {
        return Ok(path.to_owned());
    }
    let name = local.file_name().and_then(|name| name.to_str()).filter(|name| *name != "-");
    name.map(|name| format!("{path}{name}"))
        .ok_or_else(|| Failure::usage(format!("{}: give the file a name in the session", local.display())))
}

/// Sends a local file; returns its size.
pub(super) async fn send(client: &Client, session: &str, path: &str, local: &Path) -> Result<u64, Failure> {
    let content = read(local).map_err(|error| Failure::new(format!("{}: {error}", local.display())))?;
    let bytes = content.len() as u64;
    if bytes > LARGEST {
        return Err(Failure::new(format!(
            "{}: larger than {LARGEST} bytes, which the API takes at most",
            local.display()
        )));
    }
    client.upload(&file_path(session, path), content).await?;
    Ok(bytes)
}

fn read(local: &Path) -> std::io::Result<Bytes> {
    let mut content = Vec::new();
    // One byte more than allowed shows that a file is too large, without reading all of it.
    if local == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut content)?;
    } else {
        std::fs::File::open(local)?.take(LARGEST + 1).read_to_end(&mut content)?;
    }
    Ok(content.into())
}

/// Fetches a file; returns where it is now, and its size. A file that breaks off half-way leaves nothing behind.
pub(super) async fn fetch(
    client: &Client,
    session: &str,
    path: &str,
    local: &Path,
) -> Result<(PathBuf, u64), Failure> {
    let mut download = client.download(&file_path(session, path)).await?;
    let mut bytes = 0;
    if local == Path::new("-") {
        while let Some(piece) = download.next().await? {
            bytes += piece.len() as u64;
            std::io::stdout().lock().write_all(&piece)?;
        }
        std::io::stdout().lock().flush()?;
        return Ok((local.to_owned(), bytes));
    }
    let target = local_name(path, local)?;
    let failure = |error: std::io::Error| Failure::new(format!("{}: {error}", target.display()));
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = Partial::create(folder).map_err(failure)?;
    while let Some(piece) = download.next().await? {
        bytes += piece.len() as u64;
        temporary.file.write_all(&piece).map_err(failure)?;
    }
    temporary.keep(&target).map_err(failure)?;
    Ok((target, bytes))
}

/// The local file: an existing folder takes the remote file's name.
fn local_name(path: &str, local: &Path) -> Result<PathBuf, Failure> {
    if !local.is_dir() {
        return Ok(local.to_owned());
    }
    let name = path.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."));
    name.map(|name| local.join(name)).ok_or_else(|| Failure::usage(format!("{path}: not the name of a file")))
}

/// A download under way. Without `keep` it removes itself.
struct Partial {
    path: PathBuf,
    file: std::fs::File,
}

impl Partial {
    fn create(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(format!(".cloister-{}.part", std::process::id()));
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    fn keep(self, target: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a successful rename there is nothing of this name.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_colon_is_a_session_only_if_it_can_be_an_id() {
        let remote = |session: &str, path: &str| Place::Remote { session: session.into(), path: path.into() };
        assert_eq!(Place::parse("01ABC:out.png"), remote("01ABC", "out.png"));
        assert_eq!(Place::parse("01ABC:a:b"), remote("01ABC", "a:b"));
        for local in ["out.png", "./a:b", "/tmp/a:b", "a-b:c", "-", &format!("{}:x", "a".repeat(41))] {
            assert_eq!(Place::parse(local), Place::Local(local.into()), "{local}");
        }
    }

    #[test]
    fn folders_take_the_name_of_the_file() {
        assert_eq!(remote_name("", Path::new("/tmp/a.csv")).unwrap(), "a.csv");
        assert_eq!(remote_name("data/", Path::new("a.csv")).unwrap(), "data/a.csv");
        assert_eq!(remote_name("b.csv", Path::new("a.csv")).unwrap(), "b.csv");
        assert!(remote_name("", Path::new("-")).is_err());
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(local_name("a/b.png", folder.path()).unwrap(), folder.path().join("b.png"));
        assert_eq!(local_name("a/b.png", Path::new("x/y")).unwrap(), Path::new("x/y"));
        assert!(local_name("a/..", folder.path()).is_err());
    }

    #[test]
    fn a_download_that_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Partial::create(folder.path()).unwrap());
        Partial::create(folder.path()).unwrap().keep(&folder.path().join("kept")).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["kept"]);
    }
}
