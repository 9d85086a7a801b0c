//! What a session is asked: cells, file tools, and its kept states.

use crate::channel;
use crate::execute::Cell;
use crate::factory::Factory;
use crate::history::{History, KEPT, Rest, Snapshot};
use crate::lock;
use crate::session::{Place, Session};
use crate::view::View;
use cloister_jail::guest::engine::Keep;
use cloister_jail::guest::frame::CONTROL;
use cloister_jail::guest::message::{Reply, Request, ToolResult};
use std::io::{Seek, SeekFrom};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two looks at whether a session has come to rest.
const MOMENT: Duration = Duration::from_micros(200);
/// How often to look: a second of moments.
const MOMENTS: u32 = 5000;

/// What is said in the place of an answer that the channel does not carry.
const LONG: &str = "the answer is too long; ask for less at once";

impl Session {
    /// Does one request.
    pub(crate) fn request(&self, factory: &Factory, request: Request, blob: Vec<u8>) {
        let mut place = lock(&self.place);
        self.bring_back(factory, &mut place);
        match request {
            Request::Execute { id, runtime: _, language, clear, deadline_ms } => {
                self.execute(factory, &mut place, Cell { id, language, clear, deadline_ms, code: blob });
            }
            Request::Checkpoint { id } => self.done(id, self.checkpoint(factory, &place), b""),
            Request::Restore { id, checkpoint } => {
                let result = self.restore(factory, &mut place, checkpoint);
                self.done(id, result, b"");
            }
            Request::Warm => self.send(&Reply::Warmed, b""),
            Request::Read { id, paths } => self.read(id, &place, paths),
            Request::Write { id, files } => {
                let result = self.on_files(&mut place, |view| view.write_all(&files, &blob, now()));
                self.done(id, result, b"");
                self.settle(&mut place);
            }
            Request::List { id, path } => {
                let result = self.on_files(&mut place, |view| view.list(&path));
                self.done(id, result, b"");
            }
            Request::Remove { id, paths } => {
                let result = self.on_files(&mut place, |view| view.remove(&paths, now()));
                self.done(id, result, b"");
                self.settle(&mut place);
            }
            Request::Range { id, path, offset, length } => {
                let mut data = Vec::new();
                let result = self.on_files(&mut place, |view| match view.read_range(&path, offset, length) {
                    Ok((size, modified, bytes)) => {
                        data = bytes;
                        ToolResult::Range { size, modified }
                    }
                    Err(message) => ToolResult::Failed { message },
                });
                self.done(id, result, &data);
            }
            Request::Name { id, .. } => {
                let message = "downloads are a browser's, and are given their names there".into();
                self.done(id, ToolResult::Failed { message }, b"");
            }
            Request::Command { id, .. }
            | Request::TaskStart { id, .. }
            | Request::TaskGet { id, .. }
            | Request::TaskStop { id, .. } => {
                let message = "the wasm tier has no shell".into();
                self.done(id, ToolResult::Failed { message }, b"");
            }
            Request::Attach { .. } | Request::Interrupt | Request::Shutdown => {}
        }
    }

    fn on_files(&self, place: &mut Place, work: impl FnOnce(&mut View) -> ToolResult) -> ToolResult {
        match place {
            Place::Live(guest) => work(&mut guest.store.data_mut().wasi.view),
            Place::Gone(why) => ToolResult::Failed { message: why.clone() },
            Place::Evicted(_) => ToolResult::Failed { message: "the session is not in memory".into() },
        }
    }

    fn read(&self, id: String, place: &Place, paths: Vec<String>) {
        let mut room = CONTROL.blob;
        for path in paths {
            let found = match place {
                Place::Live(guest) => guest.store.data().wasi.view.read_whole(&path, room),
                Place::Gone(why) => Err(why.clone()),
                Place::Evicted(_) => Err("the session is not in memory".into()),
            };
            let (error, data) = match found {
                Ok(data) => (None, data),
                Err(why) => (Some(why), Vec::new()),
            };
            room -= data.len();
            self.send(&Reply::File { id: id.clone(), path, error }, &data);
        }
        self.done(id, ToolResult::Read, b"");
    }

    fn done(&self, id: String, result: ToolResult, blob: &[u8]) {
        self.send(&Reply::Done { id, result }, blob);
    }

    /// Sends a reply. What does not fit the channel would end it, so its reader is told that instead, as by init.
    fn send(&self, reply: &Reply, blob: &[u8]) {
        let mut frames = Vec::new();
        if channel::append(&mut frames, reply, blob).is_err() {
            let short = match reply {
                Reply::File { id, path, .. } => {
                    let path = path.chars().take(200).collect();
                    Reply::File { id: id.clone(), path, error: Some(LONG.into()) }
                }
                Reply::Done { id, .. } => {
                    Reply::Done { id: id.clone(), result: ToolResult::Failed { message: LONG.into() } }
                }
                _ => return,
            };
            frames.clear();
            if channel::append(&mut frames, &short, b"").is_err() {
                return;
            }
        }
        self.channel.send(&frames, &self.control);
    }

