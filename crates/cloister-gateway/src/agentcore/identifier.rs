//! Identifiers of interpreters and browsers: from what a client wrote (an id or an ARN) to the key of what is
//! configured.

use super::validate::field_error;
use cloister_core::error::{Error, Field};
use cloister_core::session::SessionKind;
use regex_lite::Regex;
use std::sync::LazyLock;

/// Longest identifier that is looked at; an ARN has at most 2,048 characters.
const LONGEST: usize = 2_048;

/// The label of the paths of a kind, and the name in its errors.
pub(crate) fn label(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Code => "codeInterpreterIdentifier",
        SessionKind::Browser => "browserIdentifier",
    }
}

/// The key that an identifier means: itself, or the last part of an ARN of the right kind of resource.
///
/// Account and region of an ARN are not compared with anything: a self-hosted server has neither, and clients
/// are configured with made-up ones.
pub(crate) fn key(kind: SessionKind, identifier: &str) -> Result<&str, Error> {
    static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| forms("code-interpreter"));
    static BROWSER: LazyLock<Option<Regex>> = LazyLock::new(|| forms("browser"));
    let (forms, resource, example) = match kind {
        SessionKind::Code => (&CODE, "code-interpreter", "aws.codeinterpreter.v1"),
        SessionKind::Browser => (&BROWSER, "browser", "aws.browser.v1"),
    };
    let bad = || {
        let message = format!(
            "Member must be an id (such as {example}) or an ARN that ends in {resource}/ID or {resource}-custom/ID"
        );
        field_error(vec![Field { name: label(kind).into(), message }])
    };
    if identifier.len() > LONGEST {
        return Err(bad());
    }
    let found = forms.as_ref().and_then(|forms| forms.captures(identifier)).and_then(|c| c.get(1));
    found.map(|key| key.as_str()).ok_or_else(bad)
}

/// The key in an identifier of whatever kind; what is none stays as it is. For policies, before the identifier is checked.
pub(crate) fn bare(identifier: &str) -> &str {
    key(SessionKind::Code, identifier)
        .or_else(|_| key(SessionKind::Browser, identifier))
        .unwrap_or(identifier)
}

fn forms(resource: &str) -> Option<Regex> {
    let arn = "arn:aws(?:-[a-z]+)*:bedrock-agentcore:[a-z0-9-]+:(?:aws|[0-9]{12})";
    Regex::new(&format!("^(?:{arn}:{resource}(?:-custom)?/)?([A-Za-z][A-Za-z0-9_.-]{{0,99}})$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("aws.codeinterpreter.v1", "aws.codeinterpreter.v1"),
        ("my_tool-abcdefghij", "my_tool-abcdefghij"),
        (
            "arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1",
            "aws.codeinterpreter.v1",
        ),
        (
            "arn:aws-us-gov:bedrock-agentcore:us-gov-west-1:123456789012:code-interpreter-custom/x-abcdefghij",
            "x-abcdefghij",
        ),
    ];

    const BAD: [&str; 9] = [
        "",
        "a/b",
        "../x",
        "arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1",
        "arn:aws:s3:us-west-2:aws:code-interpreter/x",
        "arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/a/b",
        "arn:aws:bedrock-agentcore:us-west-2:1234:code-interpreter/x",
        "x\n",
        "é",
    ];

    /// The same identifier of the other kind.
    fn swapped(identifier: &str) -> String {
        identifier
            .replace("code-interpreter", "\0")
            .replace("browser", "code-interpreter")
            .replace('\0', "browser")
    }

    #[test]
    fn ids_and_arns_mean_the_same_interpreter() {
        for (identifier, expected) in GOOD {
            assert_eq!(key(SessionKind::Code, identifier).unwrap(), expected);
            assert_eq!(key(SessionKind::Browser, &swapped(identifier)).unwrap(), expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "x".repeat(3_000);
        for bad in BAD.into_iter().chain([long.as_str()]) {
            let error = key(SessionKind::Code, bad).unwrap_err();
            assert_eq!(error.fields[0].name, "codeInterpreterIdentifier", "{bad:?}");
            let error = key(SessionKind::Browser, &swapped(bad)).unwrap_err();
            assert_eq!(error.fields[0].name, "browserIdentifier", "{bad:?}");
        }
    }

    #[test]
    fn the_openapi_document_describes_the_same_identifiers() {
        let document: serde_json::Value = serde_json::from_str(crate::pages::OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let parameters = paths.flat_map(|path| path["parameters"].as_array().into_iter().flatten());
        let parameters: Vec<_> = parameters.collect();
        for (kind, count) in [(SessionKind::Code, 5), (SessionKind::Browser, 11)] {
            let ours: Vec<_> = parameters.iter().filter(|p| p["name"] == label(kind)).collect();
            assert_eq!(ours.len(), count);
            for parameter in ours {
                let pattern = Regex::new(parameter["schema"]["pattern"].as_str().unwrap()).unwrap();
                let of = |text: &str| if kind == SessionKind::Code { text.to_owned() } else { swapped(text) };
                assert!(GOOD.iter().all(|(good, _)| pattern.is_match(&of(good))));
                assert!(BAD.iter().all(|bad| !pattern.is_match(&of(bad))));
            }
        }
    }
}
