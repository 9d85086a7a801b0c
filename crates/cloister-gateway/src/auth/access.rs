//! What an authorizer is asked, and what it answers: the words that the doors and the policies share.
//!
//! ```text
//! a door ─▶ Query{who, action, resource, details} ─▶ dyn Authorizer ─▶ Decision ─▶ authorize.rs (mode) ─▶ Ok or AccessDenied
//!                                                     ├── ByRole (roles.rs): the ladder of roles and nothing else
//!                                                     └── Cedar (crate cloister-access): policies/access/*.cedar
//! ```

use super::keys::Role;
use super::roles::ByRole;
use cloister_core::Principal;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $(in $group:ident)?;)*) => {
        /// What somebody wants to do. Every route and operation names one, and does not compile without; policies know each by
        /// its name here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in policies.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The action that is asked first, before the body of a request is read; a policy for it covers this one as well.
            pub fn group(self) -> Option<Self> {
                match self { $($(Self::$name => Some(Self::$group),)?)* _ => None }
            }
        }
    };
}

actions! {
    /// What is for everybody and needs no caller: whether the server lives, the scripts of the live view's page. Never asked.
    Public;
    /// Read what the server says of itself.
    ReadServer;
    /// See what one has used, and what one may use.
    ReadQuotas;
    /// Read the audit log of others.
    ReadAudit;
    /// Change policies.
    ChangePolicy;
    /// Make sessions at all.
    Start;
    /// Start a session: with its interpreter and the time that it asks for.
    StartSession in Start;
    /// Start a copy of a session.
    ForkSession in Start;
    /// List one's sessions.
    ListSessions;
    /// Look at a session and its tasks.
    GetSession;
    /// Stop a session.
    StopSession;
    /// Make calls at all.
    Invoke;
    /// Run code: with its language and runtime.
    InvokeCode in Invoke;
    /// Run shell commands; start and stop background tasks.
    InvokeCommand in Invoke;
    /// Keep a state of a session, and go back to one.
    Snapshot in Invoke;
    /// List and fetch files.
    DownloadFile;
    /// Write and remove files.
    UploadFile;
    /// Drive a browser by actions.
    Act;
    /// Let a browser open an address by an action: with its scheme and host.
    OpenUrl in Act;
    /// Speak CDP to a browser.
    CdpCall;
    /// Watch a browser, live or recorded.
    ViewLive;
    /// Take a browser over from automation, or let automation have it.
    ControlBrowser;
}

/// With what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The server itself.
    Server,
    /// A configured interpreter or browser: its key, or what a request says in its place.
    Interpreter(&'a str),
    /// A session, as the request names it. Whose it is, the session manager says: a foreign one does not exist.
    Session(&'a str),
}

/// What a request asks for beyond its action; empty until its body has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// The life of a session or the deadline of a call, if the request names one.
    pub timeout: Option<Duration>,
    /// `python`, `javascript`, `typescript`.
    pub language: Option<&'static str>,
    /// `python`, `nodejs`, `deno`.
    pub runtime: Option<&'static str>,
    /// `http`, `https`, `about`, …
    pub scheme: Option<&'a str>,
    /// In lower case; only where the address has a plain one.
    pub host: Option<&'a str>,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Who wants it.
    pub principal: &'a Principal,
    /// The roles that its credential gives it. Never empty: whoever has no role is denied without being asked about.
    pub roles: &'a [Role],
    /// Where it calls from, if that is known.
    pub source: Option<IpAddr>,
    /// Seconds since 1970.
    pub time: u64,
    /// What it wants to do.
    pub action: Action,
    /// With what.
    pub resource: Resource<'a>,
    /// How.
    pub details: Details<'a>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not.
    Deny(Refused),
}

/// Why not, in words for the caller: without a path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What denied it: the id of the policy that forbids it, or the name of the rule that nothing is permitted by itself.
    pub rule: String,
    /// In a sentence that goes on after a colon.
    pub why: String,
    /// What to do about it, as [`cloister_core::denial::Denial::how`] wants it.
    pub how: String,
}

/// Decides who may do what. It is on the path of every request: it answers in microseconds and does not wait.
pub trait Authorizer: Send + Sync + 'static {
    /// What is not permitted is denied; a forbidding policy wins over every permitting one.
    fn decide(&self, query: &Query<'_>) -> Decision;
}

/// What becomes of a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessMode {
    /// It is one.
    #[default]
    Enforce,
    /// It is logged and the request goes on: for trying policies out. Callers without any role are denied all the same.
    LogOnly,
}

/// Who decides, and what becomes of it.
#[derive(Clone)]
pub struct Access {
    /// Decides.
    pub authorizer: Arc<dyn Authorizer>,
    /// What becomes of it.
    pub mode: AccessMode,
}

impl Default for Access {
    /// By roles alone, enforced.
    fn default() -> Self {
        Self { authorizer: Arc::new(ByRole), mode: AccessMode::Enforce }
    }
}
