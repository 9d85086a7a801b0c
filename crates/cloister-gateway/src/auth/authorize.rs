//! Whether a caller may do something: the one function that says so.

use super::{Caller, Role};
use cloister_core::error::{Error, Kind};

/// What somebody wants to do. Every route and operation names one, and does not compile without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// What is for everybody and needs no caller: whether the server lives, the scripts of the live view's page.
    Public,
    /// Read what the server says of itself.
    ReadServer,
    /// Start a session.
    StartSession,
    /// List one's sessions.
    ListSessions,
    /// Look at a session.
    GetSession,
    /// Stop a session.
    StopSession,
    /// Run code, commands and file tools; start and stop background tasks.
    Invoke,
    /// List and fetch files.
    ReadFiles,
    /// Write and remove files.
    WriteFiles,
    /// Drive a browser by actions.
    Act,
    /// Speak CDP to a browser.
    Connect,
    /// Watch a browser, live or recorded.
    Watch,
    /// Take a browser over from automation, or let automation have it.
    Control,
}

/// With what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    /// The server itself.
    Server,
    /// A configured interpreter or browser, as the request names it.
    Interpreter(&'a str),
    /// A session, as the request names it. Whose it is, the session manager says: a foreign one does not exist.
    Session(&'a str),
}

/// Fails if `caller` may not do this. What is not allowed is forbidden.
///
/// The resource does not count yet: roles are for everything that a principal has.
pub(crate) fn authorize(caller: &Caller, action: Action, resource: Resource<'_>) -> Result<(), Error> {
    let least = match action {
        Action::Public
        | Action::ReadServer
        | Action::ListSessions
        | Action::GetSession
        | Action::ReadFiles
        | Action::Watch => Role::Viewer,
        Action::StartSession
        | Action::StopSession
        | Action::Invoke
        | Action::WriteFiles
        | Action::Act
        | Action::Connect
        | Action::Control => Role::User,
    };
    if caller.roles.iter().any(|role| *role >= least) {
        return Ok(());
    }
    tracing::info!(principal = ?caller.principal, ?action, ?resource, "denied: no role allows it");
    let roles: Vec<_> = caller.roles.iter().map(|role| role.word()).collect();
    let has = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
    Err(Error::new(
        Kind::AccessDenied,
        format!(
            "this needs the role {}, and the caller's is {has}; ask whoever issues keys for this server",
            least.word()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(roles: &[Role], action: Action) -> bool {
        let caller = Caller { roles: roles.to_vec(), ..Caller::local() };
        authorize(&caller, action, Resource::Server).is_ok()
    }

    #[test]
    fn who_only_looks_changes_nothing_and_who_has_no_role_does_not_even_look() {
        for action in
            [Action::ReadServer, Action::ListSessions, Action::GetSession, Action::ReadFiles, Action::Watch]
        {
            assert!(
                may(&[Role::Viewer], action) && may(&[Role::User], action) && may(&[Role::Admin], action)
            );
            assert!(!may(&[], action), "{action:?}");
        }
        for action in [
            Action::StartSession,
            Action::StopSession,
            Action::Invoke,
            Action::WriteFiles,
            Action::Act,
            Action::Connect,
            Action::Control,
        ] {
            assert!(!may(&[Role::Viewer], action), "{action:?}");
            assert!(may(&[Role::Viewer, Role::User], action) && may(&[Role::Admin], action));
        }
    }
}
