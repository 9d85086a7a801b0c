//! Recordings of browser sessions, as files.
//!
//! ```text
//!   <data-dir>/recordings/<session id>/   0700
//!     events.ndjson    one JSON object per line
//!     frames.bin       JPEG pictures, one behind the other
//!     frames.index     24 bytes per picture: at, end in frames.bin, length, page; big-endian
//!     full             there when the recording stopped before its session
//! ```
//!
//! A picture is written before its entry, and an entry that is cut off is not read: after a crash, what is listed is there.
//! INVARIANT: names of folders are session ids, which this server has made; nothing of a guest becomes a path.

use cloister_core::SessionId;
use cloister_core::lock::lock;
use cloister_core::recording::{Frame, RecordingError, RecordingSink, Recordings, Summary};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const EVENTS: &str = "events.ndjson";
const FRAMES: &str = "frames.bin";
const INDEX: &str = "frames.index";
const FULL: &str = "full";
/// Bytes of an entry of the index.
const ENTRY: usize = 24;

/// The recordings below one folder.
pub(crate) struct FileRecordings {
    folder: PathBuf,
}

struct FileSink {
    folder: PathBuf,
    files: Mutex<Files>,
}

struct Files {
    events: File,
    frames: File,
    index: File,
    end: u64,
}

impl FileRecordings {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn of(&self, id: &SessionId) -> PathBuf {
        self.folder.join(id.as_str())
    }
}

impl RecordingSink for FileSink {
    fn line(&self, line: &str) -> Result<(), RecordingError> {
        let mut files = lock(&self.files);
        // In one piece: a reader sees whole lines.
        files.events.write_all(format!("{line}\n").as_bytes()).map_err(failed("writing an event"))
    }

    fn frame(&self, at: u64, page: u32, jpeg: &[u8]) -> Result<(), RecordingError> {
        let mut files = lock(&self.files);
        let write = |files: &mut Files| {
            let length = u32::try_from(jpeg.len()).map_err(io::Error::other)?;
            files.frames.write_all(jpeg)?;
            files.end += u64::from(length);
            files.index.write_all(&entry(Frame { at, page, length }, files.end))
        };
        write(&mut files).map_err(failed("writing a picture"))
    }

    fn full(&self) -> Result<(), RecordingError> {
        create(&self.folder.join(FULL)).map(|_| ()).map_err(failed("ending"))
    }
}

impl Recordings for FileRecordings {
    fn create(&self, id: &SessionId) -> Result<Arc<dyn RecordingSink>, RecordingError> {
        let folder = self.of(id);
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let [events, frames, index] = [EVENTS, FRAMES, INDEX].map(|name| create(&folder.join(name)));
            Ok(Files { events: events?, frames: frames?, index: index?, end: 0 })
        };
        let files = Mutex::new(make().map_err(failed("beginning"))?);
        Ok(Arc::new(FileSink { folder, files }))
    }

    fn contains(&self, id: &SessionId) -> Result<Option<()>, RecordingError> {
        let found = there(fs::metadata(self.of(id).join(INDEX))).map_err(failed("looking for it"))?;
        Ok(found.map(|_| ()))
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Summary>, RecordingError> {
        let folder = self.of(id);
        let read = || {
            let Some(index) = there(fs::read(folder.join(INDEX)))? else { return Ok(None) };
            let frames = index.chunks_exact(ENTRY).map(|bytes| parsed(bytes).0).collect();
            let event_bytes = fs::metadata(folder.join(EVENTS))?.len();
            Ok(Some(Summary { frames, event_bytes, full: folder.join(FULL).exists() }))
        };
        read().map_err(failed("reading the list"))
    }

    fn frame(&self, id: &SessionId, number: u64) -> Result<Option<Vec<u8>>, RecordingError> {
        let folder = self.of(id);
        let read = || {
            let Some(index) = there(File::open(folder.join(INDEX)))? else { return Ok(None) };
            let Some(offset) = number.checked_mul(ENTRY as u64) else { return Ok(None) };
            let mut bytes = [0; ENTRY];
            match index.read_exact_at(&mut bytes, offset) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            }
            let (Frame { length, .. }, end) = parsed(&bytes);
            let mut jpeg = vec![0; length as usize];
            let begin = end.checked_sub(u64::from(length)).ok_or(ErrorKind::InvalidData)?;
            File::open(folder.join(FRAMES))?.read_exact_at(&mut jpeg, begin)?;
            Ok(Some(jpeg))
        };
        read().map_err(failed("reading a picture"))
    }

    fn events(&self, id: &SessionId, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, RecordingError> {
        let path = self.of(id).join(EVENTS);
        let read = || {
            let Some(mut file) = there(File::open(path))? else { return Ok(None) };
            file.seek(SeekFrom::Start(offset))?;
            let mut lines = Vec::new();
            let mut reader = BufReader::new(&mut file);
            reader.by_ref().take(limit).read_to_end(&mut lines)?;
            match lines.iter().rposition(|byte| *byte == b'\n') {
                Some(last) => lines.truncate(last + 1),
                None => {
                    reader.read_until(b'\n', &mut lines)?;
                    // A line that a crash has cut off is none.
                    if lines.last() != Some(&b'\n') {
                        lines.clear();
                    }
                }
            }
            Ok(Some(lines))
        };
        read().map_err(failed("reading the events"))
    }

    fn sessions(&self) -> Result<Vec<SessionId>, RecordingError> {
        let read = || {
            let Some(entries) = there(fs::read_dir(&self.folder))? else { return Ok(Vec::new()) };
            let names: Vec<_> =
                entries.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
            Ok(names.iter().filter_map(|name| SessionId::parse(name.to_str()?)).collect())
        };
        read().map_err(failed("listing"))
    }

    fn remove(&self, id: &SessionId) -> Result<(), RecordingError> {
        there(fs::remove_dir_all(self.of(id))).map(|_| ()).map_err(failed("removal"))
    }
}

