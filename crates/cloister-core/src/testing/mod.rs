//! Test doubles for everything above a backend and a store: a backend without isolation, and a store without a disk.
//!
//! They keep the contracts of [`crate::backend`] and [`crate::store`] and run no guest code, so the gateway, the manager
//! and the command line can be tested without namespaces. They are compiled in but registered by no server.

mod fake_backend;
mod fake_browser;
mod fake_browser_backend;
mod fake_history;
mod fake_interpreter;
mod fake_page;
mod memory_audit;
mod memory_recordings;
mod memory_store;
mod script;
mod store_contract;

#[cfg(debug_assertions)]
pub use crate::session::owner::left_out::leave_out_owner_check;
pub use fake_backend::{FakeBackend, Fakes};
pub use fake_browser_backend::{FakeBrowserBackend, FakeBrowsers};
pub use memory_audit::MemoryAudit;
pub use memory_recordings::MemoryRecordings;
pub use memory_store::MemoryStore;
pub use store_contract::{check_store, stored};
