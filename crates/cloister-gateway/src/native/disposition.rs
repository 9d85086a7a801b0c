//! `Content-Disposition` for files with names that a guest chose (RFC 6266, RFC 5987).

use crate::percent;

/// `attachment` with the name twice: plain ASCII for old clients, and exactly for the others. Never `inline`:
/// a page or a picture with scripts from a sandbox must not open as a document of this server.
pub(super) fn attachment(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-._ ()+".contains(c) { c } else { '_' })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", percent::encode_attribute(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_header() {
        for hostile in
            ["a\"; filename=\"b.exe", "a\r\nSet-Cookie: x=1", "..\\..\\x", "a;b", "\u{202e}gpj.exe", "%22"]
        {
            let header = attachment(hostile);
            assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)), "{header}");
            assert_eq!(header.matches('"').count(), 2, "{header}");
            assert_eq!(header.matches(';').count(), 2, "{header}");
            assert!(!header.contains('\\'));
        }
    }

    #[test]
    fn the_exact_name_survives() {
        assert_eq!(
            attachment("Größe 1.csv"),
            "attachment; filename=\"Gr__e 1.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.csv"
        );
    }
}
