//! The table of keys: names and characters to what Chromium wants to know of a key.
//!
//! US layout. A character that is on no key of it has no entry and is inserted as text.

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// `KeyboardEvent.key`.
    pub(crate) key: String,
    /// `KeyboardEvent.code`.
    pub(crate) code: String,
    /// Windows virtual key code, which is `KeyboardEvent.keyCode`.
    pub(crate) number: u32,
    /// What it types; empty if it types nothing.
    pub(crate) text: String,
    /// Its bit among CDP's modifiers; 0 if it is none.
    pub(crate) modifier: u8,
}

/// Alt, Control, Meta and Shift among CDP's modifiers.
pub(crate) const ALT: u8 = 1;
/// See [`ALT`].
pub(crate) const CONTROL: u8 = 2;
/// See [`ALT`].
pub(crate) const META: u8 = 4;
/// See [`ALT`].
pub(crate) const SHIFT: u8 = 8;

/// Lower-case names without `_`, `-` and blanks; key; code; number; text; modifier.
type Named = (&'static [&'static str], &'static str, &'static str, u32, &'static str, u8);

const NAMED: &[Named] = &[
    (&["enter", "return"], "Enter", "Enter", 13, "\r", 0),
    (&["tab"], "Tab", "Tab", 9, "", 0),
    (&["space", "spacebar"], " ", "Space", 32, " ", 0),
    (&["backspace"], "Backspace", "Backspace", 8, "", 0),
    (&["delete", "del"], "Delete", "Delete", 46, "", 0),
    (&["insert", "ins"], "Insert", "Insert", 45, "", 0),
    (&["escape", "esc"], "Escape", "Escape", 27, "", 0),
    (&["arrowup", "up"], "ArrowUp", "ArrowUp", 38, "", 0),
    (&["arrowdown", "down"], "ArrowDown", "ArrowDown", 40, "", 0),
    (&["arrowleft", "left"], "ArrowLeft", "ArrowLeft", 37, "", 0),
    (&["arrowright", "right"], "ArrowRight", "ArrowRight", 39, "", 0),
    (&["home"], "Home", "Home", 36, "", 0),
    (&["end"], "End", "End", 35, "", 0),
    (&["pageup"], "PageUp", "PageUp", 33, "", 0),
    (&["pagedown"], "PageDown", "PageDown", 34, "", 0),
    (&["capslock"], "CapsLock", "CapsLock", 20, "", 0),
    (&["contextmenu", "menu"], "ContextMenu", "ContextMenu", 93, "", 0),
    (&["alt", "option"], "Alt", "AltLeft", 18, "", ALT),
    (&["control", "ctrl", "controlormeta"], "Control", "ControlLeft", 17, "", CONTROL),
    (&["meta", "super", "win", "windows", "cmd", "command"], "Meta", "MetaLeft", 91, "", META),
    (&["shift"], "Shift", "ShiftLeft", 16, "", SHIFT),
];

/// Character, character with Shift, code, number.
const PRINTED: &[(char, char, &str, u32)] = &[
    ('`', '~', "Backquote", 192),
    ('-', '_', "Minus", 189),
    ('=', '+', "Equal", 187),
    ('[', '{', "BracketLeft", 219),
    (']', '}', "BracketRight", 221),
    ('\\', '|', "Backslash", 220),
    (';', ':', "Semicolon", 186),
    ('\'', '"', "Quote", 222),
    (',', '<', "Comma", 188),
    ('.', '>', "Period", 190),
    ('/', '?', "Slash", 191),
];

/// What Shift makes of the digits 0 to 9.
const ABOVE_DIGITS: [char; 10] = [')', '!', '@', '#', '$', '%', '^', '&', '*', '('];

