//! The operations that this server answers, one row each, and the routing of AWS-shaped requests.
//!
//! ```text
//! method + raw path ──split on '/'──▶ template ──▶ labels, percent-decoded ──▶ handler
//! ```
//!
//! The path is split before it is decoded: an ARN arrives as one segment (`arn%3Aaws…%2Fname-abcdefghij`),
//! and its slash must not become a separator.

use super::model::{self, Operation, Plane};
use crate::auth::Action;
use crate::percent;

/// An operation that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    StartCodeInterpreterSession,
    GetCodeInterpreterSession,
    ListCodeInterpreterSessions,
    StopCodeInterpreterSession,
    InvokeCodeInterpreter,
    StartBrowserSession,
    GetBrowserSession,
    ListBrowserSessions,
    StopBrowserSession,
    UpdateBrowserStream,
    InvokeBrowser,
}

impl Op {
    /// What its caller wants to do.
    pub(crate) fn action(self) -> Action {
        match self {
            Self::StartCodeInterpreterSession | Self::StartBrowserSession => Action::Start,
            Self::GetCodeInterpreterSession | Self::GetBrowserSession => Action::GetSession,
            Self::ListCodeInterpreterSessions | Self::ListBrowserSessions => Action::ListSessions,
            Self::StopCodeInterpreterSession | Self::StopBrowserSession => Action::StopSession,
            Self::InvokeCodeInterpreter => Action::Invoke,
            Self::UpdateBrowserStream => Action::ControlBrowser,
            Self::InvokeBrowser => Action::Act,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) op: Op,
    /// The model's name.
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    pub(crate) uri: &'static str,
}

/// The table. A test compares it with the service model.
pub(crate) const ROWS: &[Row] = &[
    Row {
        op: Op::StartCodeInterpreterSession,
        name: "StartCodeInterpreterSession",
        method: "PUT",
        uri: "/code-interpreters/{codeInterpreterIdentifier}/sessions/start",
    },
    Row {
        op: Op::GetCodeInterpreterSession,
        name: "GetCodeInterpreterSession",
        method: "GET",
        uri: "/code-interpreters/{codeInterpreterIdentifier}/sessions/get",
    },
    Row {
        op: Op::ListCodeInterpreterSessions,
        name: "ListCodeInterpreterSessions",
        method: "POST",
        uri: "/code-interpreters/{codeInterpreterIdentifier}/sessions/list",
    },
    Row {
        op: Op::StopCodeInterpreterSession,
        name: "StopCodeInterpreterSession",
        method: "PUT",
        uri: "/code-interpreters/{codeInterpreterIdentifier}/sessions/stop",
    },
    Row {
        op: Op::InvokeCodeInterpreter,
        name: "InvokeCodeInterpreter",
        method: "POST",
        uri: "/code-interpreters/{codeInterpreterIdentifier}/tools/invoke",
    },
    Row {
        op: Op::StartBrowserSession,
        name: "StartBrowserSession",
        method: "PUT",
        uri: "/browsers/{browserIdentifier}/sessions/start",
    },
    Row {
        op: Op::GetBrowserSession,
        name: "GetBrowserSession",
        method: "GET",
        uri: "/browsers/{browserIdentifier}/sessions/get",
    },
    Row {
        op: Op::ListBrowserSessions,
        name: "ListBrowserSessions",
        method: "POST",
        uri: "/browsers/{browserIdentifier}/sessions/list",
    },
    Row {
        op: Op::StopBrowserSession,
        name: "StopBrowserSession",
        method: "PUT",
        uri: "/browsers/{browserIdentifier}/sessions/stop",
    },
    Row {
        op: Op::UpdateBrowserStream,
        name: "UpdateBrowserStream",
        method: "PUT",
        uri: "/browsers/{browserIdentifier}/sessions/streams/update",
    },
    Row {
        op: Op::InvokeBrowser,
        name: "InvokeBrowser",
        method: "POST",
        uri: "/browsers/{browserIdentifier}/sessions/invoke",
    },
];

/// Labels of a path, by name, decoded.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Routed {
    /// To an operation that is answered.
    Served(&'static Row, Labels),
    /// A label of its path is not percent-encoded UTF-8; the label's name.
    BadLabel(&'static str),
    /// To an operation of the model that this server does not have.
    NotServed(&'static Operation),
    /// Nowhere.
    Unknown,
}

/// Finds the operation of a request by its method and its path as it stood in the request line.
pub(crate) fn route(method: &str, raw_path: &str) -> Routed {
    for row in ROWS.iter().filter(|row| row.method == method) {
        if let Some(raw) = matched(row.uri, raw_path) {
            let mut labels = Labels::new();
            for (name, text) in raw {
                match percent::decode(text) {
                    Some(text) => labels.push((name, text)),
                    None => return Routed::BadLabel(name),
                }
            }
            return Routed::Served(row, labels);
        }
    }
    let known = model::OPERATIONS.iter().find(|o| o.method == method && matched(o.uri, raw_path).is_some());
    known.map_or(Routed::Unknown, Routed::NotServed)
}

/// The name of an operation's service, for messages.
pub(crate) fn service(plane: Plane) -> &'static str {
    match plane {
        Plane::Data => "bedrock-agentcore",
        Plane::Control => "bedrock-agentcore-control",
    }
}

/// The raw labels of a path that fits a template.
fn matched<'p>(template: &'static str, path: &'p str) -> Option<Vec<(&'static str, &'p str)>> {
    let mut labels = Vec::new();
    // botocore drops a trailing slash of templates such as `/browsers/`; others send it.
    let mut parts = path.split('/');
    for wanted in template.trim_end_matches('/').split('/') {
        let part = parts.next()?;
        match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) if !part.is_empty() => labels.push((name, part)),
            Some(_) => return None,
            None if wanted == part => {}
            None => return None,
        }
    }
    match (parts.next(), parts.next()) {
        (None, _) => Some(labels),
        (Some(""), None) if template.ends_with('/') => Some(labels),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{OPERATIONS, SERVED};
    use super::*;

    #[test]
    fn names_methods_and_uris_are_those_of_the_model() {
        for row in ROWS {
            let model = OPERATIONS.iter().find(|o| o.name == row.name && o.plane == Plane::Data).unwrap();
            assert_eq!((row.method, row.uri), (model.method, model.uri), "{}", row.name);
        }
        let mut rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        let mut served: Vec<_> = SERVED.iter().map(|s| s.name).collect();
        rows.sort_unstable();
        served.sort_unstable();
        assert_eq!(
            rows, served,
            "SERVED in scripts/generate-model.py and ROWS must list the same operations"
        );
    }

    #[test]
    fn every_operation_of_the_model_is_recognised() {
        for operation in OPERATIONS {
            let path: Vec<_> =
                operation.uri.split('/').map(|s| if s.starts_with('{') { "x" } else { s }).collect();
            match route(operation.method, &path.join("/")) {
                Routed::Served(row, _) => assert_eq!(row.name, operation.name),
                // Some templates of the model fit the same path (`/x/{id}` and `/x/literal`), so only the
                // fact counts.
                Routed::NotServed(_) => {}
                other => panic!("{}: {other:?}", operation.name),
            }
        }
    }

    #[test]
    fn an_arn_is_one_segment() {
        let arn =
            "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3Aaws%3Acode-interpreter%2Faws.codeinterpreter.v1";
        let Routed::Served(row, labels) = route("PUT", &format!("/code-interpreters/{arn}/sessions/start"))
        else {
            panic!()
        };
        assert_eq!(row.op, Op::StartCodeInterpreterSession);
        let decoded = "arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1";
        assert_eq!(labels, [("codeInterpreterIdentifier", decoded.to_owned())]);
    }

    #[test]
    fn other_spellings_of_a_path_lead_nowhere() {
        for path in [
            "/code-interpreters//sessions/start",
            "//code-interpreters/x/sessions/start",
            "/code-interpreters/x/sessions/start/",
            "/code-interpreters/x/sessions/START",
            "/code-interpreters/x/sessions%2Fstart",
            "/code-interpreters/x/y/sessions/start",
            "/",
            "",
        ] {
            assert!(matches!(route("PUT", path), Routed::Unknown), "{path}");
        }
        assert!(matches!(route("POST", "/code-interpreters/x/sessions/start"), Routed::Unknown));
        assert!(matches!(route("PUT", "/code-interpreters/%ff/sessions/start"), Routed::BadLabel(_)));
        assert!(matches!(route("PUT", "/code-interpreters/%zz/sessions/start"), Routed::BadLabel(_)));
    }
}
