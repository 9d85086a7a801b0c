//! One event: what was done, by whom, to what, and what was decided. Everything but texts of others is a closed set of words.

use crate::denial::DenialId;
use crate::id::{Principal, SandboxId, SessionId};
use crate::policy::PolicyRef;
use serde_json::Value;
use std::collections::BTreeMap;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The server began to serve.
    ServerStart,
    /// The server stopped in order.
    ServerStop,
    /// The log was found with an end that no server had finished, and goes on after it.
    LogRecovered,
    /// The log goes on in a new file.
    LogRotated,
    /// A session is about to start.
    SessionStart,
    /// A session takes calls.
    SessionReady,
    /// Somebody asks for a session's end.
    SessionStop,
    /// A session is over, or has never come up.
    SessionEnd,
    /// A call was let in.
    Call,
    /// A call is over; its receipt.
    Receipt,
    /// A client was connected with a browser, or was not let in.
    Connect,
    /// A client's connection with a browser is over.
    Disconnect,
    /// A connection of a session is over: where to, and how much.
    Egress,
    /// A file of a package is about to be given to a session.
    Package,
    /// Something was refused.
    Denied,
    /// The same was refused so many times more.
    DenialsRepeated,
    /// Something would have been refused, under rules that only log.
    WouldDeny,
    /// A secret is about to be put into a request.
    SecretUse,
    /// Policies are about to be replaced.
    PolicyChange,
    /// A key is about to be issued.
    KeyCreate,
    /// A key is about to be revoked.
    KeyRevoke,
}

/// When a record is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When `record` returns.
    Synced,
    /// Handed to the kernel when `record` returns, and on disk within a second: a crash of the server loses nothing, one of the
    /// machine up to a second.
    Soon,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 21] = [
        Self::ServerStart,
        Self::ServerStop,
        Self::LogRecovered,
        Self::LogRotated,
        Self::SessionStart,
        Self::SessionReady,
        Self::SessionStop,
        Self::SessionEnd,
        Self::Call,
        Self::Receipt,
        Self::Connect,
        Self::Disconnect,
        Self::Egress,
        Self::Package,
        Self::Denied,
        Self::DenialsRepeated,
        Self::WouldDeny,
        Self::SecretUse,
        Self::PolicyChange,
        Self::KeyCreate,
        Self::KeyRevoke,
    ];

    /// The word in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerStart => "server.start",
            Self::ServerStop => "server.stop",
            Self::LogRecovered => "log.recovered",
            Self::LogRotated => "log.rotated",
            Self::SessionStart => "session.start",
            Self::SessionReady => "session.ready",
            Self::SessionStop => "session.stop",
            Self::SessionEnd => "session.end",
            Self::Call => "call",
            Self::Receipt => "receipt",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Egress => "egress",
            Self::Package => "package",
            Self::Denied => "denied",
            Self::DenialsRepeated => "denied.repeated",
            Self::WouldDeny => "would_deny",
            Self::SecretUse => "secret.use",
            Self::PolicyChange => "policy.change",
            Self::KeyCreate => "key.create",
            Self::KeyRevoke => "key.revoke",
        }
    }

    /// What must be on disk before it is done, and what need not.
    pub fn durability(self) -> Durability {
        match self {
            Self::ServerStart
            | Self::ServerStop
            | Self::LogRecovered
            | Self::LogRotated
            | Self::SessionStart
            | Self::SessionStop
            | Self::SecretUse
            | Self::PolicyChange
            | Self::KeyCreate
            | Self::KeyRevoke => Durability::Synced,
            Self::SessionReady
            | Self::SessionEnd
            | Self::Call
            | Self::Receipt
            | Self::Connect
            | Self::Disconnect
            | Self::Egress
            | Self::Package
            | Self::Denied
            | Self::DenialsRepeated
            | Self::WouldDeny => Durability::Soon,
        }
    }
}

