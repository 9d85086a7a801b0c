//! The log of decisions: one line for each, with sandbox, host, port, rule and address class, and a cap for floods.
//!
//! All lines have the target `egress`, so that `RUST_LOG=egress=info` (or `off`) chooses them. Hosts come from guests, but only
//! after the parser of `host.rs`: letters, digits, hyphens, dots, or a canonical address.

use super::address::Class;
use super::host::Destination;
use cloister_core::SandboxId;
use cloister_core::audit::{
    Action, Audit as _, AuditError, Decision, Desk, Event, Key, Passage, Reached, Resource,
};
use cloister_core::denial::{Denial, DenialId, Denials as _, Layer};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lines per sandbox and [`WINDOW`]. More are counted and not written: a guest that scans must not fill the disk.
const LINES: u32 = 300;
const WINDOW: Duration = Duration::from_secs(60);

/// Why a connection was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    /// The field of the policy, or the flag.
    pub(crate) rule: &'static str,
    /// Where the connection goes, itself or through a proxy.
    pub(crate) address: IpAddr,
    /// The kind of that address.
    pub(crate) class: Class,
}

/// What was refused, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Where to, if the request was one.
    pub(crate) to: Option<Destination>,
    /// The field of the policy, or the fixed rule.
    pub(crate) rule: &'static str,
    /// The kind of the address, if an address was the reason.
    pub(crate) class: Option<Class>,
    /// Which part of the proxy.
    pub(crate) layer: Layer,
    /// In words.
    pub(crate) why: String,
    /// What would allow it.
    pub(crate) how: String,
}

/// The log of one sandbox.
#[derive(Debug)]
pub(crate) struct Journal {
    sandbox: SandboxId,
    desk: Arc<Desk>,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    unwritten: u64,
}

impl Journal {
    /// An empty log.
    pub(crate) fn new(sandbox: SandboxId, desk: Arc<Desk>) -> Self {
        Self { sandbox, desk, window: Mutex::new(Window { since: Instant::now(), lines: 0, unwritten: 0 }) }
    }

    /// The sandbox that it is about.
    pub(crate) fn sandbox(&self) -> &SandboxId {
        &self.sandbox
    }

    /// A connection was let through, and stands.
    pub(crate) fn allowed(&self, to: &Destination, leave: &Leave, via: Option<&Destination>) {
        self.reached(to, leave.rule, Passage::Allowed);
        if self.may_write() {
            tracing::info!(
                target: "egress",
                sandbox = %self.sandbox,
                host = %to.host,
                port = to.port,
                rule = leave.rule,
                class = leave.class.name(),
                address = %leave.address,
                via = via.map(tracing::field::display),
                "allowed"
            );
        }
    }

    /// For the receipt of the call that is under way.
    fn reached(&self, to: &Destination, rule: &str, passage: Passage) {
        let (host, rule) = (to.host.to_string(), rule.to_owned());
        self.desk.reached(&self.sandbox, Reached { host, port: to.port, passage, rule, count: 1 });
    }

    /// A connection that was let through is over. What goes to an allowed place cannot be judged, but it is to be seen.
    pub(crate) fn ended(&self, to: &Destination, bytes_out: u64, bytes_in: u64) {
        if self.may_write() {
            tracing::info!(
                target: "egress",
                sandbox = %self.sandbox,
                host = %to.host,
                port = to.port,
                bytes_out,
                bytes_in,
                "ended"
            );
            let event = Event::new(Action::Egress)
                .sandbox(&self.sandbox)
                .on(Resource::Host(to.to_string()))
                .with(Key::BytesOut, bytes_out)
                .with(Key::BytesIn, bytes_in);
            if let Err(error) = self.desk.record(event) {
                tracing::error!(target: "egress", %error, "the end of a connection is not in the audit log");
            }
        }
    }

    /// A secret is about to go out, in a header. Always written: a flood of uses is a flood of log lines that somebody wants to see.
    pub(crate) fn lent(&self, to: &Destination, secret: &str, place: &str) {
        tracing::info!(target: "egress", sandbox = %self.sandbox, host = %to.host, port = to.port, secret, place, "secret");
    }

    /// A file of a package is about to be given.
    pub(crate) fn package(&self, project: &str, file: &str) {
        if self.may_write() {
            tracing::info!(target: "egress", sandbox = %self.sandbox, project, file, "package");
            let event = Event::new(Action::Package)
                .sandbox(&self.sandbox)
                .on(Resource::Package(project.to_owned()))
                .decided(Decision::Allowed, "packages.allow")
                .with(Key::Name, file);
            if let Err(error) = self.desk.record(event) {
                tracing::error!(target: "egress", %error, "a package is not in the audit log");
            }
        }
    }

