//! The words of quotas that are used up.

use super::{Quota, Scope};
use crate::audit::Desk;
use crate::denial::{Denial, Denials as _, Layer};
use crate::error::{Error, Kind};
use crate::event::bytes_text;
use crate::id::Principal;
use std::time::Duration;

/// A quota is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedUp {
    pub(super) who: Principal,
    pub(super) quota: Quota,
    pub(super) scope: Scope,
    pub(super) used: u64,
    pub(super) limit: u64,
    /// What would have come on top, where that is not one.
    pub(super) asked: u64,
    /// When it is worth another try, if waiting helps and nothing else is used meanwhile.
    pub(super) wait: Option<Duration>,
}

impl UsedUp {
    /// When it is worth another try: whole seconds, rounded up.
    fn seconds(&self) -> Option<u64> {
        self.wait.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).map(|wait| wait.max(1))
    }

    /// As an error that has been noted. Starts that come too fast are a matter of pace (429); the rest is one of quota (402), which
    /// clients do not try again by themselves.
    pub(crate) fn error(self, desk: &Desk, action: &str) -> Error {
        let kind = if self.quota == Quota::Starts { Kind::Throttled } else { Kind::QuotaExceeded };
        let Principal { tenant, name } = &self.who;
        let whose = match self.scope {
            Scope::Principal => format!("{tenant}/{name}"),
            Scope::Tenant => format!("the tenant {tenant}"),
        };
        let (used, limit) = (self.used, self.limit);
        let why = match self.quota {
            Quota::Sessions => format!("{whose} has {used} live sessions, and its quota is {limit}"),
            Quota::Starts => {
                format!("{whose} has started {used} sessions within a minute, and its quota is {limit}")
            }
            Quota::Cpu => {
                format!("{whose} has used {used} s of CPU time within 24 hours, and its quota is {limit} s")
            }
            Quota::Stored => format!(
                "{whose} has {} of recordings (those in the making count whole), and {} more are beyond its quota of {}",
                bytes_text(used),
                bytes_text(self.asked),
                bytes_text(limit)
            ),
        };
        let wait = self.seconds().map(|wait| format!("try again in {wait} s, or ")).unwrap_or_default();
        let first = match self.quota {
            Quota::Sessions => "Stop one, or ",
            _ if wait.is_empty() => "",
            _ => "Wait: ",
        };
        let rule = format!("quotas.{}.{}", self.scope.name(), self.quota.name());
        let ask = format!("{first}{wait}ask whoever runs this server for a higher quota");
        let mut how = ask.chars();
        let how: String = how.next().map(|c| c.to_uppercase().chain(how).collect()).unwrap_or_default();
        let denial =
            Denial::new(Layer::Quota, rule, action, why, how).matched(limit.to_string()).owner(&self.who);
        let error = Error::denied(kind, desk.note(denial));
        match self.seconds() {
            Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
            None => error,
        }
    }
}
