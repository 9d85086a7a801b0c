//! The browser tier against a real Chromium: what it does inside its walls, and what it cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure in one is a failed test"
)]

mod cdp_backend;
mod cdp_clients;
mod cdp_rig;
mod jail_alive;
mod jail_walls;