fn entry(frame: Frame, end: u64) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    bytes[..8].copy_from_slice(&frame.at.to_be_bytes());
    bytes[8..16].copy_from_slice(&end.to_be_bytes());
    bytes[16..20].copy_from_slice(&frame.length.to_be_bytes());
    bytes[20..].copy_from_slice(&frame.page.to_be_bytes());
    bytes
}

/// A picture, and where it ends; of [`ENTRY`] bytes.
fn parsed(bytes: &[u8]) -> (Frame, u64) {
    let number =
        |from: usize, to: usize| bytes[from..to].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let small = |from: usize| number(from, from + 4) as u32;
    (Frame { at: number(0, 8), length: small(16), page: small(20) }, number(8, 16))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// `None` for what does not exist.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> RecordingError {
    move |source| RecordingError { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_was_written_is_read_and_private_and_goes_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let all = FileRecordings::new(folder.path().join("recordings"));
        let (id, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_eq!(all.sessions().unwrap(), []);
        let sink = all.create(&id).unwrap();
        sink.frame(5, 1, b"first").unwrap();
        sink.frame(1 << 40, 2, b"second picture").unwrap();
        sink.line("{\"a\":1}").unwrap();
        sink.line("{\"b\":2}").unwrap();
        let summary = all.summary(&id).unwrap().unwrap();
        assert_eq!(summary.frames[1], Frame { at: 1 << 40, page: 2, length: 14 });
        assert_eq!((summary.frames.len(), summary.event_bytes, summary.full), (2, 16, false));
        assert_eq!(all.frame(&id, 0).unwrap().unwrap(), b"first");
        assert_eq!(all.frame(&id, 1).unwrap().unwrap(), b"second picture");
        assert_eq!((all.frame(&id, 2).unwrap(), all.frame(&id, u64::MAX).unwrap()), (None, None));
        sink.full().unwrap();
        assert!(all.summary(&id).unwrap().unwrap().full);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&all.of(&id)), 0o700);
        assert!([EVENTS, FRAMES, INDEX].iter().all(|name| mode(&all.of(&id).join(name)) == 0o600));
        assert_eq!(all.sessions().unwrap(), std::slice::from_ref(&id));
        assert_eq!(all.summary(&other).unwrap(), None);
        all.remove(&other).unwrap();
        all.remove(&id).unwrap();
        assert_eq!((all.summary(&id).unwrap(), all.sessions().unwrap()), (None, vec![]));
    }

    #[test]
    fn events_come_in_whole_lines_and_an_unfinished_one_does_not_come() {
        let folder = tempfile::tempdir().unwrap();
        let all = FileRecordings::new(folder.path().to_owned());
        let id = SessionId::random().unwrap();
        let sink = all.create(&id).unwrap();
        sink.line("first").unwrap();
        sink.line("second").unwrap();
        create(&all.of(&id).join(EVENTS)).unwrap().write_all(b"thi").unwrap();
        let events = |offset, limit| all.events(&id, offset, limit).unwrap().unwrap();
        assert_eq!(events(0, 1000), b"first\nsecond\n");
        assert_eq!(events(0, 8), b"first\n");
        assert_eq!(events(0, 1), b"first\n");
        assert_eq!(events(6, 8), b"second\n");
        assert_eq!((events(13, 8), events(99, 8)), (vec![], vec![]));
    }
}
