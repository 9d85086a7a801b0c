//! Guest output on a person's terminal: colours and cursor movement pass, everything that makes a terminal act does not.
//!
//! A terminal obeys what it is shown: it sets the clipboard and the title (OSC), answers queries as if the person had
//! typed (DSR, DA), switches screens and mouse modes. Output that goes to a file or a pipe is never touched.

/// Longest escape sequence that is looked at; a longer one is dropped as far as it goes.
const LONGEST: usize = 64;

/// Filters one stream. Sequences may be split over any number of calls.
#[derive(Debug, Default)]
pub(crate) struct TerminalFilter {
    state: State,
    /// The sequence so far.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After `0xC2`: the next byte may make it a control character of Latin-1 (`U+009B` is CSI for some terminals).
    Latin,
    /// After ESC.
    Escape,
    /// In `ESC [ … final`.
    Control,
    /// In a string (OSC, DCS, APC, PM, SOS) that ends in BEL or `ESC \`.
    String,
    /// In a string, after ESC.
    StringEscape,
    /// In `ESC ( B` and the like: one more byte.
    Charset,
}

impl TerminalFilter {
    /// The part of `bytes` that may be shown.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.step(byte, &mut out);
        }
        out
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = match (self.state, byte) {
            (State::Text, 0x1b) => {
                self.held.clear();
                self.held.push(byte);
                State::Escape
            }
            (State::Text, 0xc2) => State::Latin,
            (State::Text, b'\n' | b'\r' | b'\t' | 0x08 | 0x07 | 0x20..=0x7e | 0x80..) => {
                out.push(byte);
                State::Text
            }
            (State::Text, _) => State::Text,
            (State::Latin, 0x80..=0x9f) => State::Text,
            (State::Latin, _) => {
                out.push(0xc2);
                self.state = State::Text;
                return self.step(byte, out);
            }
            (State::Escape, b'[') => {
                self.held.push(byte);
                State::Control
            }
            (State::Escape, b']' | b'P' | b'_' | b'^' | b'X') => State::String,
            (State::Escape, b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ') => State::Charset,
            (State::Escape, b'7' | b'8') => {
                out.extend_from_slice(&[0x1b, byte]);
                State::Text
            }
            (State::Escape, 0x1b) => State::Escape,
            (State::Escape | State::Charset, _) => State::Text,
            (State::Control, 0x40..=0x7e) => {
                self.held.push(byte);
                if is_harmless(&self.held) {
                    out.extend_from_slice(&self.held);
                }
                State::Text
            }
            (State::Control, 0x20..=0x3f) => {
                if self.held.len() < LONGEST {
                    self.held.push(byte);
                }
                State::Control
            }
            (State::Control, 0x1b) => {
                self.held.truncate(1);
                State::Escape
            }
            (State::Control, _) => State::Text,
            (State::String, 0x07) => State::Text,
            (State::String, 0x1b) => State::StringEscape,
            (State::String, _) => State::String,
            (State::StringEscape, b'\\') => State::Text,
            (State::StringEscape, 0x1b) => State::StringEscape,
            (State::StringEscape, _) => State::String,
        };
    }
}

/// Colours, erasing, cursor movement, hiding and showing the cursor.
fn is_harmless(sequence: &[u8]) -> bool {
    match sequence {
        [0x1b, b'[', b'?', b'2', b'5', b'h' | b'l'] => true,
        [0x1b, b'[', parameters @ .., b'm' | b'A'..=b'H' | b'J' | b'K' | b'f' | b's' | b'u'] => {
            sequence.len() < LONGEST && parameters.iter().all(|b| matches!(b, b'0'..=b'9' | b';' | b':'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        // Byte by byte: the worst way to be split.
        let mut filter = TerminalFilter::default();
        let out: Vec<u8> = text.bytes().flat_map(|byte| filter.push(&[byte])).collect();
        assert_eq!(TerminalFilter::default().push(text.as_bytes()), out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_colours_and_progress_bars_pass() {
        for text in [
            "plain\r\n\ttext",
            "\u{1b}[1;31mred\u{1b}[0m",
            "\r 50%\u{1b}[K",
            "\u{1b}[?25l\u{1b}[2A",
            "¿é漢🙂\u{7f00}",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_makes_a_terminal_act_is_dropped() {
        for (text, rest) in [
            ("a\u{1b}]52;c;cm0gLXJm\u{7}b", "ab"),
            ("a\u{1b}]0;title\u{1b}\\b", "ab"),
            ("a\u{1b}P+q544e\u{1b}\\b", "ab"),
            ("a\u{1b}_Gf=100;AAAA\u{1b}\\b", "ab"),
            ("a\u{1b}[6nb", "ab"),
            ("a\u{1b}[cb", "ab"),
            ("a\u{1b}[21tb", "ab"),
            ("a\u{1b}[?1049hb", "ab"),
            ("a\u{1b}[?1000hb", "ab"),
            ("a\u{1b}cb", "ab"),
            ("a\u{1b}(0b", "ab"),
            ("a\u{9b}6nb", "a6nb"),
            ("a\u{9d}b", "ab"),
            ("a\u{0}\u{5}b", "ab"),
            ("a\u{1b}\u{1b}]0;x\u{7}b", "ab"),
            ("a\u{1b}[\u{1b}]0;x\u{7}b", "ab"),
        ] {
            assert_eq!(shown(text), rest, "{text:?}");
        }
    }

    #[test]
    fn an_endless_sequence_holds_no_memory() {
        let mut filter = TerminalFilter::default();
        assert!(filter.push(b"\x1b[").is_empty());
        for _ in 0..1000 {
            assert!(filter.push(&[b'1'; 100]).is_empty());
        }
        assert!(filter.held.len() <= LONGEST);
        assert_eq!(filter.push(b"mok"), b"ok");
    }
}
