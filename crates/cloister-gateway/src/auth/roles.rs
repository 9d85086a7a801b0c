//! The ladder of roles as an authorizer: for a gateway that is embedded without policies, and what the shipped policies are
//! compared with.

use super::access::{Action, Authorizer, Decision, Query, Refused};
use super::keys::Role;

/// Decides by the caller's roles and by nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByRole;

impl ByRole {
    /// The least role that an action needs.
    pub fn least(action: Action) -> Role {
        match action {
            Action::Public
            | Action::ReadServer
            | Action::ReadQuotas
            | Action::ListSessions
            | Action::GetSession
            | Action::DownloadFile
            | Action::ViewLive => Role::Viewer,
            Action::Start
            | Action::StartSession
            | Action::ForkSession
            | Action::StopSession
            | Action::Invoke
            | Action::InvokeCode
            | Action::InvokeCommand
            | Action::Snapshot
            | Action::UploadFile
            | Action::Act
            | Action::OpenUrl
            | Action::CdpCall
            | Action::ControlBrowser => Role::User,
            Action::ReadAudit | Action::ChangePolicy => Role::Admin,
        }
    }
}

impl Authorizer for ByRole {
    fn decide(&self, query: &Query<'_>) -> Decision {
        let least = Self::least(query.action);
        if query.roles.iter().any(|role| *role >= least) {
            return Decision::Allow;
        }
        let (action, has, least) = (query.action.word(), words(query.roles), least.word());
        Decision::Deny(Refused {
            rule: "role".to_owned(),
            why: format!("{action} needs the role {least}, and the caller's is {has}"),
            how: format!("Ask whoever issues keys for this server for one with the role {least}"),
        })
    }
}

/// Roles in a sentence.
pub(crate) fn words(roles: &[Role]) -> String {
    let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
