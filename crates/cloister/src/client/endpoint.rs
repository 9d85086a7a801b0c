//! Where the server is: from a flag, from the environment, or the default.

use std::fmt;

/// A server's base URL over plain HTTP, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

/// A URL that is no base of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// TLS.
    #[error(
        "{0}: the command line speaks plain HTTP only; give an http:// address on this machine or behind a tunnel"
    )]
    Https(String),
    /// Something else.
    #[error("{0}: not an endpoint; write http://HOST:PORT")]
    Malformed(String),
}

impl Endpoint {
    /// Reads a base URL. A path prefix is kept; query, fragment and user names are refused.
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(text.to_owned());
        let uri: hyper::Uri = text.trim_end_matches('/').parse().map_err(|_| malformed())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Https(text.to_owned())),
            _ => return Err(malformed()),
        }
        let authority = uri.authority().ok_or_else(malformed)?.as_str();
        if uri.query().is_some() || text.contains('#') || authority.contains('@') {
            return Err(malformed());
        }
        Ok(Self(format!("http://{authority}{}", uri.path().trim_end_matches('/'))))
    }

    /// The first of the flag, `CLOISTER_ENDPOINT`, the AWS variable, and the default.
    pub(crate) fn choose(
        flag: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EndpointError> {
        if let Some(text) = flag {
            return Self::parse(text);
        }
        let set =
            ["CLOISTER_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"].into_iter().filter_map(variable);
        match set.into_iter().find(|value| !value.is_empty()) {
            Some(text) => Self::parse(&text),
            None => Self::parse(&format!("http://{}", crate::config::DEFAULT_LISTEN)),
        }
    }

    /// The URL of a path below the base.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One segment of a path, or several joined by slashes, with everything else encoded.
pub(crate) fn encode_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_our_variable_then_the_aws_one_then_the_default() {
        let both = |name: &str| match name {
            "CLOISTER_ENDPOINT" => Some("http://127.0.0.1:1/".to_owned()),
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE" => Some("http://127.0.0.1:2".to_owned()),
            _ => None,
        };
        let aws = |name: &str| both(name).filter(|_| name.starts_with("AWS"));
        let text = |endpoint: Result<Endpoint, EndpointError>| endpoint.unwrap().to_string();
        assert_eq!(text(Endpoint::choose(Some("http://127.0.0.1:3"), both)), "http://127.0.0.1:3");
        assert_eq!(text(Endpoint::choose(None, both)), "http://127.0.0.1:1");
        assert_eq!(text(Endpoint::choose(None, aws)), "http://127.0.0.1:2");
        assert_eq!(text(Endpoint::choose(None, |_| None)), "http://127.0.0.1:8484");
    }

    #[test]
    fn a_prefix_is_kept_and_anything_else_is_refused() {
        assert_eq!(Endpoint::parse("http://h:1/a/").unwrap().join("/v1"), "http://h:1/a/v1");
        assert!(matches!(Endpoint::parse("https://h"), Err(EndpointError::Https(_))));
        for bad in
            ["", "h:1", "127.0.0.1:8484", "ftp://h", "http://", "http://h/?q", "http://h/#f", "http://u@h"]
        {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn paths_keep_their_slashes_and_lose_nothing_else() {
        assert_eq!(encode_path("a b/ü?#%.txt"), "a%20b/%C3%BC%3F%23%25.txt");
    }
}
