//! cloister: a code interpreter of your own.
//!
//! ```text
//!   cli ──┬─ serve ─▶ data_dir · config · policies · access · keys ─▶ registry (backends) ─▶ SessionManager ─▶ gateway
//!         │                                                       └─ egress (the proxy that sandboxes see)
//!         ├─ run · exec · ls · cp · stop ─▶ client ─▶ the native door of a running server
//!         └─ env · doctor · policy · image · version
//! ```
//!
//! INVARIANT: `main` starts no thread. The server does its set-up first and its runtime afterwards.
#![forbid(unsafe_code)]

mod access;
mod audit;
mod cli;
mod client;
mod config;
mod data_dir;
mod egress;
mod keys;
mod locate;
mod output;
mod policies;
mod receipts;
mod recordings;
mod registry;
mod reload;
mod served;
mod store_sqlite;
mod telemetry;
mod terminal;
mod tls;

fn main() -> std::process::ExitCode {
    cli::main()
}
