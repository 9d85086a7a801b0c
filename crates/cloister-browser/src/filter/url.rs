//! Which URLs a client may open.

use cloister_core::policy::BrowserRules;

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

/// The same without pages that a client brings along: a `data:` page is a script of the client's, whatever else it may not run.
pub(crate) fn allowed_to_readers(url: &str) -> Result<(), String> {
    allowed(url)?;
    let scheme: String =
        url.trim_matches(|c: char| c <= ' ').chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let scheme = scheme.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if matches!(scheme.as_str(), "http" | "https" | "about") {
        return Ok(());
    }
    Err(format!(
        "{scheme}: cannot be opened: the session's policy says browser.read_only = true, and such a page may run what its client wrote"
    ))
}

/// Whether clients of a session of such rules may open a URL, as far as its scheme goes; an error is the sentence that they hear.
pub fn may_open(url: &str, rules: &BrowserRules) -> Result<(), String> {
    if rules.read_only { allowed_to_readers(url) } else { allowed(url) }
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
    fn who_may_only_look_opens_no_page_of_their_own_making() {
        for url in ["http://example.com/", " HTTPS://example.com", "about:blank"] {
            assert_eq!(allowed_to_readers(url), Ok(()), "{url}");
        }
        for url in
            ["data:text/html,<script>x()</script>", " DA\tTA:,x", "blob:null/1", "file:///x", "javascript:x"]
        {
            assert!(allowed_to_readers(url).is_err(), "{url}");
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
