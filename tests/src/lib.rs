//! Support for the tests: what a test needs of the host, a rig around the process backend, and the check that nothing is left.

pub mod browser;
pub mod calls;
pub mod far;
#[cfg(not(test))]
pub mod fuzz;
pub mod host;
pub mod leftovers;
pub mod needs;
pub mod rig;
pub mod server;
pub mod tiers;
