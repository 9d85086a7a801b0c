//! Tables of expectations: what a policy must allow and what it must not, in files that are kept beside the policies.
//!
//! ```toml
//! policy = "default"
//!
//! [[case]]
//! connect = "example.com:443"
//! expect = "deny"
//! rule = "network.mode"
//! ```

use super::explain::{Explained, explain};
use super::request::{Request, runtime};
use super::{Policies, PoliciesError};
use cloister_core::policy::{read_size, read_span};
use serde::Deserialize;
use std::net::IpAddr;

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    /// The policy of the cases that name none.
    #[serde(default)]
    policy: Option<String>,
    /// At least one.
    #[serde(rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// One expectation. Exactly one request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Case {
    policy: Option<String>,
    connect: Option<String>,
    address: Option<IpAddr>,
    url: Option<String>,
    run: Option<String>,
    shell: Option<bool>,
    write: Option<String>,
    syscall: Option<String>,
    cdp: Option<String>,
    memory: Option<String>,
    timeout: Option<String>,
    package: Option<String>,
    expect: Option<Expect>,
    rule: Option<String>,
}

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
}

/// What came of one case.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// What was asked.
    pub(crate) explained: Explained,
    /// Why it is not as expected; `None` if it is.
    pub(crate) wrong: Option<String>,
}

/// Why a file cannot be tested by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CasesError {
    /// Not TOML of this form.
    #[error("{file}: {source}")]
    Parse {
        /// The file.
        file: String,
        /// Where and what.
        source: toml::de::Error,
    },
    /// A case that says nothing, or several things.
    #[error("{file}: case {number}: {what}")]
    Case {
        /// The file.
        file: String,
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        what: String,
    },
    /// A policy that cannot be asked.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
}

/// Asks every case of a file.
pub(crate) fn run(policies: &Policies, file: &str, text: &str) -> Result<Vec<Outcome>, CasesError> {
    let parsed: Result<Cases, _> = toml::from_str(text);
    let Cases { policy, cases } =
        parsed.map_err(|source| CasesError::Parse { file: file.to_owned(), source })?;
    let wrong =
        |index: usize, what: String| CasesError::Case { file: file.to_owned(), number: index + 1, what };
    let mut outcomes = Vec::new();
    for (index, case) in cases.into_iter().enumerate() {
        let name = case.policy.clone().or_else(|| policy.clone());
        let name =
            name.ok_or_else(|| wrong(index, "it names no policy, and neither does the file".into()))?;
        let (expect, rule) = (case.expect, case.rule.clone());
        let expect =
            expect.ok_or_else(|| wrong(index, "expect = \"allow\" or \"deny\" is missing".into()))?;
        let request = case.request().map_err(|what| wrong(index, what))?;
        let explained = explain(policies, &name, &request)?;
        let expected = expect == Expect::Allow;
        let wrong = if explained.allowed != expected {
            Some(format!("{} was expected", if expected { "allowed" } else { "denied" }))
        } else {
            rule.filter(|rule| *rule != explained.rule)
                .map(|rule| format!("the rule {rule} was expected, and {} decided", explained.rule))
        };
        outcomes.push(Outcome { explained, wrong });
    }
    Ok(outcomes)
}

impl Case {
    fn request(self) -> Result<Request, String> {
        let Self {
            policy: _,
            connect,
            address,
            url,
            run,
            shell,
            write,
            syscall,
            cdp,
            memory,
            timeout,
            package,
            expect: _,
            rule: _,
        } = self;
        let mut requests: Vec<Request> = Vec::new();
        if address.is_some() && connect.is_none() {
            return Err("address goes with connect".into());
        }
        requests.extend(connect.map(|to| Request::Connect { to, address }));
        requests.extend(url.map(Request::Url));
        requests.extend(run.map(|name| runtime(&name)).transpose()?.map(Request::Run));
        requests.extend(shell.filter(|shell| *shell).map(|_| Request::Shell));
        requests.extend(write.map(Request::Write));
        requests.extend(syscall.map(Request::Syscall));
        requests.extend(cdp.map(Request::Cdp));
        requests.extend(memory.map(|text| read_size(&text)).transpose()?.map(Request::Memory));
        requests.extend(timeout.map(|text| read_span(&text)).transpose()?.map(Request::Timeout));
        requests.extend(package.map(Request::Package));
        match (requests.pop(), requests.is_empty()) {
            (Some(request), true) => Ok(request),
            _ => Err(
                "a case has exactly one of connect, url, run, shell, write, syscall, cdp, memory, timeout and package"
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn try_text(text: &str) -> Result<Vec<Outcome>, CasesError> {
        run(&Policies::embedded(), "x.toml", text)
    }

    #[test]
    fn every_shipped_expectation_holds_and_every_shipped_policy_has_some() {
        let policies = Policies::embedded();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/cases");
        let mut asked = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for Outcome { explained, wrong } in run(&policies, &path.display().to_string(), &text).unwrap() {
                assert_eq!(wrong, None, "{}: {} under {}", path.display(), explained.asked, explained.policy);
                asked.insert(explained.policy);
            }
        }
        let unasked: Vec<_> =
            policies.all().unwrap().iter().map(|p| p.name.clone()).filter(|n| !asked.contains(n)).collect();
        assert_eq!(unasked, Vec::<String>::new(), "no case asks these");
    }

    #[test]
    fn an_expectation_that_does_not_hold_is_told_with_what_was_expected() {
        let text = "policy = 'default'\n[[case]]\nshell = true\nexpect = 'deny'\n[[case]]\nconnect = 'a.com:443'\nexpect = 'deny'\nrule = 'network.ports'";
        let wrong: Vec<_> =
            try_text(text).unwrap().into_iter().map(|outcome| outcome.wrong.unwrap()).collect();
        assert_eq!(
            wrong,
            ["denied was expected", "the rule network.ports was expected, and network.mode decided"]
        );
    }

    #[test]
    fn what_is_no_case_is_refused() {
        for bad in [
            "",
            "[[case]]\nshell = true\nexpect = 'deny'",
            "policy = 'default'\n[[case]]\nshell = true",
            "policy = 'default'\n[[case]]\nexpect = 'deny'",
            "policy = 'default'\n[[case]]\nshell = true\nrun = 'python'\nexpect = 'deny'",
            "policy = 'default'\n[[case]]\nshel = true\nexpect = 'deny'",
            "policy = 'default'\n[[case]]\nmemory = '2GB'\nexpect = 'deny'",
            "policy = 'default'\n[[case]]\nrun = 'ruby'\nexpect = 'deny'",
            "policy = 'nonsense'\n[[case]]\nshell = true\nexpect = 'deny'",
        ] {
            assert!(try_text(bad).is_err(), "{bad}");
        }
    }
}
