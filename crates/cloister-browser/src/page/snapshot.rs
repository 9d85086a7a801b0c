//! The accessibility tree, condensed: one line per thing that a person perceives, with a reference that other steps take.
//!
//! ```text
//!   - heading "Sign in" [level=1] [ref=e2]
//!   - textbox "Email" [ref=e3]: ada@example.com
//!   - list [ref=e4]
//!     - listitem [ref=e5]
//!       - link "Terms" [ref=e6] [url=https://example.com/terms]
//! ```

use super::run::Run;
use super::tree::{Node, Tree, forest};
use super::trouble::Outcome;
use crate::tab::References;
use cloister_core::browser::page::Given;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;

/// Bytes of a snapshot. What is longer is cut, and says so.
const LONGEST: usize = 400_000;
/// Depth in the page's own tree.
const DEEPEST: usize = 200;
/// Characters of a name, a value or a URL.
const WORDS: usize = 300;

/// The step.
pub(super) async fn snapshot(run: &Run<'_>) -> Outcome<Given> {
    let loader = run.tab.state.borrow().document.loader.clone();
    let forest = forest(run, run.left()).await?;
    let mut references = run.tab.references();
    if references.loader != loader {
        let last = references.last;
        *references = References { loader, last, ..References::default() };
    }
    Ok(Given::Text(render(&forest, &mut references)))
}

struct Renderer<'a> {
    forest: &'a [Tree],
    inner: HashMap<i64, usize>,
    references: &'a mut References,
    text: String,
}

fn render(forest: &[Tree], references: &mut References) -> String {
    let inner = forest.iter().enumerate().filter_map(|(at, tree)| Some((tree.owner?, at))).collect();
    let mut renderer = Renderer { forest, inner, references, text: String::new() };
    if let Some(tree) = forest.first() {
        renderer.node(tree, &tree.root, 0, 0, "");
    }
    let mut text = renderer.text;
    if text.len() > LONGEST {
        let mut at = LONGEST;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        text.push_str("\n- (cut: the page is longer; read parts of it with an extract step)");
    }
    text.trim_end().to_owned()
}

/// Words of a page on one line.
fn line(words: &str) -> String {
    let plain = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match plain.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", plain.get(..at).unwrap_or_default()),
        None => plain,
    }
}

impl Renderer<'_> {
    fn node(&mut self, tree: &Tree, id: &str, depth: usize, nested: usize, above: &str) {
        if self.text.len() > LONGEST || nested > DEEPEST {
            return;
        }
        let Some(node) = tree.nodes.get(id) else { return };
        let name = line(&node.name);
        match node.role.as_str() {
            "InlineTextBox" | "LineBreak" | "ListMarker" => return,
            "StaticText" => {
                // Most of it repeats the name of what it is in.
                if !node.ignored && !name.is_empty() && !above.contains(&name) {
                    let _ = writeln!(self.text, "{:1$}- text: {name}", "", depth * 2);
                }
                return;
            }
            _ => {}
        }
        let boring = matches!(
            node.role.as_str(),
            "none"
                | "presentation"
                | "generic"
                | "GenericContainer"
                | "LayoutTable"
                | "LayoutTableRow"
                | "LayoutTableCell"
                | "Section"
                | ""
        );
        let shown =
            !node.ignored && (!boring || !name.is_empty() && node.properties.contains_key("focusable"));
        let (mut below, mut known) = (depth, above.to_owned());
        if shown {
            self.head(tree, node, &name, depth);
            below += 1;
            known.clone_from(&name);
        }
        for child in &node.children {
            self.node(tree, child, below, nested + 1, &known);
        }
        if let Some(inner) = self.inner.get(&node.dom).copied().and_then(|at| self.forest.get(at)) {
            self.node(inner, &inner.root, below, nested + 1, "");
        }
    }

    fn head(&mut self, tree: &Tree, node: &Node, name: &str, depth: usize) {
        let role = if node.role == "RootWebArea" { "document" } else { node.role.as_str() };
        let _ = write!(self.text, "{:1$}- {2}", "", depth * 2, role.to_lowercase());
        if !name.is_empty() {
            let _ = write!(self.text, " {name:?}");
        }
        for (property, value) in states(node) {
            let _ = match value {
                Some(value) => write!(self.text, " [{property}={value}]"),
                None => write!(self.text, " [{property}]"),
            };
        }
        if node.dom != 0 {
            let reference = self.name_of(node.dom, &tree.frame);
            let _ = write!(self.text, " [ref={reference}]");
        }
        if node.role == "link"
            && let Some(url) = node.properties.get("url").and_then(Value::as_str)
        {
            let _ = write!(self.text, " [url={}]", line(url));
        }
        let value = line(&node.value);
        if !value.is_empty() && value != name {
            let _ = write!(self.text, ": {value}");
        }
        self.text.push('\n');
    }

    fn name_of(&mut self, dom: i64, frame: &str) -> String {
        if let Some(name) = self.references.names.get(&dom) {
            return name.clone();
        }
        self.references.last += 1;
        let name = format!("e{}", self.references.last);
        self.references.names.insert(dom, name.clone());
        self.references.nodes.insert(name.clone(), (dom, frame.to_owned()));
        name
    }
}

