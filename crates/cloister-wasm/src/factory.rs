//! Makes guests: brings the interpreter up once, takes the image of its memory, and starts every session from there.
//!
//! ```text
//!   code + first memory ─▶ instance ─ k_init, k_warm ─▶ image ─▶ Memories
//!                                                        │
//!   session: instance of the same code over the image ◀──┘  + a view of its own + k_reseed
//! ```
//!
//! The image holds the seed of the string hash. Each process takes its own, so that no two principals have the same one.

use crate::budget::{Budget, Share};
use crate::control::Control;
use crate::delta::{self, Delta};
use crate::guest::{self, Death, Guest};
use crate::history::{CHEAP, Snapshot};
use crate::link;
use crate::memory::{Mapped, Memories, PAGE, give_back, populate};
use crate::pages::{self, Pagemap};
use crate::state::{Cell, Signals, State};
use crate::ticker::Ticker;
use crate::view::{Base, Config, Limits, View};
use crate::wasi::Wasi;
use cloister_jail::guest::engine::{EngineOrder, Room, Terms};
use cloister_jail::plan::NOTICES;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use wasmtime::{Engine, InstancePre, Linker, Store};

/// Directories of a session besides its workspace.
const TMP: &str = "/tmp";
/// Where the image's files are.
const LIB: &str = "/lib";
/// Bytes of the seed of a session.
const SEED: usize = 32;

/// Why no guest can be made.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// The engine.
    #[error("the engine: {0}")]
    Engine(#[from] wasmtime::Error),
    /// A file of the image, or a call of the kernel.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The interpreter did not come up.
    #[error("the interpreter did not come up: {0}")]
    Interpreter(String),
    /// There is no room for one more.
    #[error("the engine has no memory left for one more session")]
    Full,
}

/// Makes guests.
pub struct Factory {
    /// Of all guests.
    pub engine: Engine,
    pre: InstancePre<State>,
    memories: Arc<Memories>,
    pagemap: Pagemap,
    /// What sessions' files begin as.
    view: View,
    /// The interpreter's words for signals.
    signals: Signals,
    /// Its stack pointer at rest.
    rest: i32,
    budget: Arc<Budget>,
    /// Pages that every first call writes to, once they are known.
    hot: OnceLock<Vec<Range<usize>>>,
    /// Moves time while guests run.
    pub ticker: Ticker,
    /// Version of the interpreter, and how long it took to come up.
    pub version: String,
    /// See [`Self::version`].
    pub took: std::time::Duration,
}

/// Where the artifacts are.
#[derive(Clone, Copy, Debug)]
pub struct Artifacts<'a> {
    /// Compiled code.
    pub code: &'a Path,
    /// The first memory.
    pub memory: &'a Path,
    /// Packed files.
    pub library: &'a Path,
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> FactoryError {
    move |source| FactoryError::System { what, source }
}

impl Factory {
    /// Brings the interpreter up as `begin` says.
    pub fn new(
        engine: Engine,
        memories: Arc<Memories>,
        artifacts: Artifacts<'_>,
        begin: &Begin,
    ) -> Result<Self, FactoryError> {
        let started = Instant::now();
        let pagemap = Pagemap::open().map_err(system("open the page map"))?;
        let module = crate::artifact::load(&engine, artifacts.code)?;
        let first = std::fs::read(artifacts.memory).map_err(system("read the first memory"))?;
        let library = Mapped::open(artifacts.library).map_err(system("map the library"))?;
        let base = Base::open(Arc::new(library)).map_err(|e| FactoryError::Interpreter(e.to_string()))?;
        let notices = Base::of_files(&begin.notices).map_err(|e| FactoryError::Interpreter(e.to_string()))?;
        let mut linker = Linker::new(&engine);
        link::define(&mut linker)?;
        let pre = linker.instantiate_pre(&module)?;
        let config = Config {
            mounts: vec![(LIB.into(), Arc::new(base)), (NOTICES.into(), Arc::new(notices))],
            writable: vec![begin.workspace.clone(), begin.home.clone(), TMP.into()],
            workspace: begin.workspace.clone(),
            limits: Limits { bytes: 1 << 20, inodes: 256, file_bytes: 1 << 20, open_files: 64 },
        };
        let view = View::new(&config, 0).map_err(|e| FactoryError::Interpreter(e.to_string()))?;
        let ticker = Ticker::start(engine.clone()).map_err(system("start the ticker"))?;
        let mut this = Self {
            engine,
            ticker,
            pre,
            memories,
            pagemap,
            view,
            signals: Signals { tripped: 0, any: 0, breaker: 0, bit: 0 },
            rest: 0,
            budget: Budget::new(begin.room.memory),
            hot: OnceLock::new(),
            version: String::new(),
            took: started.elapsed(),
        };
        this.bring_up(&first, &begin.env)?;
        this.learn()?;
        this.took = started.elapsed();
        Ok(this)
    }

