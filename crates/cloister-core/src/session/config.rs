//! The limits of the session manager. Every one has a default, and every one names what it stops.

use crate::quota::Quotas;
use std::time::Duration;

/// Limits of a [`super::manager::SessionManager`].
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// Live sessions at once, those that are starting or stopping included. Default 1000 (the AWS quota per account).
    /// Stops a caller in a loop from taking the host's memory with sessions.
    pub max_sessions: usize,
    /// What principals and tenants may use. Stops one of them from taking what is there for all.
    pub quotas: Quotas,
    /// Foreground calls of one session that wait for their turn. Default 64. Stops a client from parking calls without end.
    pub max_queued: usize,
    /// Bytes of code in them. Default 128 MiB, one call of the largest size. Stops memory exhaustion of the server by
    /// calls of 100 MB each that only wait.
    pub max_queued_bytes: usize,
    /// Other calls (files, tasks) of one session that run at once. Default 32. Stops a client from using up the worker's
    /// control channel with parallel reads of large files.
    pub max_concurrent: usize,
    /// How long a backend may take to start a session. Default 60 s. Stops a hung start from holding its client for ever.
    pub start_timeout: Duration,
    /// How long after deadline plus grace a backend may still owe an answer before the session is ended. Default 5 s.
    /// Stops a worker that ignores its deadline.
    pub backstop: Duration,
    /// Finished calls of one session whose answers are kept for a client's retry. Default 64.
    pub retained_calls: usize,
    /// How long they are kept. Default 10 minutes, longer than any SDK goes on retrying.
    pub retained_for: Duration,
    /// Bytes of them, per session. Default 16 MiB. Stops memory exhaustion of the server by many calls that each print
    /// or show as much as their policy allows.
    pub retained_bytes: usize,
    /// Bytes of output events that one call may leave in the server's memory. Default 64 MiB; what comes after that is
    /// dropped and the answer says so. Stops a picture flood (64 displays of 5 MiB) from a call that nobody reads.
    pub call_bytes: usize,
    /// Invocation ids that one session remembers so that none of them ever runs twice. Default 65,536; a session that
    /// has used them up takes no more calls. Stops memory exhaustion by endless small calls.
    pub known_ids: usize,
    /// How long records of ended sessions are kept. Default 30 days, as the AWS service keeps them.
    pub keep_records: Duration,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            max_sessions: 1000,
            quotas: Quotas::default(),
            max_queued: 64,
            max_queued_bytes: 128 << 20,
            max_concurrent: 32,
            start_timeout: Duration::from_secs(60),
            backstop: Duration::from_secs(5),
            retained_calls: 64,
            retained_for: Duration::from_secs(600),
            retained_bytes: 16 << 20,
            call_bytes: 64 << 20,
            known_ids: 65_536,
            keep_records: Duration::from_secs(30 * 24 * 3600),
        }
    }
}