/// How a caller showed who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Nobody has to on this server.
    None,
    /// A signature with an access key, in the header or in the query.
    Signature,
    /// A bearer key of this server.
    Bearer,
    /// A token of the configured issuer.
    Token,
    /// A signed link of the live view.
    Link,
    /// The command line, on the server's own files.
    Console,
    /// Code or a page of a session, which acts for the session's owner.
    Session,
}

impl Method {
    /// The word in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Signature => "signature",
            Self::Bearer => "bearer",
            Self::Token => "token",
            Self::Link => "link",
            Self::Console => "console",
            Self::Session => "session",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Whose sessions the caller sees.
    pub principal: Principal,
    /// The id of the key that vouched for it; never the key.
    pub key: Option<String>,
    /// How it showed who it is.
    pub method: Method,
}

/// To what it was done, where that is not the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The server itself.
    Server,
    /// A configured interpreter or browser.
    Interpreter(String),
    /// A destination, `HOST:PORT`.
    Host(String),
    /// A secret, by its name.
    Secret(String),
    /// A policy, by its name.
    Policy(String),
    /// An issued key, by its id.
    Key(String),
    /// A package, by its name.
    Package(String),
}

impl Resource {
    /// The words in the log: what it is, and which.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Server => ("server", ""),
            Self::Interpreter(name) => ("interpreter", name),
            Self::Host(name) => ("host", name),
            Self::Secret(name) => ("secret", name),
            Self::Policy(name) => ("policy", name),
            Self::Key(name) => ("key", name),
            Self::Package(name) => ("package", name),
        }
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was let through.
    Allowed,
    /// It was refused.
    Denied,
    /// There was nothing to decide.
    None,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The record was written before the effect.
    Pending,
    /// It worked.
    Success,
    /// It did not.
    Failure,
}

/// Who chose the text of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The server.
    Own,
    /// A guest, a page or a client: in the log it stands below `untrusted`, cut to a length and escaped.
    Untrusted,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $trust:ident;)*) => {
        /// The names of further fields; none but these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Key { $($(#[$doc])* $name,)* }

        impl Key {
            /// Every name.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in the log.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Who chose the text of this field.
            pub fn trust(self) -> Trust {
                match self { $(Self::$name => Trust::$trust,)* }
            }
        }
    };
}

keys! {
    /// The layer that refused.
    Layer = "layer", Own;
    /// What was asked of it.
    Asked = "asked", Untrusted;
    /// The value in the rule or in the request that decided.
    Matched = "matched", Untrusted;
    /// Why, in words.
    Why = "why", Untrusted;
    /// What would allow it.
    How = "how", Untrusted;
    /// How many.
    Count = "count", Own;
    /// SHA-256 of the lines of the log that were cut off.
    Torn = "torn", Own;
    /// The number of a call within its session, from 0.
    Number = "call", Own;
    /// Files that a tool was asked for.
    Paths = "paths", Untrusted;
    /// The tool that was called.
    Tool = "tool", Own;
    /// The language of the code.
    Language = "language", Own;
    /// SHA-256 of the code or command.
    CodeSha256 = "code_sha256", Own;
    /// The code or command itself, where a policy asks for it.
    Code = "code", Untrusted;
    /// Its bytes.
    CodeBytes = "code_bytes", Own;
    /// The name that a client gave.
    Name = "name", Untrusted;
    /// The operation or route.
    Operation = "operation", Own;
    /// The tier that runs a session.
    Tier = "tier", Own;
    /// The image of a session.
    Image = "image", Own;
    /// The digest of the image.
    ImageDigest = "image_digest", Own;
    /// How long it may live or run, in milliseconds.
    Timeout = "timeout_ms", Own;
    /// What kind of CDP client it is.
    Client = "client", Own;
    /// The page that a CDP client has as its root.
    Target = "target", Untrusted;
    /// How long a connection lasted, in milliseconds.
    Lasted = "lasted_ms", Own;
    /// Why a session or a connection ended.
    Reason = "reason", Own;
    /// What a worker died of.
    Cause = "cause", Untrusted;
    /// What went wrong.
    Error = "error", Own;
    /// The receipt of a call.
    Receipt = "receipt", Own;
    /// Walls, as measured.
    Walls = "walls", Own;
    /// Bytes to the outside.
    BytesOut = "bytes_out", Own;
    /// Bytes from the outside.
    BytesIn = "bytes_in", Own;
    /// The kind of an address.
    Class = "class", Own;
    /// The session that a session is a copy of.
    CopyOf = "copy_of", Own;
    /// Roles of a key or caller.
    Roles = "roles", Own;
    /// When a key ends, seconds since 1970.
    Expires = "expires", Own;
    /// What is different in a policy.
    Changes = "changes", Own;
    /// SHA-256 of all policies that are in force from now on.
    Policies = "policies", Own;
    /// SHA-256 of all policies that were in force before.
    PoliciesBefore = "policies_before", Own;
    /// A file of the server's configuration, by its name within its folder.
    File = "file", Own;
    /// The version of the program.
    Version = "version", Own;
    /// Where a secret was put.
    Place = "place", Own;
}

