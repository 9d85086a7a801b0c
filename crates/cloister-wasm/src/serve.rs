//! An engine from its first order to its end.
//!
//! ```text
//!   Begin ─▶ interpreter up, image taken ─▶ the second filter ─▶ Ready ─▶ crew
//! ```

use crate::crew::Crew;
use crate::engine::{THREAD_STACK, engine};
use crate::factory::{Artifacts, Begin, Factory};
use crate::memory::Memories;
use crate::orders::Orders;
use crate::prepare::{CODE, LIBRARY, MEMORY};
use cloister_jail::guest::engine::EngineAnswer;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Where init has put the server's socket.
const SOCKET: i32 = 3;
/// The session of answers that are about none.
const NONE: u64 = 0;

/// Runs until the server goes away.
pub fn serve() -> io::Result<()> {
    let socket = cloister_jail::inherited(SOCKET).ok_or_else(|| {
        io::Error::other("descriptor 3 is no socket of a server; it is started by the server only")
    })?;
    let orders = Orders::new(socket);
    let Some((order, _)) = orders.receive()? else { return Ok(()) };
    let Some(begin) = Begin::of(order) else {
        return Err(io::Error::other("the first order is not the one that an engine begins with"));
    };
    // The interpreter wants the stack that guests have.
    let come_up = std::thread::Builder::new().stack_size(THREAD_STACK);
    let room = begin.room;
    let come_up = come_up.spawn(move || {
        let memories = Arc::new(Memories::default());
        let root = Path::new("/");
        let (code, memory, library) = (root.join(CODE), root.join(MEMORY), root.join(LIBRARY));
        let artifacts = Artifacts { code: &code, memory: &memory, library: &library };
        let engine = engine(&memories).map_err(|e| e.to_string())?;
        Factory::new(engine, memories, artifacts, &begin).map_err(|e| e.to_string())
    })?;
    let factory =
        match come_up.join().map_err(|_| io::Error::other("the interpreter's thread has panicked"))? {
            Ok(factory) => factory,
            Err(why) => {
                orders.refuse(NONE, cloister_jail::guest::engine::Refusal::Failed, why.clone());
                return Err(io::Error::other(why));
            }
        };
    let ready = EngineAnswer::Ready {
        version: factory.version.clone(),
        image: factory.image_len() as u64,
        took_us: u64::try_from(factory.took.as_micros()).unwrap_or(u64::MAX),
    };
    let crew = Crew::new(orders, Arc::new(factory), room)?;
    confine()?;
    crew.orders().answer(&ready);
    Arc::new(crew).run()
}

/// The second filter, once everything has been opened, mapped and loaded: no file can be opened any more, no program started, and no
/// memory made executable. It holds for every thread.
fn confine() -> io::Result<()> {
    let filters = cloister_jail::seccomp::compile(CALLS).map_err(io::Error::other)?;
    cloister_jail::seccomp::install(&filters)?;
    Ok(())
}

/// What an engine may call from then on, with a reason on every line.
const CALLS: &str = include_str!("../../../policies/seccomp/engine.json");
