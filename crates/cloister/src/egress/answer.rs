//! What the proxy itself says: refusals that name the rule and the way to ask, and failures of the far side.

use super::address::Class;
use super::dial::DialError;
use super::head::HeadError;
use super::host::Destination;
use super::journal::Refused;
use super::rules::Refusal;
use cloister_core::denial::{DenialId, Layer};
use cloister_core::policy::NetworkMode;

/// A complete answer of the proxy's own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    /// The status line's words; package managers show these and drop the body.
    reason: String,
    body: String,
    /// For the log and the counters, if a rule was the reason, as opposed to a mishap on the way.
    refused: Option<Box<Refused>>,
}

impl Answer {
    /// A rule said no. The destination has passed the parser, so its text is safe to repeat.
    pub(crate) fn refused(to: &Destination, refusal: &Refusal, mode: NetworkMode) -> Self {
        let host = &to.host;
        let (what, how) = match refusal {
            Refusal::NoNetwork => (
                "the session's policy gives no network".to_owned(),
                "use an interpreter whose policy has one".to_owned(),
            ),
            Refusal::Port(port) => (
                format!("port {port} is not allowed"),
                format!("add {port} to network.ports in the session's policy"),
            ),
            Refusal::NotAllowed if mode == NetworkMode::Open => (
                format!("{host} is a name of one label, which means some machine of the host's own network"),
                format!("add \"{host}\" to network.allowed_domains in the session's policy"),
            ),
            Refusal::NotAllowed => (
                format!("{host} is not in the allow-list"),
                format!("add \"{host}\" to network.allowed_domains in the session's policy"),
            ),
            Refusal::Denied => (
                format!("{host} is in the deny-list"),
                "remove the entry from network.denied_domains in the session's policy".to_owned(),
            ),
            Refusal::DeniedRange => (
                format!("{host} leads to an address in a denied range"),
                "remove the range from network.denied_cidrs in the session's policy".to_owned(),
            ),
            Refusal::Address(Class::Metadata) => (
                format!("{host} leads to a cloud metadata service"),
                "pass what the program needs as a file; no policy allows these addresses".to_owned(),
            ),
            Refusal::Address(Class::Loopback) => (
                format!("{host} leads to a loopback address"),
                format!("start it with --allow-loopback {to} if sessions may reach that program"),
            ),
            Refusal::Address(class) => (
                format!("{host} leads to a {} address", class.name()),
                "add the range to network.allowed_cidrs in the session's policy".to_owned(),
            ),
            Refusal::OwnHost => (
                format!("{host} leads to the machine that runs cloister"),
                "add the range to network.allowed_cidrs in the session's policy".to_owned(),
            ),
        };
        Self::policy(&to.to_string(), Some(to), refusal.rule(), refusal.class(), &what, &how)
    }

    /// A limit of the policy is reached.
    pub(crate) fn limit(rule: &'static str, what: &str) -> Self {
        Self::policy(
            "this connection",
            None,
            rule,
            None,
            what,
            &format!("raise {rule} in the session's policy"),
        )
    }

    /// New connections come faster than the policy allows. Waiting helps, so this is the status on which clients wait.
    pub(crate) fn too_fast() -> Self {
        let what = "the session opens connections too fast";
        let mut answer = Self::limit("network.connection_rate", what);
        answer.status = 429;
        answer
    }

    /// The package index has no such thing, or a policy does not take it.
    pub(crate) fn package(status: u16, name: &str, what: &str, rule: Option<&'static str>) -> Self {
        Self::packages(status, &format!("{name}: {what}"), rule.unwrap_or("packages"), rule)
    }

    /// The same for a request that names none. `rule` stands in the text, `refused` in log and counters.
    pub(crate) fn packages(status: u16, what: &str, rule: &str, refused: Option<&'static str>) -> Self {
        let how = "ask whoever runs this cloister server to change the rule in the session's policy";
        let how = refused.map(|_| format!("To allow it, {how}.\n")).unwrap_or_default();
        Self {
            status,
            reason: format!("cloister packages: {what} (rule {rule})"),
            body: format!("cloister does not give this package: {what}.\nRule: {rule}\n{how}"),
            refused: refused.map(|rule| {
                Box::new(Refused {
                    to: None,
                    rule,
                    class: None,
                    layer: Layer::Package,
                    why: what.to_owned(),
                    how: format!("change {rule} in the session's policy"),
                })
            }),
        }
    }

    /// A placeholder of a secret where it has no business.
    pub(crate) fn misplaced(to: &Destination, what: &str, how: &str) -> Self {
        Self {
            status: 403,
            reason: format!("cloister refused: {what} (rule secrets)"),
            body: format!(
                "cloister refused {to}: {what}.\nRule: secrets\n\
                 A placeholder becomes its secret in the headers of HTTPS requests to the hosts of that secret, and nowhere else: {how}.\n"
            ),
            refused: Some(Box::new(Refused {
                to: Some(to.clone()),
                rule: "secrets",
                class: None,
                layer: Layer::Secret,
                why: what.to_owned(),
                how: format!("In the session, {how}"),
            })),
        }
    }