/// The key of a name (case ignored; `page_up` is `PageUp`) or of one character. `None`: there is no such key.
pub(crate) fn find(name: &str) -> Option<Key> {
    let mut characters = name.chars();
    if let (Some(only), None) = (characters.next(), characters.next()) {
        return printed(only);
    }
    let plain: String =
        name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect();
    if let Some((_, key, code, number, text, modifier)) =
        NAMED.iter().find(|(names, ..)| names.contains(&plain.as_str()))
    {
        let (key, code, text) = ((*key).to_owned(), (*code).to_owned(), (*text).to_owned());
        return Some(Key { key, code, number: *number, text, modifier: *modifier });
    }
    let function = plain.strip_prefix('f')?.parse::<u32>().ok().filter(|n| (1..=24).contains(n))?;
    let key = format!("F{function}");
    Some(Key { code: key.clone(), key, number: 111 + function, text: String::new(), modifier: 0 })
}

fn printed(character: char) -> Option<Key> {
    let (code, number) = match character {
        ' ' => ("Space".to_owned(), 32),
        '\n' | '\r' => return find("enter"),
        '\t' => return find("tab"),
        'a'..='z' | 'A'..='Z' => {
            let upper = character.to_ascii_uppercase();
            (format!("Key{upper}"), u32::from(upper))
        }
        '0'..='9' => (format!("Digit{character}"), u32::from(character)),
        _ => match ABOVE_DIGITS.iter().zip(0u32..).find(|(above, _)| **above == character) {
            Some((_, digit)) => (format!("Digit{digit}"), u32::from('0') + digit),
            None => PRINTED
                .iter()
                .find(|(plain, shifted, ..)| *plain == character || *shifted == character)
                .map(|(_, _, code, number)| ((*code).to_owned(), *number))?,
        },
    };
    Some(Key { key: character.to_string(), code, number, text: character.to_string(), modifier: 0 })
}

/// What a key is under Shift: `a` becomes `A`, `1` becomes `!`; the others stay.
pub(crate) fn shifted(key: &Key) -> Key {
    let mut characters = key.key.chars();
    let (Some(only), None) = (characters.next(), characters.next()) else { return key.clone() };
    let above = match only {
        'a'..='z' => Some(only.to_ascii_uppercase()),
        '0'..='9' => usize::try_from(u32::from(only) - u32::from('0'))
            .ok()
            .and_then(|digit| ABOVE_DIGITS.get(digit).copied()),
        _ => PRINTED.iter().find(|(plain, ..)| *plain == only).map(|(_, above, ..)| *above),
    };
    above.and_then(printed).unwrap_or_else(|| key.clone())
}

#[cfg(test)]
mod tests {
    use super::{CONTROL, find, shifted};

    #[test]
    fn names_are_found_in_every_spelling_that_clients_use() {
        for (name, key) in [
            ("enter", "Enter"),
            ("Enter", "Enter"),
            ("page_up", "PageUp"),
            ("ArrowUp", "ArrowUp"),
            ("up", "ArrowUp"),
            ("esc", "Escape"),
            ("f5", "F5"),
            ("space", " "),
        ] {
            assert_eq!(find(name).map(|found| found.key).as_deref(), Some(key), "{name}");
        }
        assert_eq!(find("ctrl").map(|key| key.modifier), Some(CONTROL));
        assert_eq!(find("f25"), None);
        assert_eq!(find("warp"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn every_printable_character_of_ascii_has_a_key_that_types_it() {
        for character in ' '..='~' {
            let key = find(&character.to_string()).unwrap();
            assert_eq!(key.text, character.to_string());
            assert!(!key.code.is_empty() && key.number > 0, "{character}");
        }
        assert_eq!(find("語"), None, "no key: it is inserted as text");
    }

    #[test]
    fn shift_gives_the_character_above() {
        for (plain, above) in [("a", "A"), ("1", "!"), ("0", ")"), ("/", "?"), ("A", "A")] {
            assert_eq!(shifted(&find(plain).unwrap()).text, above);
        }
        assert_eq!(shifted(&find("enter").unwrap()).key, "Enter");
    }
}
