//! The real server as a process of its own, and what happens to it and to its sessions when something is killed, full or used up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]
#![allow(unreachable_pub, reason = "the modules of a test are its whole world")]
#![allow(missing_docs, reason = "names of tests are sentences")]

use cloister_tests::{host, needs, server};

mod audit;
mod crashes;
mod denials;
mod downloads;
mod egress;
mod kept;
mod keys;
mod learn;
mod lent;
mod limits;
mod mirror;
mod packages;
mod policies;
mod programs;
mod quotas;
mod receipts;
mod secrets;
mod swept;
