//! The functions that guests can call: preview 1 as `wasi` lists it, and two of our own. There are no others.

use crate::output::EVENT;
use crate::state::{Cell, Early, State};
use crate::wasi::{self, Host, Stop, Stream, Wasi};
use crate::wasi_functions;
use wasmtime::{Caller, Linker};

/// The module of our own functions.
const MODULE: &str = "cloister";
/// Bytes of an event's blob: as on a cell channel.
const BLOB: u32 = 8 << 20;
/// `EFAULT` and `E2BIG` of WASI.
const FAULT: i32 = 21;
const TOO_BIG: i32 = 1;

/// The guest's memory, and the two halves of the session.
fn parts<'a>(
    caller: &'a mut Caller<'_, State>,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Wasi, &'a mut Cell)> {
    let memory =
        caller.data().memory.ok_or_else(|| wasmtime::Error::msg("a host call before there is a memory"))?;
    let (bytes, state) = memory.data_and_store_mut(caller);
    Ok((bytes, &mut state.wasi, &mut state.cell))
}

macro_rules! define {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        fn preview1(linker: &mut Linker<State>) -> wasmtime::Result<()> {
            $(
                linker.func_wrap(
                    wasi::MODULE,
                    stringify!($name),
                    |mut caller: Caller<'_, State>, $($argument: $type),*| -> wasmtime::Result<$result> {
                        let (memory, wasi, cell) = parts(&mut caller)?;
                        let answer = wasi::calls::$name(wasi, cell, memory, $($argument),*)?;
                        files(caller.data_mut())?;
                        interrupt(&mut caller);
                        Ok(answer)
                    },
                )?;
            )*
            Ok(())
        }
    };
}
wasi_functions!(define);

/// Trips the guest's signal if a sleep was ended before its time: to the guest it looks like one that was slept to its end, and it must
/// not go on as if it had been.
fn interrupt(caller: &mut Caller<'_, State>) {
    let state = caller.data_mut();
    if state.cell.woken != Early::Untold {
        return;
    }
    state.cell.woken = Early::Told;
    if let Some((memory, signals)) = state.memory.zip(state.signals) {
        signals.trip(memory.data_mut(caller));
    }
}

/// Files are memory of the process: what they grow by is taken from the same budget.
fn files(state: &mut State) -> Result<(), Stop> {
    let bytes = state.wasi.view.usage().bytes;
    if state.share.holds_files(bytes) { Ok(()) } else { Err(Stop::Budget) }
}

/// Defines every function.
pub fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    preview1(linker)?;
    linker.func_wrap(MODULE, "emit", emit)?;
    linker.func_wrap(MODULE, "event", event)?;
    Ok(())
}

fn slice(memory: &[u8], at: i32, length: u32) -> Option<&[u8]> {
    let at = at.cast_unsigned() as usize;
    memory.get(at..at.checked_add(length as usize)?)
}

/// Bytes of a stream: 1 is stdout, 2 is stderr.
fn emit(mut caller: Caller<'_, State>, kind: i32, at: i32, length: i32) -> wasmtime::Result<i32> {
    let (memory, _, cell) = parts(&mut caller)?;
    let Some(bytes) = slice(memory, at, length.cast_unsigned()) else { return Ok(FAULT) };
    let stream = if kind == 1 { Stream::Stdout } else { Stream::Stderr };
    cell.write(stream, bytes)?;
    Ok(0)
}

/// A driver's event: JSON and a blob.
fn event(
    mut caller: Caller<'_, State>,
    json: i32,
    json_length: i32,
    blob: i32,
    blob_length: i32,
) -> wasmtime::Result<i32> {
    let (memory, _, cell) = parts(&mut caller)?;
    let (json_length, blob_length) = (json_length.cast_unsigned(), blob_length.cast_unsigned());
    if json_length as usize > EVENT || blob_length > BLOB {
        return Ok(TOO_BIG);
    }
    let (Some(json), Some(blob)) = (slice(memory, json, json_length), slice(memory, blob, blob_length))
    else {
        return Ok(FAULT);
    };
    // Nobody listens while the interpreter comes up.
    if let Some(output) = &mut cell.output {
        output.event(json, blob);
    }
    Ok(0)
}