    /// An answer held a secret, which was taken out.
    pub(crate) fn scrubbed(&self, to: &Destination) {
        if self.may_write() {
            tracing::info!(target: "egress", sandbox = %self.sandbox, host = %to.host, port = to.port, "secret in the answer");
        }
    }

    /// A rule said no. The id is the one by which the refusal can be asked for; the desk bounds floods by itself.
    pub(crate) fn refused(&self, refused: &Refused) -> DenialId {
        let Refused { to, rule, class: _, layer, why, how } = refused;
        if let Some(to) = to {
            self.reached(to, rule, Passage::Refused);
        }
        let asked = match (to, layer) {
            (Some(to), _) => format!("a connection to {to}"),
            (None, Layer::Package) => "a package".to_owned(),
            (None, _) => "a request".to_owned(),
        };
        let denial = Denial::new(*layer, *rule, asked, why, how).sandbox(&self.sandbox);
        let id = self.desk.note(denial).id;
        if self.may_write() {
            tracing::info!(
                target: "egress",
                sandbox = %self.sandbox,
                host = refused.to.as_ref().map(|to| tracing::field::display(&to.host)),
                port = refused.to.as_ref().map(|to| to.port),
                rule = refused.rule,
                class = refused.class.map(Class::name),
                denial = %id,
                "refused"
            );
        }
        id
    }

    /// A secret is about to go out; when this returns, that is on disk. Blocks.
    pub(crate) fn record_use(&self, to: &Destination, secret: &str, place: &str) -> Result<(), AuditError> {
        let event = Event::new(Action::SecretUse)
            .sandbox(&self.sandbox)
            .on(Resource::Secret(secret.to_owned()))
            .decided(Decision::Allowed, "secrets")
            .with(Key::Place, format!("header {place}"))
            .with(Key::Asked, to.to_string());
        self.desk.record(event).map(drop)
    }

    /// The rules said yes, and the network no.
    pub(crate) fn failed(&self, to: &Destination, why: &str) {
        if self.may_write() {
            tracing::info!(target: "egress", sandbox = %self.sandbox, host = %to.host, port = to.port, why, "no connection");
        }
    }

    /// Whether there is room for one more line. The first line of a new window says how many there were too many.
    fn may_write(&self) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.elapsed() >= WINDOW {
            let unwritten = window.unwritten;
            *window = Window { since: Instant::now(), lines: 0, unwritten: 0 };
            if unwritten > 0 {
                tracing::warn!(target: "egress", sandbox = %self.sandbox, unwritten, "too many decisions to write each");
            }
        }
        if window.lines == LINES {
            window.unwritten += 1;
            return false;
        }
        window.lines += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::parse;
    use super::*;
    use cloister_core::audit::{Attribution, Seen};
    use cloister_core::policy::Policy;
    use cloister_core::{Principal, SessionId};

    #[tokio::test]
    async fn what_a_session_reached_and_was_refused_is_told_to_the_receipt_of_its_call() {
        let desk = Arc::<Desk>::default();
        let (sandbox, session) = (SandboxId::random().unwrap(), SessionId::random().unwrap());
        let policy = Policy::built_in("p").reference();
        let owner = Principal::local();
        desk.bind(&sandbox, Attribution { session: session.clone(), owner, policy });
        let journal = Journal::new(sandbox, Arc::clone(&desk));
        let to = parse(b"a.example:443", None).unwrap();
        let leave = Leave { rule: "network.mode", address: [192, 0, 2, 1].into(), class: Class::Public };
        journal.allowed(&to, &leave, None);
        journal.allowed(&to, &leave, None);
        let id = journal.refused(&Refused {
            to: Some(to),
            rule: "network.ports",
            class: None,
            layer: Layer::Egress,
            why: "w".into(),
            how: "h".into(),
        });
        let seen = desk.seen(&session);
        let told: Vec<_> = seen.egress.iter().map(|to| (to.host.as_str(), to.passage, to.count)).collect();
        assert_eq!(told, [("a.example", Passage::Allowed, 2), ("a.example", Passage::Refused, 1)]);
        assert_eq!(seen.denials.iter().map(|noted| &noted.id).collect::<Vec<_>>(), [&id]);
        assert_eq!(desk.seen(&session), Seen::default(), "the next call begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_decisions_is_counted_and_not_written() {
        let journal = Journal::new(SandboxId::random().unwrap(), Arc::default());
        let written = (0..LINES + 100).filter(|_| journal.may_write()).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(journal.window.lock().unwrap().unwritten, 100);
        tokio::time::advance(WINDOW).await;
        assert!(journal.may_write());
        assert_eq!(journal.window.lock().unwrap().unwritten, 0);
    }
}
