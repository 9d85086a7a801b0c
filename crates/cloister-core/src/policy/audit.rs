//! How much of what a session does goes into the audit log.

use serde::Deserialize;

/// What is recorded of the sessions of a policy. A policy that extends another may only record more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRules {
    /// How much is said of each call. Default `metadata`.
    pub level: AuditLevel,
    /// What is kept of code. Default `hash`.
    pub capture_code: Capture,
}

/// How much is said of each call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditLevel {
    /// Who, when, which tool, how long, how much.
    #[default]
    Metadata,
    /// The text of shell commands, too.
    Commands,
    /// The names of files that tools read and write, too.
    Full,
}

/// What is kept of code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capture {
    /// Nothing.
    None,
    /// Its SHA-256.
    #[default]
    Hash,
    /// The first 64 KiB of its text.
    Full,
}

impl AuditLevel {
    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Commands => "commands",
            Self::Full => "full",
        }
    }
}

impl Capture {
    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hash => "hash",
            Self::Full => "full",
        }
    }
}
