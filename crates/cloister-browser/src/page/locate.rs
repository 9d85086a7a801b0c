//! Finds the element that a selector means, and waits until it is what a step needs.
//!
//! ```text
//!   look ──▶ css, text: find.js · role: the accessibility tree · ref: the snapshot's names
//!     └──▶ state.js: attached, visible, enabled, editable, and the point where a click reaches it
//!            └── fits the need, and has not moved since the last look ──▶ Located
//!                else again, until the time is over: then what was in the way is the failure
//! ```

use super::run::Run;
use super::trouble::{Outcome, Trouble, failed};
use super::world::{Handle, On, Sought};
use super::{similar, tree, world};
use cloister_core::browser::page::Selector;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FIND: &str = include_str!("js/find.js");
const STATE: &str = include_str!("js/state.js");
/// Pauses between looks, in milliseconds; the last one repeats. Most pages are ready at the first look.
const PAUSES: [u64; 4] = [16, 34, 50, 100];
/// What is kept of the time to say why nothing was found.
const EXPLAIN: Duration = Duration::from_millis(200);

/// What a step needs of its element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It is in the document.
    Attached,
    /// It can be seen.
    Visible,
    /// It can be seen, stands still, is enabled, and receives the click.
    Click,
    /// It can be seen, stands still, and nothing covers it.
    Hover,
    /// It can be seen and written to.
    Edit,
}

/// A rectangle in the main frame's viewport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Box {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What state.js says of an element.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    attached: bool,
    pub(super) visible: bool,
    enabled: bool,
    editable: bool,
    pub(super) tag: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) description: String,
    #[serde(rename = "box")]
    pub(super) area: Option<Box>,
    x: Option<f64>,
    y: Option<f64>,
    covered: Option<String>,
}

/// An element that fits the need.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) handle: Handle,
    pub(super) state: State,
}

impl Located {
    /// Where a click reaches it.
    pub(super) fn point(&self) -> (i32, i32) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float cast saturates, and a viewport has less than 2^31 pixels"
        )]
        let whole = |n: Option<f64>| n.unwrap_or_default().floor() as i32;
        (whole(self.state.x), whole(self.state.y))
    }
}

/// Why the last look did not do.
enum Lack {
    Absent,
    /// In words, with the element's description.
    Unfit(String),
}

/// Looks once. `None`: there is none.
pub(super) async fn look(run: &Run<'_>, selector: &Selector) -> Outcome<Option<Handle>> {
    let (kind, wanted) = match selector {
        Selector::Css(css) => ("css", css),
        Selector::Text(text) => ("text", text),
        Selector::Role { role, name } => return tree::by_role(run, role, name.as_deref()).await,
        Selector::Ref(name) => return by_reference(run, name).await,
    };
    match world::seek(&run.tab, FIND, &[json!(kind), json!(wanted)], run.left()).await? {
        Sought::Found(handle) => Ok(Some(handle)),
        Sought::Nothing => Ok(None),
        Sought::Wrong(why) => Err(failed("invalid", format!("{why}: give another selector"))),
    }
}

async fn by_reference(run: &Run<'_>, name: &str) -> Outcome<Option<Handle>> {
    let loader = run.tab.state.borrow().document.loader.clone();
    let known = {
        let references = run.tab.references();
        let current = references.loader == loader;
        current.then(|| references.nodes.get(name).cloned()).flatten()
    };
    let stale =
        || failed("not_found", format!("there is no element {name} in this document: take a new snapshot"));
    let (node, frame) = known.ok_or_else(stale)?;
    world::resolve(&run.tab, node, &frame, run.left()).await?.map(Some).ok_or_else(stale)
}

/// What an element is like now; `None` if its document went away.
pub(super) async fn state(run: &Run<'_>, handle: &Handle, reveal: bool) -> Outcome<Option<State>> {
    let value = world::attempt(&run.tab, On::Element(handle), STATE, &[json!(reveal)], run.left()).await?;
    let Some(value) = value else { return Ok(None) };
    let state: State = serde_json::from_value(value)
        .map_err(|error| failed("page_error", format!("the element's state cannot be read: {error}")))?;
    Ok(Some(state).filter(|state| state.attached))
}

/// Waits for the element.
pub(super) async fn locate(run: &Run<'_>, selector: &Selector, need: Need) -> Outcome<Located> {
    let moves = matches!(need, Need::Click | Need::Hover);
    let mut before: Option<Box> = None;
    let mut pauses = PAUSES.iter();
    let mut pause = Duration::ZERO;
    loop {
        let began = Instant::now();
        let lack = match look(run, selector).await? {
            None => Lack::Absent,
            Some(handle) => match state(run, &handle, need != Need::Attached && need != Need::Visible).await?
            {
                None => Lack::Absent,
                Some(state) => match unfit(&state, need) {
                    Some(why) => Lack::Unfit(format!("{} {why}", state.description)),
                    None if moves && before != state.area => {
                        let why = format!("{} does not stand still", state.description);
                        before = state.area;
                        Lack::Unfit(why)
                    }
                    None => return Ok(Located { handle, state }),
                },
            },
        };
        if let Some(milliseconds) = pauses.next() {
            pause = Duration::from_millis(*milliseconds);
        }
        // Another look takes as long as this one: on a busy machine more than the explanation.
        let look = began.elapsed() * 2;
        if Instant::now() + pause + look.max(EXPLAIN) >= run.deadline {
            return Err(explain(run, selector, lack).await);
        }
        sleep(pause).await;
    }
}

fn unfit(state: &State, need: Need) -> Option<String> {
    if need == Need::Attached {
        return None;
    }
    if !state.visible {
        return Some("is not visible".to_owned());
    }
    if matches!(need, Need::Click | Need::Edit) && !state.enabled {
        return Some("is disabled".to_owned());
    }
    if need == Need::Edit && !state.editable && matches!(state.tag.as_str(), "input" | "textarea") {
        return Some("is read-only".to_owned());
    }
    if matches!(need, Need::Click | Need::Hover) && (state.x.is_none() || state.y.is_none()) {
        let what = state.covered.as_deref().unwrap_or("something");
        return Some(format!("is covered by {what}; deal with that first"));
    }
    None
}

async fn explain(run: &Run<'_>, selector: &Selector, lack: Lack) -> Trouble {
    match lack {
        Lack::Unfit(why) => failed("timeout", why),
        Lack::Absent => {
            let similar = similar::to(run, selector).await;
            let wanted = words(selector);
            let hint = if similar.is_empty() {
                "; take a snapshot to see what there is".to_owned()
            } else {
                format!("; similar: {}", similar.join(", "))
            };
            failed("not_found", format!("no element matches {wanted}{hint}"))
        }
    }
}

/// A selector in words.
pub(super) fn words(selector: &Selector) -> String {
    match selector {
        Selector::Css(css) => format!("the CSS selector {css:?}"),
        Selector::Text(text) => format!("the text {text:?}"),
        Selector::Role { role, name: None } => format!("the role {role}"),
        Selector::Role { role, name: Some(name) } => format!("the role {role} with the name {name:?}"),
        Selector::Ref(name) => format!("the reference {name}"),
    }
}