    /// What a request needs is not there; nothing is wrong with the request.
    pub(crate) fn unavailable(to: &Destination, what: &str) -> Self {
        Self {
            status: 503,
            reason: format!("cloister cannot send this now: {what}"),
            body: format!(
                "cloister did not send the request to {to}: {what}.\nAsk whoever runs this cloister server.\n"
            ),
            refused: None,
        }
    }

    /// The host's certificate, or its TLS.
    pub(crate) fn not_trusted(to: &Destination, error: &std::io::Error) -> Self {
        Self {
            status: 502,
            reason: "cloister could not connect: the host's TLS cannot be verified".to_owned(),
            body: format!("cloister let {to} through, but its TLS cannot be verified: {error}.\n"),
            refused: None,
        }
    }

    /// The far side answers in a way that cannot be passed on.
    pub(crate) fn bad_far(what: &str) -> Self {
        Self {
            status: 502,
            reason: format!("cloister cannot pass on the answer: {what}"),
            body: format!("cloister asked the host, but cannot pass on its answer: {what}.\n"),
            refused: None,
        }
    }

    fn policy(
        named: &str,
        to: Option<&Destination>,
        rule: &'static str,
        class: Option<Class>,
        what: &str,
        how: &str,
    ) -> Self {
        let (to, why, how) = (to.cloned(), what.to_owned(), how.to_owned());
        let refused = Refused { to, rule, class, layer: Layer::Egress, why, how: how.clone() };
        Self {
            status: 403,
            reason: format!("cloister refused: {what} (rule {rule})"),
            body: format!(
                "cloister refused {named}: {what}.\nRule: {rule}\nTo allow it, ask whoever runs this cloister server to {how}.\n\
                 `cloister policy show` prints the policies in force.\n"
            ),
            refused: Some(Box::new(refused)),
        }
    }

    /// The request was not one.
    pub(crate) fn bad_head(error: &HeadError) -> Self {
        let status = if *error == HeadError::NotForAProxy { 403 } else { 400 };
        Self {
            status,
            reason: "cloister refused: not a plain proxy request (rule proxy-only)".to_owned(),
            body: format!("cloister refused the request: {error}.\nRule: proxy-only\n"),
            refused: Some(Box::new(Refused {
                to: None,
                rule: "proxy-only",
                class: None,
                layer: Layer::Egress,
                why: error.to_string(),
                how: "Send CONNECT host:port, or a request with an absolute URL".to_owned(),
            })),
        }
    }

    /// Head too long or too late.
    pub(crate) fn bad_read(what: &'static str) -> Self {
        Self {
            status: 400,
            reason: format!("cloister refused: {what}"),
            body: format!("cloister refused the request: {what}.\n"),
            refused: None,
        }
    }

    /// No connection.
    pub(crate) fn dial(to: &Destination, error: &DialError, mode: NetworkMode) -> Self {
        match error {
            DialError::Refused(refusal) => Self::refused(to, refusal, mode),
            DialError::TooManyNames => Self {
                status: 403,
                reason: format!("cloister refused: {error} (rule names-per-session)"),
                body: format!(
                    "cloister refused {to}: {error}.\nRule: names-per-session\nStart a new session to go on.\n"
                ),
                refused: Some(Box::new(Refused {
                    to: Some(to.clone()),
                    rule: "names-per-session",
                    class: None,
                    layer: Layer::Egress,
                    why: error.to_string(),
                    how: "Start a new session to go on".to_owned(),
                })),
            },
            // The proxy is the session's own choice, and what is refused is the way to it.
            DialError::Upstream { proxy, source } => {
                let mut answer = Self::dial(proxy, source, mode);
                answer.body.push_str(&format!("{proxy} is the session's upstream proxy for {to}.\n"));
                answer
            }
            DialError::Unresolvable | DialError::Unreachable | DialError::Tunnel { .. } => Self {
                status: 502,
                reason: format!("cloister could not connect: {error}"),
                body: format!("cloister let {to} through, but {error}.\n"),
                refused: None,
            },
        }
    }

    /// Says by which id the refusal can be asked for.
    pub(crate) fn name(&mut self, id: &DenialId) {
        self.reason = self.reason.replace("(rule ", &format!("(denial {id}, rule "));
        self.body.push_str(&format!("Denial: {id}\n"));
    }

    /// Says where the session can read what is allowed.
    pub(crate) fn point(&mut self, path: &str) {
        self.body.push_str(&format!("What is allowed: {path} in the session.\n"));
    }

    /// What was refused, if a rule was the reason, as opposed to a mishap on the way.
    pub(crate) fn as_refused(&self) -> Option<&Refused> {
        self.refused.as_deref()
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        format!(
            "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.reason,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::parse;
    use super::*;

    #[test]
    fn a_refusal_names_cloister_the_rule_and_the_way_to_ask() {
        let to = parse(b"evil.example:443", None).unwrap();
        let text =
            String::from_utf8(Answer::refused(&to, &Refusal::NotAllowed, NetworkMode::Allowlist).bytes())
                .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 403 cloister refused: evil.example is not in the allow-list"),
            "{head}"
        );
        for part in ["cloister", "network.allowed_domains", "evil.example:443", "ask whoever runs"] {
            assert!(body.contains(part), "{part} is missing in {body}");
        }
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
