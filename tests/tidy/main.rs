//! The tree against its own rules: layering, sizes of files, documents that must agree with what is there.
//!
//! Nothing is built and nothing is started: every test reads files. What a compiler, clippy or cargo-deny already enforces is
//! not repeated here; nor what lives beside the code: the operations table against the service model (gateway), and the
//! policy fields against `policies/README.md` (core).
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a failure here is a failed test")]

mod attacks;
mod documents;
mod files;
mod layers;
mod schema;
mod supply;
mod tree;
mod walls;
