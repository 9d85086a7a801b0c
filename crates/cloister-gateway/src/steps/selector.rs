//! Selectors: strings as people write them, and objects for programs.
//!
//! | string | object | |
//! |---|---|---|
//! | `#send`, `css=#send` | `{"css": "#send"}` | CSS |
//! | `text=Send` | `{"text": "Send"}` | visible text |
//! | `role=button`, `role=button[name="Send"]` | `{"role": "button", "name": "Send"}` | accessible role and name |
//! | `ref=e12` | `{"ref": "e12"}` | a reference from a snapshot |

use crate::json::Json;
use cloister_core::browser::page::Selector;

/// Longest selector, in bytes.
const LONGEST: usize = 16 * 1024;

/// Reads a selector; the error completes the sentence "selector …".
pub(super) fn read(given: &Json<'_>) -> Result<Selector, String> {
    let selector = match given {
        Json::String(text) => text_form(text.trim())?,
        Json::Object(members) => object_form(given, members.iter().map(|(name, _)| name.as_ref()))?,
        other => return Err(format!("must be a string or an object, and it is {}", other.kind())),
    };
    let (Selector::Css(text)
    | Selector::Text(text)
    | Selector::Role { role: text, .. }
    | Selector::Ref(text)) = &selector;
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("must have 1 to {LONGEST} bytes behind its kind"));
    }
    if let Selector::Ref(text) = &selector
        && !text.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return Err("must name a reference of a snapshot, such as ref=e12".into());
    }
    Ok(selector)
}

fn text_form(text: &str) -> Result<Selector, String> {
    if let Some(rest) = text.strip_prefix("css=") {
        return Ok(Selector::Css(rest.to_owned()));
    }
    if let Some(rest) = text.strip_prefix("text=") {
        return Ok(Selector::Text(unquoted(rest).to_owned()));
    }
    if let Some(rest) = text.strip_prefix("ref=") {
        return Ok(Selector::Ref(rest.to_owned()));
    }
    let Some(rest) = text.strip_prefix("role=") else { return Ok(Selector::Css(text.to_owned())) };
    let (role, name) = match rest.split_once('[') {
        None => (rest, None),
        Some((role, attributes)) => {
            let name = attributes.strip_suffix(']').and_then(|a| a.strip_prefix("name="));
            let name = name.ok_or("must be role=ROLE or role=ROLE[name=\"NAME\"]")?;
            (role, Some(unquoted(name).to_owned()))
        }
    };
    if !role.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err("must name an ARIA role in lower case: role=button".into());
    }
    Ok(Selector::Role { role: role.to_owned(), name })
}

/// Without the quotes around it, if there are any.
fn unquoted(text: &str) -> &str {
    ['"', '\''].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q)).unwrap_or(text)
}

fn object_form<'n>(given: &Json<'_>, names: impl Iterator<Item = &'n str>) -> Result<Selector, String> {
    const FORMS: &str = "must hold one of css, text, role (with name or without) and ref, as strings";
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let text = |name: &str| given.get(name).and_then(Json::as_str).map(str::to_owned).ok_or(FORMS);
    Ok(match names.as_slice() {
        ["css"] => Selector::Css(text("css")?),
        ["text"] => Selector::Text(text("text")?),
        ["ref"] => Selector::Ref(text("ref")?),
        ["role"] => Selector::Role { role: text("role")?, name: None },
        ["name", "role"] => Selector::Role { role: text("role")?, name: Some(text("name")?) },
        _ => return Err(FORMS.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Selector, String> {
        read(&Json::parse(text.as_bytes()).unwrap())
    }

    fn role(role: &str, name: Option<&str>) -> Selector {
        Selector::Role { role: role.into(), name: name.map(str::to_owned) }
    }

    #[test]
    fn strings_and_objects_mean_the_same() {
        for (text, object, wanted) in [
            (
                r##""#a > b[c=\"d\"]""##,
                r##"{"css":"#a > b[c=\"d\"]"}"##,
                Selector::Css("#a > b[c=\"d\"]".into()),
            ),
            (r#""text=Log in""#, r#"{"text":"Log in"}"#, Selector::Text("Log in".into())),
            (r#""role=button""#, r#"{"role":"button"}"#, role("button", None)),
            (
                r#""role=button[name=\"Send [1]\"]""#,
                r#"{"role":"button","name":"Send [1]"}"#,
                role("button", Some("Send [1]")),
            ),
            (r#""ref=e12""#, r#"{"ref":"e12"}"#, Selector::Ref("e12".into())),
        ] {
            assert_eq!(parsed(text).as_ref(), Ok(&wanted));
            assert_eq!(parsed(object).as_ref(), Ok(&wanted));
        }
        assert_eq!(parsed(r#""css=text=x""#), Ok(Selector::Css("text=x".into())));
    }

    #[test]
    fn half_a_selector_is_refused() {
        for bad in [
            "1",
            "[]",
            "{}",
            "\"\"",
            "\"text=\"",
            "\"ref=../x\"",
            "\"role=\"",
            "\"role=button[name\"",
            "\"role=button[level=1]\"",
            "\"role=Button\"",
            r#"{"css":"a","text":"b"}"#,
            r#"{"css":1}"#,
            r#"{"xpath":"//a"}"#,
            r#"{"name":"x"}"#,
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
