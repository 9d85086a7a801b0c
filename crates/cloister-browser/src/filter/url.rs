//! Which URLs a client may open.

/// Schemes of pages that come over the network, or from the client itself.
const SCHEMES: [&str; 4] = ["http", "https", "data", "blob"];

/// Refuses everything but http, https, data, blob and about:blank.
pub(super) fn allowed(url: &str) -> Result<(), String> {
    // As Chromium's parser does: blanks and controls around it go, line ends and tabs inside of it too.
    let cleaned: String =
        url.trim_matches(|c: char| c <= ' ').chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let (scheme, rest) = cleaned.split_once(':').ok_or_else(|| refusal("a URL without a scheme"))?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "about" => {
            let page = rest.split(['?', '#']).next().unwrap_or_default();
            if page.eq_ignore_ascii_case("blank") {
                Ok(())
            } else {
                Err(refusal("about: pages but about:blank"))
            }
        }
        "blob" => {
            // The inner origin is the page's that made it; a blob of the browser's own pages is as good as those.
            let inner = rest.split_once(':').map_or("", |(inner, _)| inner).to_ascii_lowercase();
            let opaque = rest.to_ascii_lowercase().starts_with("null/");
            if opaque || matches!(inner.as_str(), "http" | "https") {
                Ok(())
            } else {
                Err(refusal("such a blob:"))
            }
        }
        known if SCHEMES.contains(&known) => Ok(()),
        _ if scheme.len() <= 32 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            Err(refusal(&format!("{scheme}:")))
        }
        _ => Err(refusal("a URL without a scheme")),
    }
}

fn refusal(what: &str) -> String {
    format!("{what} cannot be opened: the CDP policy allows http, https, data, blob and about:blank")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_network_and_of_the_client_can_be_opened() {
        for url in [
            "http://example.com/",
            "HTTPS://EXAMPLE.com",
            " https://example.com/a b ",
            "about:blank",
            "about:blank#x",
            "data:text/html,<p>x",
            "blob:https://example.com/0b1e",
            "blob:null/0b1e",
            "h\nttp://example.com",
        ] {
            assert_eq!(allowed(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn files_and_pages_of_the_browser_cannot_be_opened_however_they_are_written() {
        for url in [
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            " \u{1}file:///etc/passwd",
            "fi\tle:///etc/passwd",
            "view-source:file:///etc/passwd",
            "view-source:https://example.com",
            "filesystem:http://example.com/temporary/x",
            "blob:file:///0b1e",
            "blob:chrome://settings/0b1e",
            "chrome://version",
            "chrome-untrusted://x",
            "chrome-extension://abc/x",
            "devtools://devtools/bundled/inspector.html",
            "about:version",
            "about:settings",
            "about:srcdoc",
            "javascript:alert(1)",
            "externalfile:x",
            "content:x",
            "intent://x",
            "ftp://example.com",
            "\\\\localhost\\x",
            "//127.0.0.1/",
            "/etc/passwd",
            "etc/passwd",
            "",
            ":",
        ] {
            assert!(allowed(url).is_err(), "{url}");
        }
    }
}
