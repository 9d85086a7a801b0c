//! What is done with sessions, each time after the question whether the caller may do exactly that.
//!
//! ```text
//! door: Start · Invoke · Act (the head) ─▶ body ─▶ here: StartSession{interpreter, timeout} · InvokeCode{language} · OpenUrl{host} …
//!                                                   └─▶ SessionManager
//! ```
//!
//! INVARIANT: nothing else in this crate calls the manager's `start`, `fork` and `invoke`; `tests/tidy` looks for it.

use super::access::{Action, Details, Resource};
use super::{Caller, authorize_with};
use crate::state::Gateway;
use cloister_core::SessionId;
use cloister_core::browser::Step;
use cloister_core::command::{Language, ToolCall};
use cloister_core::error::Error;
use cloister_core::session::{ForkSession, Invocation, InvokeOptions, SessionRecord, StartSession};

/// Starts a session.
pub(crate) async fn start(
    gateway: &Gateway,
    caller: &Caller,
    request: StartSession,
) -> Result<SessionRecord, Error> {
    let details = Details { timeout: request.timeout, ..Details::default() };
    let resource = Resource::Interpreter(&request.key);
    authorize_with(gateway, caller, Action::StartSession, resource, details)?;
    gateway.manager().start(&caller.principal, request).await
}

/// Starts a copy of a session.
pub(crate) async fn fork(
    gateway: &Gateway,
    caller: &Caller,
    id: &SessionId,
    request: ForkSession,
) -> Result<SessionRecord, Error> {
    let details = Details { timeout: request.timeout, ..Details::default() };
    let resource = Resource::Session(id.as_str());
    authorize_with(gateway, caller, Action::ForkSession, resource, details)?;
    gateway.manager().fork(&caller.principal, id, request).await
}

/// Makes a call.
pub(crate) async fn invoke(
    gateway: &Gateway,
    caller: &Caller,
    key: Option<&str>,
    id: &SessionId,
    call: ToolCall,
    options: InvokeOptions,
) -> Result<Invocation, Error> {
    for (action, details) in asks(&call) {
        let details = Details { timeout: options.timeout, ..details };
        authorize_with(gateway, caller, action, Resource::Session(id.as_str()), details)?;
    }
    gateway.manager().invoke(&caller.principal, key, id, call, options).await
}

/// Everything that a call does, in the words of policies.
fn asks(call: &ToolCall) -> Vec<(Action, Details<'_>)> {
    let plain = |action| vec![(action, Details::default())];
    match call {
        ToolCall::ExecuteCode { code: _, language, runtime, clear_context: _ } => {
            let (language, runtime) = (Some(word(*language)), Some(runtime.name()));
            vec![(Action::InvokeCode, Details { language, runtime, ..Details::default() })]
        }
        ToolCall::ExecuteCommand { .. }
        | ToolCall::StartCommandExecution { .. }
        | ToolCall::StopTask { .. } => plain(Action::InvokeCommand),
        ToolCall::GetTask { .. } => plain(Action::GetSession),
        ToolCall::ReadFiles { .. } | ToolCall::ListFiles { .. } | ToolCall::ReadRange { .. } => {
            plain(Action::DownloadFile)
        }
        ToolCall::WriteFiles { .. } | ToolCall::RemoveFiles { .. } | ToolCall::NameFile { .. } => {
            plain(Action::UploadFile)
        }
        ToolCall::Checkpoint | ToolCall::Restore { .. } => plain(Action::Snapshot),
        ToolCall::Act { .. } => plain(Action::Act),
        ToolCall::Perform { steps } => {
            let mut asked = plain(Action::Act);
            asked.extend(steps.iter().filter_map(address).map(|url| (Action::OpenUrl, opened(url))));
            asked
        }
    }
}

fn word(language: Language) -> &'static str {
    match language {
        Language::Python => "python",
        Language::JavaScript => "javascript",
        Language::TypeScript => "typescript",
    }
}

/// The address that a page action opens.
fn address(step: &Step) -> Option<&str> {
    match step {
        Step::Navigate { url, .. } => Some(url),
        Step::OpenTab { url } => url.as_deref(),
        _ => None,
    }
}

/// What an address says, where it says it plainly. A browser takes many spellings for the same host; one that is not plain has none
/// here, so that a policy which permits by host does not permit it.
fn opened(url: &str) -> Details<'_> {
    let Some((scheme, rest)) = url.split_once(':') else { return Details::default() };
    let plain_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase());
    let host = rest.strip_prefix("//").filter(|_| plain_scheme).and_then(|rest| {
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = match authority.split_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            Some(_) => return None,
            None => authority,
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        (!host.is_empty() && host.bytes().all(plain)).then_some(host)
    });
    Details { scheme: Some(scheme).filter(|_| plain_scheme), host, ..Details::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::browser::page::LoadState;
    use cloister_core::command::Runtime;

    #[test]
    fn an_address_has_a_host_where_it_is_plain_and_none_where_it_could_be_read_in_two_ways() {
        for (url, scheme, host) in [
            ("https://a.example/x?y#z", Some("https"), Some("a.example")),
            ("http://a.example:8080", Some("http"), Some("a.example")),
            ("https://a.example", Some("https"), Some("a.example")),
            ("about:blank", Some("about"), None),
            ("data:text/html,x", Some("data"), None),
            ("https://user@a.example/", Some("https"), None),
            ("https://a.example\\@b.example/", Some("https"), None),
            ("https:\\\\a.example/", Some("https"), None),
            ("https://A.example/", Some("https"), None),
            ("https://%61.example/", Some("https"), None),
            ("https://b\u{fc}cher.example/", Some("https"), None),
            ("https://a.example:8x/", Some("https"), None),
            ("ht\ttps://a.example/", None, None),
            ("a.example", None, None),
            ("https:///a.example", Some("https"), None),
        ] {
            let found = opened(url);
            assert_eq!((found.scheme, found.host), (scheme, host), "{url}");
        }
    }

    #[test]
    fn a_call_is_asked_about_with_everything_that_it_does() {
        let code = ToolCall::ExecuteCode {
            code: "1".into(),
            language: Language::JavaScript,
            runtime: Runtime::Deno,
            clear_context: false,
        };
        let asked = asks(&code);
        assert_eq!(asked.len(), 1);
        assert_eq!(
            (asked[0].0, asked[0].1.language, asked[0].1.runtime),
            (Action::InvokeCode, Some("javascript"), Some("deno"))
        );
        let navigate = |url: &str| Step::Navigate { url: url.into(), wait: LoadState::Load };
        let steps = vec![navigate("https://a.example/"), Step::Reload, navigate("http://b.example/")];
        let call = ToolCall::Perform { steps };
        let hosts: Vec<_> = asks(&call).into_iter().map(|(action, details)| (action, details.host)).collect();
        assert_eq!(
            hosts,
            [(Action::Act, None), (Action::OpenUrl, Some("a.example")), (Action::OpenUrl, Some("b.example"))]
        );
    }
}
