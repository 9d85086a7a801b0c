//! `cloister env`: shell lines that point every AWS client at a local server. Made for `eval "$(cloister env)"`.

use super::Failure;
use crate::audit::{FileAudit, Limits};
use crate::config::DEFAULT_LISTEN;
use crate::data_dir::DataDir;
use crate::keys::{Credentials, KeyStore, first_key};
use crate::output::Output;
use cloister_core::audit::Audit as _;
use cloister_core::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The region when the shell has none that clients accept; the AgentCore SDK's own default.
const DEFAULT_REGION: &str = "us-west-2";

/// Arguments of `cloister env`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Address of the server; by default the one that runs on the data folder, else 127.0.0.1:8484
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Data folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Also lead the AgentCore SDK's browser client to the server's TLS door (`cloister serve --tls-listen`)
    #[arg(long)]
    tls: bool,
}

/// The key of whoever runs the server, made if the data folder has never had one.
pub(super) fn credentials(data: &DataDir) -> Result<Credentials, Failure> {
    let record = |event| {
        let log = FileAudit::open(data.audit(), Limits::default())
            .map_err(|error| Error::internal("the audit log", error))?;
        Ok(log.record(event).map(drop)?)
    };
    Ok(first_key(data, &KeyStore::open(data)?, record)?.credentials())
}

/// One line of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A variable that is set.
    Export(&'static str, String),
    /// A variable that would lead clients elsewhere.
    Unset(&'static str),
}

pub(crate) fn run(args: &Args, out: Output) -> Result<(), Failure> {
    let data = DataDir::open(&super::data_dir(args.data_dir.clone())?)?;
    let url = endpoint(args.listen, data.endpoint());
    let credentials = credentials(&data)?;
    let mut lines = lines(&url, &credentials, |name| std::env::var(name).ok());
    if args.tls {
        let door = data.tls().ok_or_else(|| {
            Failure::new("no server with a TLS door runs on this data folder; start it with --tls-listen 127.0.0.1:8443")
        })?;
        lines.extend(tls_lines(door, data.authority()?.path().display().to_string()));
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        if !in_hosts(&hosts) {
            // Not for the shell that evaluates the lines.
            eprintln!("cloister: once, as root: echo '127.0.0.1 {}' >> /etc/hosts", crate::tls::NAME);
        }
    }
    if out.is_json() {
        let exports = lines.iter().filter_map(|line| match line {
            Line::Export(name, value) => Some(((*name).to_owned(), serde_json::Value::from(value.as_str()))),
            Line::Unset(_) => None,
        });
        return Ok(out.json(&exports.collect::<serde_json::Map<_, _>>().into())?);
    }
    Ok(out.line(&render(&lines))?)
}

/// The URL of the server: the address given, unless its port is chosen by the kernel and only the server knows it.
pub(super) fn endpoint(listen: Option<SocketAddr>, published: Option<String>) -> String {
    match listen {
        Some(address) if address.port() != 0 => url(address),
        _ => published.unwrap_or_else(|| format!("http://{DEFAULT_LISTEN}")),
    }
}

/// The URL under which this machine reaches a server that listens on `address`.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{}", reach(address))
}

