//! The gateway over a real socket, with the fake backend behind it: every operation, every kind of error, and
//! what hostile or careless clients do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]
#![allow(unreachable_pub, reason = "the modules of a test are its whole world")]
#![allow(missing_docs, reason = "names of tests are sentences")]

mod access;
mod attacks;
mod audit;
mod auth;
mod aws;
mod browser;
mod browser_actions;
mod browser_native;
mod browser_streams;
mod careless;
mod door;
mod errors;
mod files;
mod idempotency;
mod invoke;
mod keys;
mod live_view;
mod native;
mod ownership;
mod quotas;
mod recording;
mod server;
mod sessions;
mod shutdown;
mod snapshots;
mod streams;
