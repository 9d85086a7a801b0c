//! Which policy exactly: its name, and a hash of every value in force, so that a record of last year can be told from today's file.

use super::{Policy, describe};
use sha2::{Digest, Sha256};
use std::fmt;

/// A policy as records name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// SHA-256 of its fields with their values, in hexadecimal digits; the name and the description do not count.
    pub version: String,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl Policy {
    /// Name and version. Costs a hash of a few kilobytes: keep it with what lives as long as the policy does.
    pub fn reference(&self) -> PolicyRef {
        let mut hash = Sha256::new();
        for (field, value) in describe::rows(self) {
            hash.update(field.as_bytes());
            hash.update(b" = ");
            hash.update(value.as_bytes());
            hash.update(b"\n");
        }
        let version = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        PolicyRef { name: self.name.clone(), version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_changes_with_a_value_and_not_with_a_name() {
        let (one, two) = (Policy::built_in("one").reference(), Policy::built_in("two").reference());
        assert_eq!(one.version, two.version);
        assert_eq!(one.version.len(), 64);
        let mut other = Policy::built_in("one");
        other.resources.pids += 1;
        assert_ne!(other.reference().version, one.version);
    }
}
