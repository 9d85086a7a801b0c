//! What a session reached and was refused since it was last asked: for the receipts of its calls.

use crate::denial::Noted;

/// Different destinations that one receipt names. The rest is counted.
const MOST: usize = 64;

/// A destination, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Host or address, as the session named it; it has passed the proxy's parser.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it was let through.
    pub passage: Passage,
    /// The rule that decided.
    pub rule: String,
    /// How many times.
    pub count: u64,
}

/// Whether something was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It was.
    Allowed,
    /// It was not.
    Refused,
}

impl Passage {
    /// The word in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }
}

/// What happened since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Each destination once.
    pub egress: Vec<Reached>,
    /// Decisions about destinations that are not named.
    pub omitted: u64,
    /// Refusals, each once.
    pub denials: Vec<Noted>,
}

impl Seen {
    pub(super) fn reach(&mut self, reached: Reached) {
        let Reached { host, port, passage, rule, count } = &reached;
        let same = self.egress.iter_mut().find(|known| {
            (&known.host, &known.port, &known.passage, &known.rule) == (host, port, passage, rule)
        });
        if let Some(known) = same {
            known.count += count;
        } else if self.egress.len() < MOST {
            self.egress.push(reached);
        } else {
            self.omitted += count;
        }
    }

    /// The same, after what the call's own programs were refused.
    #[must_use]
    pub(crate) fn with(mut self, met: Vec<Noted>) -> Self {
        let before = std::mem::replace(&mut self.denials, met);
        before.iter().for_each(|noted| self.refuse(noted));
        self
    }

    pub(super) fn refuse(&mut self, noted: &Noted) {
        if self.denials.len() < MOST && self.denials.iter().all(|known| known.id != noted.id) {
            self.denials.push(noted.clone());
        }
    }
}
