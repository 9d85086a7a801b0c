//! What commands print: JSON for programs, plain columns for people, colour only where it is wanted.

use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// How this run prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    /// JSON if asked for; colour if standard output is a terminal that has some and `NO_COLOR` is not set.
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { json, colour: wanted && !dumb && io::stdout().is_terminal() }
    }

    /// Whether programs read this.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One JSON value and a line end.
    pub(crate) fn json(self, value: &Value) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(value)?)
    }

    /// Text as it is, with a line end. In one piece: who reads the first line and goes must not make the rest of a server's
    /// announcement fail.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        io::stdout().lock().write_all(format!("{text}\n").as_bytes())
    }

    /// Rows under a heading, in columns as wide as they need to be.
    pub(crate) fn table<const N: usize>(self, heading: [&str; N], rows: &[[Cell; N]]) -> io::Result<()> {
        io::stdout().lock().write_all(self.render(heading, rows).as_bytes())
    }

    fn render<const N: usize>(self, heading: [&str; N], rows: &[[Cell; N]]) -> String {
        let mut widths = heading.map(|text| text.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let heading = heading.map(|text| Cell { text: text.to_owned(), tone: Tone::Heading });
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(rows) {
            for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
                // The last column is not padded: trailing blanks wrap on narrow terminals.
                let padding = if at + 1 == N { 0 } else { width - cell.text.chars().count() + 2 };
                text.push_str(&self.paint(cell));
                text.extend(std::iter::repeat_n(' ', padding));
            }
            text.push('\n');
        }
        text
    }

    fn paint(self, cell: &Cell) -> String {
        let code = match cell.tone {
            Tone::Plain => None,
            Tone::Heading => Some("1"),
            Tone::Good => Some("32"),
            Tone::Warning => Some("33"),
            Tone::Bad => Some("31"),
        };
        match code {
            Some(code) if self.colour => format!("\u{1b}[{code}m{}\u{1b}[0m", cell.text),
            _ => cell.text.clone(),
        }
    }
}

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

#[derive(Clone, Copy, Debug)]
enum Tone {
    Plain,
    Heading,
    Good,
    Warning,
    Bad,
}

impl Cell {
    /// A word of praise.
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { tone: Tone::Good, ..Self::from(text.into()) }
    }

    /// Something to think about.
    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { tone: Tone::Warning, ..Self::from(text.into()) }
    }

    /// Something that does not work.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { tone: Tone::Bad, ..Self::from(text.into()) }
    }
}

impl From<String> for Cell {
    /// Control characters are dropped: names and messages may come from a guest, and a terminal obeys escape sequences.
    fn from(text: String) -> Self {
        Self { text: text.chars().filter(|c| !c.is_control()).collect(), tone: Tone::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// `1.5 MiB`, as people read sizes.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_the_last_one_has_no_blanks() {
        let out = Output { json: false, colour: false };
        let text =
            out.render(["ID", "STATUS"], &[["a".into(), "READY".into()], ["long-id".into(), "x".into()]]);
        assert_eq!(text, "ID       STATUS\na        READY\nlong-id  x\n");
    }

    #[test]
    fn colour_is_outside_the_width_and_off_unless_wanted() {
        let rows = [[Cell::good("ok"), "y".into()]];
        assert!(!Output { json: false, colour: false }.render(["A", "B"], &rows).contains('\u{1b}'));
        assert!(
            Output { json: false, colour: true }
                .render(["A", "B"], &rows)
                .contains("\u{1b}[32mok\u{1b}[0m  y\n")
        );
    }

    #[test]
    fn a_terminal_gets_no_escape_sequences_from_names() {
        let out = Output { json: false, colour: false };
        assert_eq!(out.render(["A"], &[["\u{1b}]0;owned\u{7}x\n".into()]]), "A\n]0;ownedx\n");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (1_610_612_736, "1.5 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
