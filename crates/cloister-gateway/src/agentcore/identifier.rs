//! Interpreter identifiers: from what a client wrote (an id or an ARN) to the key of the configured
//! interpreter.

use super::validate::field_error;
use cloister_core::error::{Error, Field};
use regex_lite::Regex;
use std::sync::LazyLock;

/// Longest identifier that is looked at; an ARN has at most 2,048 characters.
const LONGEST: usize = 2_048;

/// The key that an identifier means: itself, or the last part of an ARN of a code interpreter.
///
/// Account and region of an ARN are not compared with anything: a self-hosted server has neither, and clients
/// are configured with made-up ones.
pub(crate) fn key(identifier: &str) -> Result<&str, Error> {
    static FORMS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let arn = "arn:aws(?:-[a-z]+)*:bedrock-agentcore:[a-z0-9-]+:(?:aws|[0-9]{12}):code-interpreter(?:-custom)?/";
        Regex::new(&format!("^(?:{arn})?([A-Za-z][A-Za-z0-9_.-]{{0,99}})$")).ok()
    });
    let bad = || {
        field_error(vec![Field {
            name: "codeInterpreterIdentifier".into(),
            message: "Member must be an interpreter's id (aws.codeinterpreter.v1) or an ARN that ends in \
                      code-interpreter/ID or code-interpreter-custom/ID"
                .into(),
        }])
    };
    if identifier.len() > LONGEST {
        return Err(bad());
    }
    let found = FORMS.as_ref().and_then(|forms| forms.captures(identifier)).and_then(|c| c.get(1));
    found.map(|key| key.as_str()).ok_or_else(bad)
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

    #[test]
    fn ids_and_arns_mean_the_same_interpreter() {
        for (identifier, expected) in GOOD {
            assert_eq!(key(identifier).unwrap(), expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "x".repeat(3_000);
        for bad in BAD.into_iter().chain([long.as_str()]) {
            let error = key(bad).unwrap_err();
            assert_eq!(error.fields[0].name, "codeInterpreterIdentifier", "{bad:?}");
        }
    }

    #[test]
    fn the_openapi_document_describes_the_same_identifiers() {
        let document: serde_json::Value = serde_json::from_str(crate::pages::OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let parameters = paths.flat_map(|path| path["parameters"].as_array().into_iter().flatten());
        let ours: Vec<_> = parameters.filter(|p| p["name"] == "codeInterpreterIdentifier").collect();
        assert_eq!(ours.len(), 5);
        for parameter in ours {
            let pattern = Regex::new(parameter["schema"]["pattern"].as_str().unwrap()).unwrap();
            assert!(GOOD.iter().all(|(good, _)| pattern.is_match(good)));
            assert!(BAD.iter().all(|bad| !pattern.is_match(bad)));
        }
    }
}
