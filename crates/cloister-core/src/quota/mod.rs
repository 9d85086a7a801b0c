//! Quotas: what a principal and its tenant may use, and what they have used.
//!
//! ```text
//!   a start ──Book::admit──▶ sessions · starts · CPU · stored bytes, each of the principal and of its tenant ──▶ Seat, or why not
//!   a call  ──Book::admit_call──▶ CPU        ──Meter──▶ what it used, whatever becomes of it
//!   a recording that ended ──Book::keep──▶ its bytes, until it is removed
//! ```
//!
//! The server's own bound ([`crate::session::ManagerConfig::max_sessions`]) stands behind all of them. What is counted:
//!
//! | quota | counted | after a restart |
//! |---|---|---|
//! | sessions | live sessions, those that start and stop included | from zero: no session survives one |
//! | starts per minute | starts that were let in, within 60 s, whether or not they came up | from zero |
//! | CPU time | what sessions have used, within 24 h | as it was, but for the last seconds before a crash |
//! | stored bytes | recordings, and what recordings that are being made may grow to | as it is on disk |
//!
//! A sandbox with a group of its own is counted as a whole, with or without a call. Elsewhere a call is counted by what it reports;
//! where the tier cannot say, and where a call ends without a report, by the time that it took. A retry that finds the answer of the first attempt uses nothing.

mod account;
mod book;
mod limits;
mod refused;
#[cfg(test)]
mod tests;

pub(crate) use book::Unsaved;
pub use book::{Book, Meter, Seat};
pub use limits::{Limits, Quotas};
pub(crate) use refused::UsedUp;

use crate::id::Principal;
use std::time::Duration;

/// Which of the quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Live sessions.
    Sessions,
    /// Starts within a minute.
    Starts,
    /// Seconds of CPU time within 24 hours.
    Cpu,
    /// Bytes that the server keeps.
    Stored,
}

impl Quota {
    /// Every quota.
    pub const ALL: [Self; 4] = [Self::Sessions, Self::Starts, Self::Cpu, Self::Stored];

    /// Its name in answers; in the configuration `stored_bytes` is `stored_mib`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Starts => "starts_per_minute",
            Self::Cpu => "cpu_seconds",
            Self::Stored => "stored_bytes",
        }
    }

    /// The time that it is about, if it is about one.
    pub fn window(self) -> Option<Duration> {
        match self {
            Self::Starts => Some(account::MINUTE),
            Self::Cpu => Some(account::DAY),
            Self::Sessions | Self::Stored => None,
        }
    }
}

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One principal's.
    Principal,
    /// That of all principals of a tenant together.
    Tenant,
}

impl Scope {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Tenant => "tenant",
        }
    }
}

/// What has been used of one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub quota: Quota,
    /// Whose.
    pub scope: Scope,
    /// In sessions, starts, whole seconds (rounded down) or bytes.
    pub used: u64,
    /// In the same; unlimited if absent.
    pub limit: Option<u64>,
}

/// CPU time of a principal in one slot of time, as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuRecord {
    /// Whose.
    pub owner: Principal,
    /// Number of the five minutes since 1970 in which it was used.
    pub slot: u64,
    /// How much.
    pub cpu: Duration,
}
