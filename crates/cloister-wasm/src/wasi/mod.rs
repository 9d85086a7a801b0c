//! The functions of WASI preview 1 over a file view: every one enumerated, typed, and checked against the guest's memory.
