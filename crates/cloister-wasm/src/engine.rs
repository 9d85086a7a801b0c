//! The engine's settings: as few features of WebAssembly as the interpreter needs, and every limit set.
//!
//! The settings are part of the compiled artifact (wasmtime refuses one that was made with others), so that there is one function for
//! both the compiling and the running side.

use crate::memory::{Creator, Memories};
use std::sync::Arc;
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm, WasmBacktraceDetails};

/// Native stack of WebAssembly code. CPython's own guard against recursion fires long before (measured: 3.13's counter).
pub const WASM_STACK: usize = 4 << 20;
/// Stack of threads that run guests: more than [`WASM_STACK`], for host functions run on it as well. With equal sizes, a guest at its
/// limit inside of a host call would end the whole process (wasm.md; a test runs the line of Python that does it elsewhere).
pub const THREAD_STACK: usize = WASM_STACK + (4 << 20);

/// The engine. Memories come from `memories`.
pub fn engine(memories: &Arc<Memories>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .with_host_memory(Arc::new(Creator(Arc::clone(memories))))
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_may_move(false)
        // Nothing runs on such a stack here; wasmtime wants the two to agree.
        .async_stack_size(THREAD_STACK)
        .max_wasm_stack(WASM_STACK)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        // A guest's traceback is Python's; ours would cost time at every trap.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_simd(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_extended_const(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false);
    Engine::new(&config)
}
