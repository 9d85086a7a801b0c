//! Recordings without a disk.

use crate::id::SessionId;
use crate::lock::lock;
use crate::recording::{Frame, RecordingError, RecordingSink, Recordings, Summary};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
struct Kept {
    frames: Vec<(Frame, Vec<u8>)>,
    events: Vec<u8>,
    full: bool,
}

#[derive(Debug, Default)]
struct Sink(Mutex<Kept>);

/// The test double of a server's recordings. It forgets nothing but what is removed.
#[derive(Debug, Default)]
pub struct MemoryRecordings(Mutex<BTreeMap<String, Arc<Sink>>>);

impl RecordingSink for Sink {
    fn line(&self, line: &str) -> Result<(), RecordingError> {
        let events = &mut lock(&self.0).events;
        events.extend_from_slice(line.as_bytes());
        events.push(b'\n');
        Ok(())
    }

    fn frame(&self, at: u64, page: u32, jpeg: &[u8]) -> Result<(), RecordingError> {
        let length = u32::try_from(jpeg.len()).unwrap_or(u32::MAX);
        lock(&self.0).frames.push((Frame { at, page, length }, jpeg.to_vec()));
        Ok(())
    }

    fn full(&self) -> Result<(), RecordingError> {
        lock(&self.0).full = true;
        Ok(())
    }
}

impl MemoryRecordings {
    fn of(&self, id: &SessionId) -> Option<Kept> {
        let sink = lock(&self.0).get(id.as_str()).cloned()?;
        let kept = lock(&sink.0).clone();
        Some(kept)
    }
}

impl Recordings for MemoryRecordings {
    fn create(&self, id: &SessionId) -> Result<Arc<dyn RecordingSink>, RecordingError> {
        let sink = Arc::<Sink>::default();
        lock(&self.0).insert(id.to_string(), Arc::clone(&sink));
        Ok(sink)
    }

    fn contains(&self, id: &SessionId) -> Result<Option<()>, RecordingError> {
        Ok(lock(&self.0).get(id.as_str()).map(|_| ()))
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Summary>, RecordingError> {
        Ok(self.of(id).map(|kept| Summary {
            frames: kept.frames.iter().map(|(frame, _)| *frame).collect(),
            event_bytes: kept.events.len() as u64,
            full: kept.full,
        }))
    }

    fn frame(&self, id: &SessionId, number: u64) -> Result<Option<Vec<u8>>, RecordingError> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        Ok(self.of(id).and_then(|kept| kept.frames.get(at).map(|(_, jpeg)| jpeg.clone())))
    }

    fn events(&self, id: &SessionId, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, RecordingError> {
        let (offset, limit) = (usize::try_from(offset).unwrap_or(usize::MAX), limit.max(1) as usize);
        Ok(self.of(id).map(|kept| {
            let rest = kept.events.get(offset..).unwrap_or_default();
            let mut end = 0;
            for line in rest.split_inclusive(|byte| *byte == b'\n') {
                if end > 0 && end + line.len() > limit {
                    break;
                }
                end += line.len();
            }
            rest[..end].to_vec()
        }))
    }

    fn sessions(&self) -> Result<Vec<SessionId>, RecordingError> {
        Ok(lock(&self.0).keys().filter_map(|id| SessionId::parse(id)).collect())
    }

    fn remove(&self, id: &SessionId) -> Result<(), RecordingError> {
        lock(&self.0).remove(id.as_str());
        Ok(())
    }
}
