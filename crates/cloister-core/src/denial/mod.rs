//! One face for every denial: whatever layer says no, the guest, the API answer and the audit record carry one id.
//!
//! ```text
//!   Denial::new(layer, rule, asked, why, how) ──Denials::note──▶ Noted { id, … } ─┬─ text()  ▶ the guest's 403 page, the error
//!                                                                                ├─ the record in the audit log
//!                                                                                └─ GET /v1/denials/ID, cloister policy explain
//! ```

use crate::id::{Principal, SandboxId, SessionId, random_id};
use crate::policy::PolicyRef;
use std::fmt;
use std::time::SystemTime;

/// What stands before the random part of every id.
const PREFIX: &str = "den_";

/// The id of a denial.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DenialId(String);

impl DenialId {
    /// A fresh id from the kernel's random source.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(format!("{PREFIX}{}", random_id()?)))
    }

    /// For a host whose random source has failed.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(format!("{PREFIX}{number:026}"))
    }

    /// The id in a text; `None` for anything that cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let ok = rest.len() == 26 && rest.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        ok.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DenialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DenialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Who may do what: the caller's roles and the access rules.
    Access,
    /// What a session may do, where the server itself decides.
    Policy,
    /// Quotas and caps.
    Quota,
    /// The egress proxy.
    Egress,
    /// The filter of system calls.
    Syscall,
    /// Mounts, Landlock, the file view of the wasm tier.
    Filesystem,
    /// The filter of debugging commands.
    Cdp,
    /// The package index.
    Package,
    /// The substitution of secrets.
    Secret,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 9] = [
        Self::Access,
        Self::Policy,
        Self::Quota,
        Self::Egress,
        Self::Syscall,
        Self::Filesystem,
        Self::Cdp,
        Self::Package,
        Self::Secret,
    ];

    /// The word in answers and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Policy => "policy",
            Self::Quota => "quota",
            Self::Egress => "egress",
            Self::Syscall => "syscall",
            Self::Filesystem => "filesystem",
            Self::Cdp => "cdp",
            Self::Package => "package",
            Self::Secret => "secret",
        }
    }

    /// The layer of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == word)
    }
}

/// A refusal that has no id yet. All texts are one line; what a guest chose in them has been parsed or is cut when it is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What says no.
    pub layer: Layer,
    /// The field of the policy or the fixed rule: `network.allowed_domains`, `egress.metadata`.
    pub rule: String,
    /// What was asked: "a connection to evil.example:443".
    pub asked: String,
    /// Why not: "evil.example is not in the allow-list".
    pub why: String,
    /// What whoever runs the server would have to do: "add "evil.example" to network.allowed_domains in the session's policy".
    /// Or, beginning with a capital letter, a sentence of its own: "No policy allows these addresses."
    pub how: String,
    /// The value in the rule that decided, if there is one: `*.example`.
    pub matched: Option<String>,
    /// The policy in force; filled in from the session.
    pub policy: Option<PolicyRef>,
    /// The session; filled in from the sandbox.
    pub session: Option<SessionId>,
    /// The sandbox.
    pub sandbox: Option<SandboxId>,
    /// Whose it is, who alone may look it up; filled in from the session, or from the request.
    pub owner: Option<Principal>,
}

impl Denial {
    /// A refusal.
    pub fn new(
        layer: Layer,
        rule: impl Into<String>,
        asked: impl Into<String>,
        why: impl Into<String>,
        how: impl Into<String>,
    ) -> Self {
        Self {
            layer,
            rule: rule.into(),
            asked: asked.into(),
            why: why.into(),
            how: how.into(),
            matched: None,
            policy: None,
            session: None,
            sandbox: None,
            owner: None,
        }
    }

    /// The value that decided.
    #[must_use]
    pub fn matched(self, value: impl Into<String>) -> Self {
        Self { matched: Some(value.into()), ..self }
    }

    /// The policy in force.
    #[must_use]
    pub fn under(self, policy: PolicyRef) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// The session that was refused something.
    #[must_use]
    pub fn session(self, id: &SessionId) -> Self {
        Self { session: Some(id.clone()), ..self }
    }

    /// The sandbox that was refused something. The desk finds the session, the owner and the policy.
    #[must_use]
    pub fn sandbox(self, id: &SandboxId) -> Self {
        Self { sandbox: Some(id.clone()), ..self }
    }

    /// Who was refused something.
    #[must_use]
    pub fn owner(self, who: &Principal) -> Self {
        Self { owner: Some(who.clone()), ..self }
    }
}

/// A refusal with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The id.
    pub id: DenialId,
    /// When it was first refused.
    pub at: SystemTime,
    /// The refusal.
    pub denial: Denial,
}

impl Noted {
    /// The whole text: what cloister refused and why, rule and id, and how to ask. One line.
    pub fn text(&self) -> String {
        format!("cloister refused {}: {}", self.denial.asked, self.rest())
    }

    /// The text after "cloister refused …: ", for answers that say in words of their own what was asked.
    pub fn rest(&self) -> String {
        let Denial { rule, why, .. } = &self.denial;
        format!("{why} (rule {rule}, denial {}). {}", self.id, self.how())
    }

    /// What to do about it, as a sentence.
    pub fn how(&self) -> String {
        let how = self.denial.how.trim_end_matches('.');
        if how.starts_with(|first: char| first.is_uppercase()) {
            format!("{how}.")
        } else {
            format!("To allow it, ask whoever runs this cloister server to {how}.")
        }
    }
}

/// Takes refusals down.
pub trait Denials: Send + Sync + 'static {
    /// Gives a refusal its id and writes it into the audit log. The refusal stands whether or not it could be written.
    ///
    /// The same refusal of the same session within a minute has the id of the first and is only counted, so that a guest in a
    /// loop cannot fill the log. Does not wait for a disk.
    fn note(&self, denial: Denial) -> Noted;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_cloister_the_rule_the_id_and_how_to_ask() {
        let denial = Denial::new(
            Layer::Egress,
            "network.allowed_domains",
            "a connection to evil.example:443",
            "evil.example is not in the allow-list",
            "add \"evil.example\" to network.allowed_domains in the session's policy",
        );
        let noted = Noted { id: DenialId::random().unwrap(), at: SystemTime::UNIX_EPOCH, denial };
        assert_eq!(
            noted.text(),
            format!(
                "cloister refused a connection to evil.example:443: evil.example is not in the allow-list (rule \
                 network.allowed_domains, denial {}). To allow it, ask whoever runs this cloister server to add \
                 \"evil.example\" to network.allowed_domains in the session's policy.",
                noted.id
            )
        );
        assert_eq!(DenialId::parse(noted.id.as_str()), Some(noted.id));
    }

    #[test]
    fn only_ids_that_can_have_been_given_are_ids() {
        for bad in [
            "",
            "den_",
            "den_../../etc/passwd",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "den_01arz3ndektsv4rrffq69g5fav",
        ] {
            assert_eq!(DenialId::parse(bad), None, "{bad}");
        }
    }
}
