//! In what two policies differ, widened rights first.

use cloister_core::policy::Policy;
use cloister_core::policy::narrow::widenings;

/// Which way a field has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// It grants more, or something else instead.
    Wider,
    /// It grants less.
    Narrower,
    /// It grants nothing.
    Other,
}

impl Way {
    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Other => "other",
        }
    }
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) way: Way,
    pub(crate) field: &'static str,
    pub(crate) old: String,
    pub(crate) new: String,
}

/// The fields that differ, in the order wider, narrower, other.
pub(crate) fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let (wider, narrower) = (widenings(new, old), widenings(old, new));
    let way = |field: &str| match (wider.contains(&field), narrower.contains(&field)) {
        (true, _) => Way::Wider,
        (false, true) => Way::Narrower,
        (false, false) => Way::Other,
    };
    let rows = old.describe().into_iter().zip(new.describe());
    let mut changes: Vec<_> = rows
        .filter(|(old, new)| old.value != new.value)
        .map(|(old, new)| Change { way: way(old.field), field: old.field, old: old.value, new: new.value })
        .collect();
    changes.sort_by_key(|change| change.way);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widened_rights_come_first_and_what_grants_nothing_last() {
        let old = Policy::built_in("a");
        let mut new = Policy { image: "other".into(), ..Policy::built_in("b") };
        new.resources.memory = 1 << 30;
        new.time.call *= 2;
        new.network.denied_domains = vec!["a.com".into()];
        let found: Vec<_> = diff(&old, &new).into_iter().map(|change| (change.way, change.field)).collect();
        assert_eq!(
            found,
            [
                (Way::Wider, "time.call"),
                (Way::Narrower, "network.denied_domains"),
                (Way::Narrower, "resources.memory"),
                (Way::Other, "image"),
            ]
        );
        assert_eq!(diff(&old, &old), []);
    }

    #[test]
    fn a_list_that_has_lost_one_entry_and_won_another_is_wider() {
        let with = |domain: &str| {
            let mut policy = Policy::built_in("p");
            policy.network.mode = cloister_core::policy::NetworkMode::Allowlist;
            policy.network.allowed_domains = vec![domain.to_owned()];
            policy
        };
        assert_eq!(diff(&with("a.com"), &with("b.com"))[0].way, Way::Wider);
        assert_eq!(diff(&with("*.a.com"), &with("b.a.com"))[0].way, Way::Narrower);
    }
}
