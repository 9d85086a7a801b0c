//! The process tier against the real kernel: what a session does, and what it cannot do.

mod session;
mod start;
