//! Splits an interpreter's module into code and first memory: sessions get their memory from an image and not from data segments.
//!
//! ```text
//!   python.wasm ─▶ code.wasm (the same without data) + memory (what its data segments would have written)
//! ```
//!
//! That way the compiled code does not depend on what is in memory: every worker process can take an image of its own, with hash seeds
//! of its own, and compiles nothing.

use std::ops::Range;
use wasm_encoder::{Module, RawSection};
use wasmparser::{DataKind, ExternalKind, Operator, Parser, Payload};

/// Bytes of a page of WebAssembly.
pub const WASM_PAGE: usize = 65536;
/// A module that begins with more memory is no interpreter of ours.
const MOST: usize = 256 << 20;

/// A module in two parts.
#[derive(Debug)]
pub struct Split {
    /// The module without data.
    pub code: Vec<u8>,
    /// The memory that it begins with.
    pub memory: Vec<u8>,
}

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// It is not WebAssembly.
    #[error("the interpreter's module cannot be read: {0}")]
    Parse(#[from] wasmparser::BinaryReaderError),
    /// It is not of the kind that sessions can be made of.
    #[error("the interpreter's module {0}")]
    Kind(&'static str),
}

/// Splits `module`. It must have one memory of its own, no start function, and state in no other place than its memory and its exported
/// `__stack_pointer`: nothing else is part of an image.
pub fn split(module: &[u8]) -> Result<Split, SplitError> {
    let mut out = Module::new();
    let (mut memory, mut mutable, mut exported) = (None, 0usize, false);
    let keep = |out: &mut Module, id: u8, range: Range<usize>| {
        out.section(&RawSection { id, data: module.get(range).unwrap_or_default() });
    };
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::StartSection { .. } => return Err(SplitError::Kind("has a start function")),
            Payload::MemorySection(reader) => {
                let types = reader.clone().into_iter().collect::<Result<Vec<_>, _>>()?;
                let [only] = types.as_slice() else {
                    return Err(SplitError::Kind("must have exactly one memory"));
                };
                let bytes = usize::try_from(only.initial).ok().and_then(|pages| pages.checked_mul(WASM_PAGE));
                let bytes = bytes.filter(|bytes| *bytes <= MOST && !only.memory64 && !only.shared);
                memory = Some(vec![0; bytes.ok_or(SplitError::Kind("has a memory of another kind"))?]);
            }
            Payload::GlobalSection(reader) => {
                for global in reader.clone() {
                    mutable += usize::from(global?.ty.mutable);
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader.clone() {
                    let export = export?;
                    exported |= export.name == "__stack_pointer" && export.kind == ExternalKind::Global;
                }
            }
            Payload::DataCountSection { .. } => continue,
            Payload::DataSection(reader) => {
                for segment in reader.clone() {
                    let segment = segment?;
                    let memory = memory.as_mut().ok_or(SplitError::Kind("has data and no memory"))?;
                    let DataKind::Active { offset_expr, .. } = &segment.kind else {
                        return Err(SplitError::Kind("has passive data, which an image does not hold"));
                    };
                    let mut operators = offset_expr.get_operators_reader();
                    let Operator::I32Const { value } = operators.read()? else {
                        return Err(SplitError::Kind("has data at an address that is not constant"));
                    };
                    let at = value.cast_unsigned() as usize;
                    let place = at.checked_add(segment.data.len()).and_then(|end| memory.get_mut(at..end));
                    let place = place.ok_or(SplitError::Kind("has data outside of its memory"))?;
                    place.copy_from_slice(segment.data);
                }
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            // Names and producers: of no use at run time.
            if id != 0 {
                keep(&mut out, id, range);
            }
        }
    }
    if mutable != 1 || !exported {
        return Err(SplitError::Kind("has state in globals other than an exported __stack_pointer"));
    }
    let memory = memory.ok_or(SplitError::Kind("has no memory"))?;
    Ok(Split { code: out.finish(), memory })
}
