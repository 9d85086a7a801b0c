//! The eight actions of the AWS service's InvokeBrowser: mouse, keyboard and a screenshot, by coordinates.

use bytes::Bytes;

/// A mouse button.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Button {
    /// The default.
    #[default]
    Left,
    /// Opens context menus.
    Right,
    /// The wheel.
    Middle,
}

/// One action. Coordinates are CSS pixels of the viewport; the gateway has checked every range but the viewport's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Press and release.
    MouseClick {
        /// Where; the current position if absent.
        at: Option<(i32, i32)>,
        /// Which button.
        button: Button,
        /// 1 to 10: double click is 2.
        count: u32,
    },
    /// Move the pointer.
    MouseMove {
        /// Where to.
        to: (i32, i32),
    },
    /// Press, move, release.
    MouseDrag {
        /// Where it is pressed.
        from: (i32, i32),
        /// Where it is released.
        to: (i32, i32),
        /// Which button.
        button: Button,
    },
    /// Turn the wheel.
    MouseScroll {
        /// Where the pointer is.
        at: (i32, i32),
        /// To the right, -1000 to 1000.
        delta_x: i32,
        /// -1000 to 1000; negative is down.
        delta_y: i32,
    },
    /// Type text of any script.
    KeyType {
        /// At most 10,000 characters.
        text: String,
    },
    /// Press a named key or a character.
    KeyPress {
        /// `a`-`z`, `0`-`9`, `enter`, `tab`, `space`, `backspace`, `delete`, `escape`, arrows, …
        key: String,
        /// 1 to 100.
        presses: u32,
    },
    /// Hold all but the last, press the last.
    KeyShortcut {
        /// 1 to 5 names.
        keys: Vec<String>,
    },
    /// A PNG of the viewport.
    Screenshot,
}

impl Action {
    /// The action's name on the wire and in recordings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MouseClick { .. } => "mouseClick",
            Self::MouseMove { .. } => "mouseMove",
            Self::MouseDrag { .. } => "mouseDrag",
            Self::MouseScroll { .. } => "mouseScroll",
            Self::KeyType { .. } => "keyType",
            Self::KeyPress { .. } => "keyPress",
            Self::KeyShortcut { .. } => "keyShortcut",
            Self::Screenshot => "screenshot",
        }
    }
}

/// What came of it. A refusal by the page or the browser is a failed action and no error of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// Done.
    Success {
        /// The picture of a screenshot.
        data: Option<Bytes>,
    },
    /// Not done, and why.
    Failed {
        /// For people.
        error: String,
    },
}
