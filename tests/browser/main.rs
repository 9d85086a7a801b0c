//! The browser tier against a real Chromium: what it does inside its walls, and what it cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure in one is a failed test"
)]

mod attacks_brw;
mod attacks_canary;
mod attacks_caps;
mod attacks_cdp;
mod attacks_controls;
mod attacks_dns;
mod attacks_inside;
mod attacks_iso;
mod attacks_iso_leaks;
mod attacks_names;
mod attacks_net;
mod attacks_proxy;
mod attacks_world;
mod cdp_backend;
mod cdp_clients;
mod cdp_protocol;
mod cdp_rig;
mod jail_alive;
mod jail_walls;
mod recording;
mod rules;
mod streams_audit;
