//! Names of downloaded files: what a page suggests is text of a stranger's.

/// Longest name in bytes; file systems take 255, and a number may be added.
const LONGEST: usize = 200;

/// `a8e410b3-0bd1-451d-b3d2-a7e4be3190a7`.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// One harmless path component made from a suggestion.
pub(super) fn sanitised(suggested: &str) -> String {
    let clean: String = suggested
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            // Direction marks make `gpj.exe` look like `exe.jpg`.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    let clean = clean.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let (stem, extension) = split(clean);
    let stem = cut(stem, LONGEST - extension.len());
    if stem.is_empty() { format!("download{extension}") } else { format!("{stem}{extension}") }
}

/// Stem and extension; an extension is short, or it is none.
pub(super) fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 20 => name.split_at(at),
        _ => (name, ""),
    }
}

fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn real_names_stay_as_they_are() {
        for name in ["report 2026.csv", "图表.png", "Müller & Söhne.tar.gz", "README"] {
            assert_eq!(sanitised(name), name);
        }
    }

    #[test]
    fn names_that_lie_or_lead_elsewhere_become_harmless() {
        assert_eq!(sanitised("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(sanitised("x\u{202e}gpj.exe"), "x_gpj.exe");
        assert_eq!(sanitised(".bashrc"), "bashrc");
        assert_eq!(sanitised(""), "download");
        assert_eq!(sanitised(" .. "), "download");
        let long = sanitised(&format!("{}.txt", "ä".repeat(300)));
        assert!(long.ends_with("ä.txt") && long.len() <= LONGEST, "{long}");
    }

    proptest! {
        #[test]
        fn every_name_is_one_component_of_bounded_length(suggested in ".*") {
            let name = sanitised(&suggested);
            prop_assert!(!name.is_empty() && name.len() <= LONGEST);
            prop_assert!(!name.contains(['/', '\0', '\\']) && !name.starts_with('.'));
        }
    }
}