/// The address at which this machine reaches it.
pub(crate) fn reach(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Every variable for a server at `url`; `variable` reads the environment that they are added to.
pub(super) fn lines(
    url: &str,
    credentials: &Credentials,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<Line> {
    let Credentials { access_key_id, secret_access_key, token } = credentials;
    let region =
        ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(&variable).find(|r| is_region(r));
    let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let mut lines = vec![
        Line::Export("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", url.to_owned()),
        Line::Export("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL", url.to_owned()),
        // Issued by the server, which verifies the signatures made with it: no real key is used with it.
        Line::Export("AWS_ACCESS_KEY_ID", access_key_id.clone()),
        Line::Export("AWS_SECRET_ACCESS_KEY", secret_access_key.clone()),
        Line::Export("AWS_REGION", region.clone()),
        Line::Export("AWS_DEFAULT_REGION", region),
        Line::Export("CLOISTER_ENDPOINT", url.to_owned()),
        Line::Export("CLOISTER_TOKEN", token.clone()),
        Line::Unset("AWS_SESSION_TOKEN"),
        // The JavaScript SDK prefers a profile to the credentials above; this switch makes SDKs ignore the endpoints above.
        Line::Unset("AWS_PROFILE"),
        Line::Unset("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    ];
    lines.extend(no_proxy(&variable));
    lines
}

/// The browser client of the SDK takes its stream from the first variable only, and wants TLS and a name of AWS's there.
fn tls_lines(door: String, authority: String) -> [Line; 3] {
    [
        Line::Export("BEDROCK_AGENTCORE_DP_ENDPOINT", door),
        Line::Export("AWS_CA_BUNDLE", authority.clone()),
        // Playwright's driver is a Node.js program, from Python too.
        Line::Export("NODE_EXTRA_CA_CERTS", authority),
    ]
}

/// Whether a hosts file leads the TLS door's name anywhere.
fn in_hosts(hosts: &str) -> bool {
    let names = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().to_owned();
        line.split_whitespace().skip(1).any(|name| name == crate::tls::NAME)
    };
    hosts.lines().any(names)
}

/// Keeps clients from asking a configured web proxy for 127.0.0.1.
fn no_proxy(variable: &impl Fn(&str) -> Option<String>) -> Vec<Line> {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    if !["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().any(set) {
        return Vec::new();
    }
    let old = ["no_proxy", "NO_PROXY"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    let mut hosts: Vec<String> =
        old.iter().flat_map(|list| list.split(',')).map(|h| h.trim().to_owned()).collect();
    for local in ["127.0.0.1", "localhost", "::1"] {
        if !hosts.iter().any(|host| host == local) {
            hosts.push(local.to_owned());
        }
    }
    let list = hosts.join(",");
    vec![Line::Export("NO_PROXY", list.clone()), Line::Export("no_proxy", list)]
}

/// The pattern to which the AgentCore SDK holds regions: `us-west-2`, `us-gov-west-1`; not `local`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lower = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    match parts.as_slice() {
        [country, middle @ .., number] => {
            country.len() == 2
                && lower(country)
                && !middle.is_empty()
                && middle.iter().all(|part| lower(part))
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

fn render(lines: &[Line]) -> String {
    let text = lines.iter().map(|line| match line {
        Line::Export(name, value) => format!("export {name}={}", quote(value)),
        Line::Unset(name) => format!("unset {name}"),
    });
    text.collect::<Vec<_>>().join("\n")
}

/// The text as one word of a POSIX shell, whatever it holds.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn key(token: &str) -> Credentials {
        Credentials { access_key_id: "CLOIX".into(), secret_access_key: "s".into(), token: token.into() }
    }

    fn exported(lines: &[Line], wanted: &str) -> Option<String> {
        lines.iter().find_map(|line| match line {
            Line::Export(name, value) if *name == wanted => Some(value.clone()),
            _ => None,
        })
    }

    #[test]
    fn a_shell_reads_back_exactly_what_was_quoted() {
        for text in
            ["", "plain", "it's", "''", "$(touch /tmp/x) `id` \"$HOME\"", "a\nb", "\\'; exit 1 #", "*?[é]"]
        {
            let script = format!("export V={}\nprintf %s \"$V\"", quote(text));
            let output = Command::new("/bin/sh").arg("-c").arg(&script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_shell_evaluates_the_lines_and_drops_a_session_token() {
        let text = render(&lines("http://127.0.0.1:8484", &key("abc'd"), |_| None));
        let script = r#"eval "$LINES_"; printf '%s|' "$AWS_ENDPOINT_URL_BEDROCK_AGENTCORE" \
            "$AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL" "$AWS_REGION" "$AWS_DEFAULT_REGION" \
            "$CLOISTER_TOKEN" "${AWS_SESSION_TOKEN-gone}" "${AWS_PROFILE-gone}""#;
        let output = Command::new("/bin/sh")
            .args(["-euc", script])
            .env("LINES_", &text)
            .env("AWS_SESSION_TOKEN", "real")
            .env("AWS_PROFILE", "real")
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "http://127.0.0.1:8484|http://127.0.0.1:8484|us-west-2|us-west-2|abc'd|gone|gone|"
        );
    }

    #[test]
    fn a_region_that_clients_accept_is_kept() {
        for (given, expected) in [
            (Some("eu-central-1"), "eu-central-1"),
            (Some("us-gov-west-1"), "us-gov-west-1"),
            (Some("local"), "us-west-2"),
            (Some("eu-1"), "us-west-2"),
            (Some("eu-central-1; rm"), "us-west-2"),
            (None, "us-west-2"),
        ] {
            let lines = lines("u", &key("t"), |name| {
                given.filter(|_| name == "AWS_DEFAULT_REGION").map(str::to_owned)
            });
            assert_eq!(exported(&lines, "AWS_REGION").as_deref(), Some(expected), "{given:?}");
        }
    }

    #[test]
    fn the_address_wins_over_the_published_one_unless_its_port_is_zero() {
        let published = Some("http://127.0.0.1:4000".to_owned());
        let address = |text: &str| Some(text.parse().unwrap());
        assert_eq!(endpoint(address("127.0.0.1:5000"), published.clone()), "http://127.0.0.1:5000");
        assert_eq!(endpoint(address("127.0.0.1:0"), published.clone()), "http://127.0.0.1:4000");
        assert_eq!(endpoint(None, published), "http://127.0.0.1:4000");
        assert_eq!(endpoint(None, None), "http://127.0.0.1:8484");
        assert_eq!(endpoint(address("0.0.0.0:5000"), None), "http://127.0.0.1:5000");
        assert_eq!(endpoint(address("[::]:5000"), None), "http://[::1]:5000");
    }

    #[test]
    fn the_line_in_the_hosts_file_is_seen() {
        assert!(in_hosts("::1 localhost\n127.0.0.1\tcloister.amazonaws.com other # mine\n"));
        assert!(!in_hosts(
            "127.0.0.1 localhost\n# 127.0.0.1 cloister.amazonaws.com\n127.0.0.1 xcloister.amazonaws.com"
        ));
    }

    #[test]
    fn a_web_proxy_is_not_asked_for_loopback() {
        let none = lines("u", &key("t"), |_| None);
        assert_eq!(exported(&none, "NO_PROXY"), None);
        let with = lines("u", &key("t"), |name| match name {
            "HTTP_PROXY" => Some("http://proxy:3128".into()),
            "NO_PROXY" => Some("intranet, localhost".into()),
            _ => None,
        });
        assert_eq!(exported(&with, "no_proxy").as_deref(), Some("intranet,localhost,127.0.0.1,::1"));
    }
}
