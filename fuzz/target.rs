//! One program per target, all of this file: the program's name says which.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloister_tests::fuzz::run(env!("CARGO_BIN_NAME"), data));
