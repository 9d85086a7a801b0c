//! The `action` of `InvokeBrowser`: from JSON that the tables have checked to [`Action`].

use crate::agentcore::validate::field_error;
use crate::json::Json;
use cloister_core::browser::{Action, Button, Viewport};
use cloister_core::error::{Error, Field, Kind};

/// Reads the one member of the union; its name is the one of the result, too. Points must lie inside of the viewport.
pub(super) fn read<'a>(body: &'a Json<'_>, viewport: Viewport) -> Result<(&'a str, Action), Error> {
    let Some(Json::Object(members)) = body.get("action") else { return Err(unknown()) };
    let (name, given) = members.iter().find(|(_, value)| *value != Json::Null).ok_or_else(unknown)?;
    let mut arguments = Arguments { name, given, viewport, wrong: Vec::new() };
    let action = arguments.action().ok_or_else(unknown)?;
    if arguments.wrong.is_empty() { Ok((name, action)) } else { Err(field_error(arguments.wrong)) }
}

struct Arguments<'a> {
    name: &'a str,
    given: &'a Json<'a>,
    viewport: Viewport,
    wrong: Vec<Field>,
}

impl Arguments<'_> {
    fn action(&mut self) -> Option<Action> {
        Some(match self.name {
            "mouseClick" => {
                let at = Some(self.point("x", "y"));
                Action::MouseClick { at, button: self.button(), count: self.count("clickCount") }
            }
            "mouseMove" => Action::MouseMove { to: self.point("x", "y") },
            "mouseDrag" => {
                let (from, to) = (self.point("startX", "startY"), self.point("endX", "endY"));
                Action::MouseDrag { from, to, button: self.button() }
            }
            "mouseScroll" => {
                let at = self.point("x", "y");
                Action::MouseScroll { at, delta_x: self.delta("deltaX"), delta_y: self.delta("deltaY") }
            }
            "keyType" => Action::KeyType { text: self.text("text") },
            "keyPress" => Action::KeyPress { key: self.text("key"), presses: self.count("presses") },
            "keyShortcut" => {
                let keys = self.given.get("keys").map(Json::entries).unwrap_or_default();
                Action::KeyShortcut {
                    keys: keys.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
                }
            }
            "screenshot" => Action::Screenshot,
            _ => return None,
        })
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.given.get(name)? {
            Json::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// A coordinate; the model names no limits, and a point that is not on the page cannot be meant.
    fn place(&mut self, name: &str, size: u32) -> i32 {
        let inside = self.integer(name).filter(|n| (0..i64::from(size)).contains(n));
        if inside.is_none() {
            self.wrong.push(Field {
                name: format!("action.{}.{name}", self.name),
                message: format!("Member must be inside of the view port: 0 to {}", size.saturating_sub(1)),
            });
        }
        inside.and_then(|n| i32::try_from(n).ok()).unwrap_or_default()
    }

    fn point(&mut self, x: &str, y: &str) -> (i32, i32) {
        let Viewport { width, height } = self.viewport;
        (self.place(x, width), self.place(y, height))
    }

    fn delta(&self, name: &str) -> i32 {
        self.integer(name).and_then(|n| i32::try_from(n).ok()).unwrap_or_default()
    }

    fn count(&self, name: &str) -> u32 {
        self.integer(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(1)
    }

    fn text(&self, name: &str) -> String {
        self.given.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn button(&self) -> Button {
        match self.given.get("button").and_then(Json::as_str) {
            Some("RIGHT") => Button::Right,
            Some("MIDDLE") => Button::Middle,
            _ => Button::Left,
        }
    }
}

fn unknown() -> Error {
    Error::new(Kind::Internal, "the action has passed its checks and is not known here")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agentcore::model::{BROWSER_ACTION, Shape};

    const SMALL: Viewport = Viewport { width: 320, height: 240 };

    fn parsed(text: &str) -> Result<Action, Error> {
        read(&Json::parse(text.as_bytes()).unwrap(), SMALL).map(|(_, action)| action)
    }

    #[test]
    fn every_action_of_the_model_is_read() {
        let Shape::Structure { members, .. } = &BROWSER_ACTION else { panic!() };
        for member in *members {
            let text = format!(
                r#"{{"action":{{"{}":{{"x":1,"y":1,"startX":1,"startY":1,"endX":1,"endY":1}}}}}}"#,
                member.name
            );
            assert!(parsed(&text).is_ok(), "{}", member.name);
        }
    }

    #[test]
    fn members_have_the_models_defaults() {
        let click = parsed(r#"{"action":{"mouseClick":{"x":319,"y":239}}}"#).unwrap();
        assert_eq!(click, Action::MouseClick { at: Some((319, 239)), button: Button::Left, count: 1 });
        let press = parsed(r#"{"action":{"keyPress":{"key":"enter"}}}"#).unwrap();
        assert_eq!(press, Action::KeyPress { key: "enter".into(), presses: 1 });
        let scroll = parsed(r#"{"action":{"mouseScroll":{"x":0,"y":0,"deltaY":-1000}}}"#).unwrap();
        assert_eq!(scroll, Action::MouseScroll { at: (0, 0), delta_x: 0, delta_y: -1000 });
    }

    #[test]
    fn every_coordinate_outside_of_the_view_port_is_named() {
        let text = r#"{"action":{"mouseDrag":{"startX":-1,"startY":0,"endX":320,"endY":99999999999}}}"#;
        let names: Vec<_> = parsed(text).unwrap_err().fields.into_iter().map(|f| f.name).collect();
        let wanted = ["action.mouseDrag.startX", "action.mouseDrag.endX", "action.mouseDrag.endY"];
        assert_eq!(names, wanted);
    }
}
