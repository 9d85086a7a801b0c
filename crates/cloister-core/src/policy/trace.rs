//! Which line of which file decided a field: the chain of `extends`, walked from the policy to its root.

use super::load::{Sources, line_of};
use toml::de::{DeTable, DeValue};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The policy of the chain that sets it.
    pub policy: String,
    /// Its file, as the caller of [`Sources::add`] named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl Sources {
    /// The file and line that decided `field` of policy `name`: the nearest of its chain that sets the field and, if `item` is given,
    /// lists that item there. `None` where nobody sets it, so that it has its built-in default.
    pub fn origin(&self, name: &str, field: &str, item: Option<&str>) -> Option<Origin> {
        let chain = self.resolve(name).ok()?.chain;
        chain.into_iter().find_map(|policy| {
            let (file, text) = self.text(&policy)?;
            let line = match item {
                None => line_of(text, field)?,
                Some(item) => line_of_item(text, field, item)?,
            };
            Some(Origin { file: file.to_owned(), line, policy })
        })
    }
}

/// The line on which `item` stands in the list `field`.
fn line_of_item(text: &str, field: &str, item: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut value = None;
    let mut table = document.get_ref();
    for part in field.split('.') {
        let (_, found) = table.iter().find(|(key, _)| key.get_ref() == part)?;
        if let DeValue::Table(inner) = found.get_ref() {
            table = inner;
        }
        value = Some(found);
    }
    let DeValue::Array(items) = value?.get_ref() else { return None };
    let found = items.iter().find(|one| match one.get_ref() {
        DeValue::String(text) => text.as_ref() == item,
        DeValue::Integer(number) => number.as_str() == item,
        _ => false,
    })?;
    Some(super::load::line_at(text, found.span().start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_traced_to_the_nearest_file_that_sets_it_and_an_item_to_its_line() {
        let mut sources = Sources::new();
        sources.add(
            "top",
            "top.toml",
            "[network]\nmode = 'allowlist'\nallowed_domains = [\n  '*.a.com',\n  'b.com',\n]",
        );
        sources.add(
            "leaf",
            "leaf.toml",
            "extends = 'top'\n[network]\ndenied_domains = ['x.a.com']\nports = [443]",
        );
        let at = |field: &str, item: Option<&str>| {
            sources.origin("leaf", field, item).map(|origin| format!("{}:{}", origin.file, origin.line))
        };
        assert_eq!(at("network.mode", None).as_deref(), Some("top.toml:2"));
        assert_eq!(at("network.allowed_domains", Some("b.com")).as_deref(), Some("top.toml:5"));
        assert_eq!(at("network.denied_domains", Some("x.a.com")).as_deref(), Some("leaf.toml:3"));
        assert_eq!(at("network.ports", Some("443")).as_deref(), Some("leaf.toml:4"));
        assert_eq!(at("network.ports", Some("80")), None);
        assert_eq!(at("resources.memory", None), None, "nobody sets it");
    }
}