    /// Runs the interpreter's own start, and takes the image.
    fn bring_up(&mut self, first: &[u8], env: &[(String, String)]) -> Result<(), FactoryError> {
        let control = Arc::new(Control::default());
        control.begin(Instant::now() + guest::COMING_UP, std::time::Duration::ZERO);
        let share = Share::new(&self.budget, u64::from(u32::MAX), 0).ok_or(FactoryError::Full)?;
        let state = State {
            wasi: Wasi::new(self.view.clone(), crate::wasi::Budget::new(u64::MAX)),
            cell: Cell::new(control),
            share,
            memory: None,
            signals: None,
        };
        let mut store = self.store(state);
        let instance = self.pre.instantiate(&mut store)?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| FactoryError::Interpreter("it exports no memory".into()))?;
        store.data_mut().memory = Some(memory);
        let place = memory.data_mut(&mut store).get_mut(..first.len());
        place
            .ok_or_else(|| FactoryError::Interpreter("its memory is too small".into()))?
            .copy_from_slice(first);
        let stack = instance
            .get_global(&mut store, "__stack_pointer")
            .ok_or_else(|| FactoryError::Interpreter("it exports no stack pointer".into()))?;
        let rest = stack.get(&mut store).i32().unwrap_or_default();

        instance.get_typed_func::<(), ()>(&mut store, "_initialize")?.call(&mut store, ())?;
        let mut text = Vec::new();
        let seed = random_u32();
        for (name, value) in
            env.iter().map(|(n, v)| (n.as_str(), v.clone())).chain([("PYTHONHASHSEED", seed)])
        {
            text.extend_from_slice(format!("{name}={value}\0").as_bytes());
        }
        let alloc = instance.get_typed_func::<u32, u32>(&mut store, "k_alloc")?;
        let free = instance.get_typed_func::<u32, ()>(&mut store, "k_free")?;
        let at = alloc.call(&mut store, u32::try_from(text.len().max(64)).unwrap_or(64))?;
        let write = |e: wasmtime::MemoryAccessError| FactoryError::Interpreter(e.to_string());
        memory.write(&mut store, at as usize, &text).map_err(write)?;
        let init = instance.get_typed_func::<(u32, u32), i32>(&mut store, "k_init")?;
        let status = init.call(&mut store, (at, u32::try_from(text.len()).unwrap_or(0)))?;
        check("k_init", status, &store)?;
        let meta = instance.get_typed_func::<u32, i32>(&mut store, "k_meta");
        match meta {
            Ok(meta) => drop(meta.call(&mut store, at)?),
            Err(_) => instance.get_typed_func::<u32, ()>(&mut store, "k_meta")?.call(&mut store, at)?,
        }
        let mut words = [[0u8; 4]; 4];
        for (n, word) in words.iter_mut().enumerate() {
            memory.read(&store, at as usize + 4 * n, word).map_err(write)?;
        }
        let [tripped, any, breaker, bit] = words.map(u32::from_le_bytes);
        self.signals = Signals { tripped, any, breaker, bit };
        free.call(&mut store, at)?;
        let status = instance.get_typed_func::<(), i32>(&mut store, "k_warm")?.call(&mut store, ())?;
        check("k_warm", status, &store)?;

