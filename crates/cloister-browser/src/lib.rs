//! Chromium sessions over the debugging pipe.
//!
//! ```text
//!   Chromium ◀── descriptor 3 ── transport ◀── writer queue ◀─┬── Connection::call (ours: pages, actions, watchdog)
//!      └─────── descriptor 4 ──▶ transport ──▶ Mux: whose? ───┤
//!                                                             └── broker: CDP clients, each behind the filter
//! ```
//!
//! INVARIANT: no message of a client reaches the pipe but through `filter`, and none is copied there byte for byte at the top
//! level: what the filter has read is what Chromium reads.
#![forbid(unsafe_code)]

mod access;
mod actions;
mod backend;
mod blob;
mod broker;
mod browser;
mod call_error;
mod connection;
mod downloads;
mod envelope;
mod events;
mod files;
mod filter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod launch;
mod mux;
mod page;
mod pages;
mod pool;
mod recorder;
mod tab;
mod transport;
#[cfg(test)]
mod trial;

pub use backend::{BrowserConfig, ChromiumBackend};
pub use call_error::CallError;
pub use connection::Connection;
pub use downloads::{Download, DownloadState, Downloads};
pub use events::{CdpEvent, Events, LAGGED};
pub use filter::{Table, may_open};