/// Something that happened. Made with [`Event::new`] and the methods after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// Who did it; filled in from the request or the sandbox if it is known there.
    pub actor: Option<Actor>,
    /// The address that the request came from.
    pub source: Option<String>,
    /// The session that it is about; filled in from the sandbox.
    pub session: Option<SessionId>,
    /// The sandbox that it is about.
    pub sandbox: Option<SandboxId>,
    /// The call that it is about.
    pub invocation: Option<String>,
    /// To what.
    pub resource: Option<Resource>,
    /// What was decided.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The denial that it is about.
    pub denial: Option<DenialId>,
    /// The policy in force.
    pub policy: Option<PolicyRef>,
    /// How it went.
    pub outcome: Outcome,
    /// Everything else.
    pub detail: BTreeMap<Key, Value>,
}

impl Event {
    /// An event of which nothing else is known. Its outcome is [`Outcome::Pending`] for what is recorded before its effect.
    pub fn new(action: Action) -> Self {
        let outcome = match action {
            Action::SessionStart
            | Action::SessionStop
            | Action::Call
            | Action::SecretUse
            | Action::PolicyChange
            | Action::KeyCreate
            | Action::KeyRevoke => Outcome::Pending,
            _ => Outcome::Success,
        };
        Self {
            action,
            actor: None,
            source: None,
            session: None,
            sandbox: None,
            invocation: None,
            resource: None,
            decision: Decision::None,
            rule: None,
            denial: None,
            policy: None,
            outcome,
            detail: BTreeMap::new(),
        }
    }

    /// Who did it.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// The session that it is about.
    #[must_use]
    pub fn session(self, id: &SessionId) -> Self {
        Self { session: Some(id.clone()), ..self }
    }

    /// The sandbox that it is about. The desk finds the session and the owner.
    #[must_use]
    pub fn sandbox(self, id: &SandboxId) -> Self {
        Self { sandbox: Some(id.clone()), ..self }
    }

    /// The call that it is about.
    #[must_use]
    pub fn invocation(self, id: Option<String>) -> Self {
        Self { invocation: id, ..self }
    }

    /// To what.
    #[must_use]
    pub fn on(self, resource: Resource) -> Self {
        Self { resource: Some(resource), ..self }
    }

    /// What was decided, and by which rule.
    #[must_use]
    pub fn decided(self, decision: Decision, rule: impl Into<String>) -> Self {
        Self { decision, rule: Some(rule.into()), ..self }
    }

    /// The policy in force.
    #[must_use]
    pub fn under(self, policy: PolicyRef) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// How it went.
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// One more field. Never a secret's value.
    #[must_use]
    pub fn with(mut self, key: Key, value: impl Into<Value>) -> Self {
        self.detail.insert(key, value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_action_and_every_field_has_a_word_of_its_own() {
        assert_eq!(Action::ALL.iter().map(|a| a.name()).collect::<BTreeSet<_>>().len(), Action::ALL.len());
        assert_eq!(Key::ALL.iter().map(|k| k.name()).collect::<BTreeSet<_>>().len(), Key::ALL.len());
    }
}