        if stack.get(&mut store).i32() != Some(rest) {
            return Err(FactoryError::Interpreter("its stack is not at rest".into()));
        }
        self.rest = rest;
        self.view = store.data().wasi.view.clone();
        self.memories.set_image(memory.data(&store)).map_err(system("make the image"))?;
        Ok(())
    }

    /// Runs a first call in a guest of its own, to see which pages it writes to.
    fn learn(&mut self) -> Result<(), FactoryError> {
        let terms = Terms {
            memory: u64::from(u32::MAX),
            disk: 1 << 20,
            inodes: 256,
            file_bytes: 1 << 20,
            open_files: 64,
            stream: 1024,
            display: 1024,
            displays: 1,
            files: 0,
            grace_ms: 0,
            checkpoint: cloister_jail::guest::engine::Keep::Nothing,
        };
        let control = Arc::new(Control::default());
        control.begin(Instant::now() + guest::COMING_UP, std::time::Duration::ZERO);
        let mut guest = self.guest(&terms, control)?;
        let run = r#"{"op":"run","id":"learn","language":"python","clear":false,"memory":0,"display":1024,"displays":1}"#;
        let code = "import sys as _s\nprint(_s.version.split()[0], file=_s.stderr)\n1 + 1";
        guest.run(run.as_bytes(), code.as_bytes()).map_err(|e| FactoryError::Interpreter(e.to_string()))?;
        let said = String::from_utf8_lossy(&guest.store.data().cell.said).trim().to_owned();
        self.version = said;
        let written = self.pagemap.written(guest.bytes()).map_err(system("read the page map"))?;
        let _: Result<(), _> = self.hot.set(written);
        Ok(())
    }

    fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.share);
        guest::watch(&mut store);
        store
    }

    /// A new guest, with randomness of its own.
    pub fn guest(&self, terms: &Terms, control: Arc<Control>) -> Result<Guest, FactoryError> {
        let mut guest = self.bare(terms, control)?;
        self.refresh(&mut guest)?;
        Ok(guest)
    }

    /// A guest in the state of a snapshot. Its randomness is the snapshot's, and new where that is not the session's own: what the image
    /// would draw, every other session would.
    pub fn restored(
        &self,
        terms: &Terms,
        control: Arc<Control>,
        snapshot: &Snapshot,
    ) -> Result<Guest, FactoryError> {
        let mut guest = self.bare(terms, control)?;
        snapshot.apply(&mut guest).map_err(FactoryError::Interpreter)?;
        if snapshot.memory.is_none() || snapshot.inherited {
            self.refresh(&mut guest)?;
        }
        Ok(guest)
    }

    /// Gives a guest randomness that nobody else has.
    pub fn refresh(&self, guest: &mut Guest) -> Result<(), FactoryError> {
        let mut seed = [0; SEED];
        getrandom::fill(&mut seed).map_err(|e| FactoryError::Interpreter(e.to_string()))?;
        guest.reseed(&seed).map_err(|e: Death| FactoryError::Interpreter(e.to_string()))
    }

    /// A guest that is the image, with pages of its own where its first call will write.
    fn bare(&self, terms: &Terms, control: Arc<Control>) -> Result<Guest, FactoryError> {
        let image = self.memories.image_len();
        let share = Share::new(&self.budget, terms.memory, image).ok_or(FactoryError::Full)?;
        let state = State {
            wasi: Wasi::new(self.view.clone().limited(limits(terms)), crate::wasi::Budget::new(u64::MAX)),
            cell: Cell::new(control),
            share,
            memory: None,
            signals: Some(self.signals),
        };
        let mut store = self.store(state);
        let instance = self.pre.instantiate(&mut store)?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| FactoryError::Interpreter("it exports no memory".into()))?;
        store.data_mut().memory = Some(memory);
        if let Some(hot) = self.hot.get() {
            populate(memory.data_mut(&mut store), hot);
        }
        Ok(Guest::new(store, &instance, memory)?)
    }

    /// Reads a kept session.
    pub(crate) fn load(&self, terms: &Terms, from: &mut impl io::Read) -> io::Result<Snapshot> {
        Snapshot::load(from, &self.view.clone().limited(limits(terms)))
    }

    /// The pages that a guest does not share.
    pub(crate) fn written(&self, guest: &Guest) -> io::Result<Vec<Range<usize>>> {
        self.pagemap.written(guest.bytes())
    }

    /// What the memory of a guest at rest differs in from the image.
    pub(crate) fn delta(&self, guest: &Guest) -> io::Result<Delta> {
        Ok(Delta::of(guest.bytes(), self.memories.image(), &self.written(guest)?))
    }

    /// The same, unless much has to be looked through for it.
    pub(crate) fn delta_if_cheap(&self, guest: &Guest) -> io::Result<Option<Delta>> {
        let written = self.written(guest)?;
        let cheap = pages::count(&written) * PAGE <= CHEAP;
        Ok(cheap.then(|| Delta::of(guest.bytes(), self.memories.image(), &written)))
    }

    /// Gives back what a guest has written to and left as the image has it; the pages.
    pub(crate) fn trim(&self, guest: &mut Guest) -> io::Result<usize> {
        let unchanged = delta::unchanged(guest.bytes(), self.memories.image(), &self.written(guest)?);
        give_back(guest.memory.data_mut(&mut guest.store), &unchanged);
        Ok(pages::count(&unchanged))
    }

    /// Bytes of the image.
    pub fn image_len(&self) -> usize {
        self.memories.image_len()
    }
}

impl std::fmt::Debug for Factory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factory").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What an engine begins with.
#[derive(Clone, Debug)]
pub struct Begin {
    /// For all sessions.
    pub room: Room,
    /// Environment of guests.
    pub env: Vec<(String, String)>,
    /// Their working directory.
    pub workspace: String,
    /// Their home.
    pub home: String,
    /// What they are told of themselves: names and texts.
    pub notices: Vec<(String, String)>,
}

impl Begin {
    /// Takes it out of the first order.
    pub fn of(order: EngineOrder) -> Option<Self> {
        match order {
            EngineOrder::Begin { room, env, workspace, home, notices } => {
                Some(Self { room, env, workspace, home, notices })
            }
            _ => None,
        }
    }
}

fn limits(terms: &Terms) -> Limits {
    Limits {
        bytes: terms.disk,
        inodes: terms.inodes,
        file_bytes: terms.file_bytes,
        open_files: usize::try_from(terms.open_files).unwrap_or(usize::MAX),
    }
}

fn check(function: &str, status: i32, store: &Store<State>) -> Result<(), FactoryError> {
    if status == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&store.data().cell.said).into_owned();
    Err(FactoryError::Interpreter(format!("{function} gave {status}: {said}")))
}

fn random_u32() -> String {
    let mut bytes = [0; 4];
    // Without randomness nothing else would work either; zero would be CPython's "no randomisation".
    let _: Result<(), getrandom::Error> = getrandom::fill(&mut bytes);
    u32::from_le_bytes(bytes).max(1).to_string()
}