/// The states that matter to somebody who acts.
fn states(node: &Node) -> Vec<(&'static str, Option<String>)> {
    let mut states = Vec::new();
    for name in [
        "checked", "pressed", "selected", "expanded", "disabled", "required", "readonly", "focused",
        "invalid", "level",
    ] {
        match node.properties.get(name) {
            Some(Value::Bool(true)) => states.push((name, None)),
            Some(Value::Bool(false)) if name == "expanded" => states.push((name, Some("false".to_owned()))),
            Some(Value::String(text)) if text == "true" => states.push((name, None)),
            Some(Value::String(text)) if text != "false" => states.push((name, Some(line(text)))),
            Some(Value::Number(number)) => states.push((name, Some(number.to_string()))),
            _ => {}
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Node, Tree};
    use super::render;
    use crate::tab::References;
    use std::collections::HashMap;

    fn node(role: &str, name: &str, dom: i64, children: &[&str]) -> Node {
        let children = children.iter().map(|id| (*id).to_owned()).collect();
        Node { role: role.into(), name: name.into(), dom, children, ..Node::default() }
    }

    fn tree(nodes: Vec<(&str, Node)>) -> Tree {
        let root = nodes[0].0.to_owned();
        let order = nodes.iter().map(|(id, _)| (*id).to_owned()).collect();
        let nodes: HashMap<_, _> = nodes.into_iter().map(|(id, node)| (id.to_owned(), node)).collect();
        Tree { frame: "F".into(), owner: None, root, nodes, order }
    }

    #[test]
    fn boxes_without_meaning_are_left_out_and_texts_that_repeat_a_name_too() {
        let tree = tree(vec![
            ("1", node("RootWebArea", "Shop", 1, &["2"])),
            ("2", node("generic", "", 2, &["3", "5"])),
            ("3", node("button", "Buy now", 3, &["4"])),
            ("4", node("StaticText", "Buy now", 4, &[])),
            ("5", node("StaticText", "In\n stock", 5, &[])),
        ]);
        let text = render(&[tree], &mut References::default());
        assert_eq!(text, "- document \"Shop\" [ref=e1]\n  - button \"Buy now\" [ref=e2]\n  - text: In stock");
    }

    #[test]
    fn an_element_keeps_its_reference_when_others_come_before_it() {
        let mut references = References::default();
        let first = tree(vec![("1", node("RootWebArea", "", 1, &["2"])), ("2", node("button", "A", 7, &[]))]);
        assert!(render(&[first], &mut references).contains("button \"A\" [ref=e2]"));
        let second = tree(vec![
            ("1", node("RootWebArea", "", 1, &["3", "2"])),
            ("3", node("button", "B", 8, &[])),
            ("2", node("button", "A", 7, &[])),
        ]);
        let text = render(&[second], &mut references);
        assert!(text.contains("button \"A\" [ref=e2]") && text.contains("button \"B\" [ref=e3]"), "{text}");
    }
}