    fn checkpoint(&self, factory: &Factory, place: &Place) -> ToolResult {
        let failed = |message: String| ToolResult::Failed { message };
        let Place::Live(guest) = place else { return failed("the session is not in memory".into()) };
        let mut history = lock(&self.history);
        if history.kept.len() >= KEPT {
            return failed(format!("{KEPT} checkpoints are kept, which is the limit of one session"));
        }
        match Snapshot::take(factory, guest, &history.rest) {
            Ok(snapshot) => {
                history.count += 1;
                let (checkpoint, bytes) = (format!("checkpoint-{}", history.count), snapshot.bytes());
                history.kept.insert(checkpoint.clone(), snapshot);
                ToolResult::Checkpointed { checkpoint, bytes }
            }
            Err(error) => failed(format!("the state could not be kept: {error}")),
        }
    }

    fn restore(&self, factory: &Factory, place: &mut Place, checkpoint: Option<String>) -> ToolResult {
        let failed = |message: String| ToolResult::Failed { message };
        let snapshot = {
            let history = lock(&self.history);
            match &checkpoint {
                Some(name) => history.kept.get(name).cloned(),
                None => history.previous.clone(),
            }
        };
        let Some(snapshot) = snapshot else {
            return match checkpoint {
                Some(name) => ToolResult::Unknown { message: format!("there is no checkpoint {name}") },
                None => failed(
                    "there is no call to undo: none has run, or its state before was not kept (policy field \
                     `snapshots`)"
                        .into(),
                ),
            };
        };
        match factory.restored(&self.terms, Arc::clone(&self.control), &snapshot) {
            Ok(guest) => {
                *place = Place::Live(Box::new(guest));
                let mut history = lock(&self.history);
                history.rest = snapshot.rest();
                history.previous = None;
                ToolResult::Restored { checkpoint: checkpoint.unwrap_or_else(|| "previous".into()) }
            }
            Err(error) => {
                failed(format!("the state could not be restored, and the session is as it was: {error}"))
            }
        }
    }

    /// Brings a session back from its file.
    fn bring_back(&self, factory: &Factory, place: &mut Place) {
        let Place::Evicted(file) = place else { return };
        let loaded = file.seek(SeekFrom::Start(0)).and_then(|_| factory.load(&self.terms, file));
        let guest = loaded.map_err(|e| e.to_string()).and_then(|snapshot| {
            let guest = factory.restored(&self.terms, Arc::clone(&self.control), &snapshot);
            let guest = guest.map_err(|e| e.to_string())?;
            lock(&self.history).rest = snapshot.rest();
            Ok(guest)
        });
        *place = match guest {
            Ok(guest) => Place::Live(Box::new(guest)),
            Err(why) => Place::Gone(format!("the session could not be brought back from disk: {why}")),
        };
    }

    /// Writes the session to `file` and frees its memory; the bytes written. The state before its last call goes with it. A session with
    /// checkpoints stays: they are in memory only, and somebody has asked for them.
    pub(crate) fn evict(&self, factory: &Factory, mut file: std::fs::File) -> std::io::Result<Option<u64>> {
        let Some(mut place) = self.at_rest() else { return Ok(None) };
        if !lock(&self.history).kept.is_empty() {
            return Ok(None);
        }
        let Place::Live(guest) = &*place else { return Ok(Some(0)) };
        let mut history = lock(&self.history);
        let snapshot = Snapshot::take(factory, guest, &history.rest)?;
        let bytes = snapshot.save(&mut std::io::BufWriter::new(&mut file))?;
        *history = History { rest: Rest::Unknown, ..History::default() };
        *place = Place::Evicted(file);
        Ok(Some(bytes))
    }

    /// Its state, unless a cell is running. After a cell's answer it takes a moment until everything is put away, and whoever has read
    /// the answer may ask at once.
    fn at_rest(&self) -> Option<MutexGuard<'_, Place>> {
        for _ in 0..MOMENTS {
            if let Ok(place) = self.place.try_lock() {
                return Some(place);
            }
            if self.control.is_running() {
                return None;
            }
            std::thread::sleep(MOMENT);
        }
        None
    }

    /// A copy of the session, if it is at rest, and what is known of its memory.
    pub(crate) fn copied(
        &self,
        factory: &Factory,
        control: Arc<crate::control::Control>,
    ) -> Result<Option<(crate::guest::Guest, Rest)>, String> {
        let Some(mut place) = self.at_rest() else { return Ok(None) };
        self.bring_back(factory, &mut place);
        match &*place {
            Place::Live(guest) => {
                let snapshot = Snapshot::take(factory, guest, &lock(&self.history).rest);
                let snapshot = Snapshot { inherited: true, ..snapshot.map_err(|e| e.to_string())? };
                let guest = factory.restored(&self.terms, control, &snapshot).map_err(|e| e.to_string())?;
                let rest =
                    if self.terms.checkpoint == Keep::Nothing { Rest::Unknown } else { snapshot.rest() };
                Ok(Some((guest, rest)))
            }
            Place::Gone(why) => Err(why.clone()),
            Place::Evicted(_) => Err("the session is not in memory".into()),
        }
    }

    /// Takes from the budget what files and kept states have grown by, and drops kept states where there is no room for them.
    pub(crate) fn settle(&self, place: &mut Place) {
        let Place::Live(guest) = place else { return };
        let mut history = lock(&self.history);
        let state = guest.store.data_mut();
        let files = state.wasi.view.usage().bytes;
        if !state.share.holds(files + history.bytes()) {
            history.previous = None;
            history.rest = Rest::Unknown;
            history.kept.clear();
            state.share.holds(files);
        }
    }

    /// Frees everything that it holds.
    pub(crate) fn empty(&self) {
        *lock(&self.place) = Place::Gone("the session is closed".into());
        *lock(&self.history) = History::default();
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
