//! The accessibility trees of a tab's frames: roles and names as the browser computes them, which a page cannot make up.

use super::run::Run;
use super::trouble::{Outcome, is_between_documents};
use super::world::{self, Handle};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Frames that are read. A page with more is not for people.
const FRAMES: usize = 50;

/// One node.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// `button`, `StaticText`, …
    pub(super) role: String,
    /// The accessible name.
    pub(super) name: String,
    /// The value of an input.
    pub(super) value: String,
    /// States and properties by name.
    pub(super) properties: HashMap<String, Value>,
    /// Not for people.
    pub(super) ignored: bool,
    /// Of the DOM.
    pub(super) dom: i64,
    /// Below it, by id.
    pub(super) children: Vec<String>,
}

/// The tree of one frame.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The frame.
    pub(super) frame: String,
    /// The DOM node that holds the frame; `None` for the main one.
    pub(super) owner: Option<i64>,
    /// The root's id.
    pub(super) root: String,
    /// By id.
    pub(super) nodes: HashMap<String, Node>,
    /// Ids in document order.
    pub(super) order: Vec<String>,
}

/// Reads the trees of all frames in this process, the main frame's first.
pub(super) async fn forest(run: &Run<'_>, limit: Duration) -> Outcome<Vec<Tree>> {
    let tab = &run.tab;
    let answer = tab.call("Page.getFrameTree", json!({}), limit).await?;
    let mut frames = Vec::new();
    collect(answer.get("frameTree"), &mut frames);
    let mut forest = Vec::new();
    for (at, frame) in frames.into_iter().take(FRAMES).enumerate() {
        let answer = match tab.call("Accessibility.getFullAXTree", json!({"frameId": frame}), limit).await {
            Ok(answer) => answer,
            Err(error) if at > 0 && is_between_documents(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut owner = None;
        if at > 0 {
            let holder = tab.call("DOM.getFrameOwner", json!({"frameId": frame}), limit).await;
            owner = holder.ok().and_then(|holder| holder.get("backendNodeId").and_then(Value::as_i64));
            if owner.is_none() {
                continue;
            }
        }
        forest.push(read(frame, owner, &answer));
    }
    Ok(forest)
}

fn collect(tree: Option<&Value>, frames: &mut Vec<String>) {
    let Some(tree) = tree else { return };
    if let Some(id) = tree.pointer("/frame/id").and_then(Value::as_str) {
        frames.push(id.to_owned());
    }
    for child in tree.get("childFrames").and_then(Value::as_array).into_iter().flatten() {
        collect(Some(child), frames);
    }
}

fn read(frame: String, owner: Option<i64>, answer: &Value) -> Tree {
    let text = |of: &Value, pointer: &str| match of.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let mut tree = Tree { frame, owner, root: String::new(), nodes: HashMap::new(), order: Vec::new() };
    for node in answer.get("nodes").and_then(Value::as_array).into_iter().flatten() {
        let id = text(node, "/nodeId");
        let properties =
            node.get("properties").and_then(Value::as_array).into_iter().flatten().filter_map(|p| {
                Some((
                    p.get("name")?.as_str()?.to_owned(),
                    p.pointer("/value/value").cloned().unwrap_or_default(),
                ))
            });
        let children = node.get("childIds").and_then(Value::as_array).into_iter().flatten();
        let read = Node {
            role: text(node, "/role/value"),
            name: text(node, "/name/value"),
            value: text(node, "/value/value"),
            properties: properties.collect(),
            ignored: node.get("ignored").and_then(Value::as_bool).unwrap_or_default(),
            dom: node.get("backendDOMNodeId").and_then(Value::as_i64).unwrap_or_default(),
            children: children.filter_map(Value::as_str).map(str::to_owned).collect(),
        };
        if tree.root.is_empty() {
            tree.root.clone_from(&id);
        }
        tree.order.push(id.clone());
        tree.nodes.insert(id, read);
    }
    // Chromium lists by level; a person reads by depth.
    tree.order = depth_first(&tree);
    tree
}

fn depth_first(tree: &Tree) -> Vec<String> {
    let mut order = Vec::new();
    let mut waiting = vec![tree.root.clone()];
    while let Some(id) = waiting.pop() {
        if let Some(node) = tree.nodes.get(&id) {
            waiting.extend(node.children.iter().rev().cloned());
            order.push(id);
        }
        // A tree has no cycles; a nonsensical answer must not keep us for ever.
        if order.len() > tree.nodes.len() {
            break;
        }
    }
    order
}

/// Nodes of a role, in document order, with their frames.
fn of_role<'a>(forest: &'a [Tree], role: &str) -> Vec<(&'a str, &'a Node)> {
    let nodes = forest
        .iter()
        .flat_map(|tree| tree.order.iter().filter_map(|id| Some((tree.frame.as_str(), tree.nodes.get(id)?))));
    nodes.filter(|(_, node)| !node.ignored && node.dom != 0 && node.role.eq_ignore_ascii_case(role)).collect()
}

/// The first element of a role whose name contains a text; one whose name is exactly that goes before.
pub(super) async fn by_role(run: &Run<'_>, role: &str, name: Option<&str>) -> Outcome<Option<Handle>> {
    let forest = match forest(run, run.left()).await {
        Ok(forest) => forest,
        Err(super::trouble::Trouble::Step(error)) if error.message.contains("went elsewhere") => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let found = of_role(&forest, role);
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let wanted = name.map(plain);
    let best = match &wanted {
        None => found.first(),
        Some(wanted) => found
            .iter()
            .find(|(_, node)| plain(&node.name) == *wanted)
            .or_else(|| found.iter().find(|(_, node)| plain(&node.name).contains(wanted))),
    };
    match best {
        Some((frame, node)) => world::resolve(&run.tab, node.dom, frame, run.left()).await,
        None => Ok(None),
    }
}

/// Names of the elements of a role, or of the roles that there are.
pub(super) async fn names_of(run: &Run<'_>, role: &str, limit: Duration) -> Vec<String> {
    let Ok(forest) = forest(run, limit).await else { return Vec::new() };
    let named: Vec<String> =
        of_role(&forest, role).iter().map(|(_, n)| format!("{role} {:?}", n.name)).take(5).collect();
    if !named.is_empty() {
        return named;
    }
    const ACTIVE: [&str; 7] = ["button", "link", "textbox", "checkbox", "combobox", "menuitem", "tab"];
    let active = ACTIVE.iter().flat_map(|role| of_role(&forest, role));
    active.map(|(_, node)| format!("{} {:?}", node.role, node.name)).take(5).collect()
}
