//! From what a session did to the smallest policy under which it could have done it. A suggestion: what was recorded need not be what
//! was meant, so what was refused is told and not granted.
//!
//! ```text
//!   server's log (--log-format json) or audit log, line by line ─▶ Seen ─▶ TOML ─▶ loaded as any policy is
//! ```

use super::{Policies, PoliciesError};
use crate::egress::question::{self, Answer};
use cloister_core::policy::{Install, NetworkMode, Packages, Policy, size_text, span_text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections that were let through, by host and port.
    pub(crate) reached: BTreeSet<(String, u16)>,
    /// Connections that were refused, with the rule.
    pub(crate) refused: BTreeMap<(String, u16), String>,
    /// Bytes both ways.
    pub(crate) bytes: u64,
    /// Runtimes that ran code; empty if the record says nothing of calls.
    pub(crate) runtimes: BTreeSet<String>,
    /// Whether a shell command ran.
    pub(crate) shell: bool,
    /// Calls that the record tells of.
    pub(crate) calls: usize,
    /// Secrets that were put into requests.
    pub(crate) secrets: BTreeSet<String>,
    /// Projects of which files were asked for, and the policies whose mirrors were asked; empty for one that the record does not name.
    pub(crate) packages: BTreeSet<(String, String)>,
    /// Tiers and images of sessions.
    pub(crate) tiers: BTreeSet<(String, String)>,
    /// How long sessions might live, in milliseconds: what they asked for or were given.
    pub(crate) life: u64,
    /// The longest call, in microseconds.
    pub(crate) wall: u64,
    /// The most memory of a session, in bytes; `None` if a receipt does not know.
    pub(crate) memory: Option<u64>,
    /// Receipts.
    pub(crate) receipts: usize,
    /// Lines that were of use.
    pub(crate) lines: usize,
}

impl Seen {
    /// Takes one line in; `of` is the session or sandbox that counts, all if absent. Lines of other kinds are left out: a log holds
    /// many.
    pub(crate) fn take(&mut self, line: &str, of: Option<&str>) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        if of.is_some_and(|of| text("session") != Some(of) && text("sandbox") != Some(of)) {
            return;
        }
        let used = match (text("target"), text("action")) {
            (Some("egress"), _) => self.log(&line),
            (_, Some(action)) => self.audit(action, &line),
            _ => None,
        };
        self.lines += usize::from(used.is_some());
    }

    /// A line of the server's log with the target `egress`.
    fn log(&mut self, line: &Value) -> Option<()> {
        if line.get("message")?.as_str()? == "package" {
            self.packages.insert((String::new(), line.get("project")?.as_str()?.to_owned()));
            return Some(());
        }
        let host = line.get("host")?.as_str()?.trim_matches(['[', ']']).to_owned();
        let port = u16::try_from(line.get("port")?.as_u64()?).ok()?;
        match line.get("message")?.as_str()? {
            "allowed" => drop(self.reached.insert((host, port))),
            "secret" => drop(self.secrets.insert(line.get("secret")?.as_str()?.to_owned())),
            "refused" => {
                let rule = line.get("rule").and_then(Value::as_str).unwrap_or_default();
                self.refused.insert((host, port), rule.to_owned());
            }
            "ended" => {
                let count = |name: &str| line.get(name).and_then(Value::as_u64).unwrap_or_default();
                self.bytes = self.bytes.saturating_add(count("bytes_out")).saturating_add(count("bytes_in"));
            }
            _ => return None,
        }
        Some(())
    }

    /// A record of the audit log.
    fn audit(&mut self, action: &str, line: &Value) -> Option<()> {
        let detail = |name: &str| line.pointer(&format!("/detail/{name}"));
        let destination = |text: &str| {
            let (host, port) = text.rsplit(' ').next()?.rsplit_once(':')?;
            Some((host.trim_matches(['[', ']']).to_owned(), port.parse::<u16>().ok()?))
        };
        match action {
            "egress" => {
                let to = destination(line.pointer("/untrusted/resource")?.as_str()?)?;
                let count = |name: &str| detail(name).and_then(Value::as_u64).unwrap_or_default();
                self.bytes = self.bytes.saturating_add(count("bytes_out")).saturating_add(count("bytes_in"));
                self.reached.insert(to);
            }
            "denied" if detail("layer").and_then(Value::as_str) == Some("egress") => {
                let to = destination(line.pointer("/untrusted/asked")?.as_str()?)?;
                let rule = line.get("rule").and_then(Value::as_str).unwrap_or_default();
                self.refused.insert(to, rule.to_owned());
            }
            "package" => {
                let policy = line.pointer("/policy/name").and_then(Value::as_str).unwrap_or_default();
                let project = line.pointer("/untrusted/resource")?.as_str()?;
                self.packages.insert((policy.to_owned(), project.to_owned()));
            }
            "secret.use" => {
                self.secrets.insert(line.pointer("/untrusted/resource")?.as_str()?.to_owned());
            }
            "session.start" => {
                let word = |name: &str| detail(name).and_then(Value::as_str).map(str::to_owned);
                self.tiers.extend(word("tier").zip(word("image")));
                self.life = self.life.max(detail("timeout_ms").and_then(Value::as_u64).unwrap_or_default());
            }
            "receipt" => self.receipt(detail("receipt/payload")?),
            "call" => {
                self.calls += 1;
                match detail("tool").and_then(Value::as_str)? {
                    "executeCode" => {
                        let language = detail("language").and_then(Value::as_str)?;
                        let runtimes: &[&str] =
                            if language == "python" { &["python"] } else { &["nodejs", "deno"] };
                        self.runtimes.extend(runtimes.iter().map(|&name| name.to_owned()));
                    }
                    "executeCommand" | "startCommandExecution" => self.shell = true,
                    _ => {}
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// What a call used. Connections that have not ended stand in no other record.
    fn receipt(&mut self, payload: &Value) {
        let count = |name: &str| payload.get(name).and_then(Value::as_u64);
        let memory = count("memory_peak_bytes");
        self.memory = match self.receipts {
            0 => memory,
            _ => self.memory.zip(memory).map(|(most, this)| most.max(this)),
        };
        self.receipts += 1;
        self.wall = self.wall.max(count("wall_us").unwrap_or_default());
        for one in payload.get("egress").and_then(Value::as_array).into_iter().flatten() {
            let host =
                one.get("host").and_then(Value::as_str).map(|host| host.trim_matches(['[', ']']).to_owned());
            let port = one.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
            if one.get("decision").and_then(Value::as_str) == Some("allowed") {
                self.reached.extend(host.zip(port));
            }
        }
    }

    /// The policy that has everything that sessions of such a tier and image can have.
    fn parent(&self) -> &'static str {
        match self.tiers.first().map(|(tier, image)| (tier.as_str(), image.as_str())) {
            Some(("wasm", _)) => "wasm",
            Some(("browser", "chromium")) => "browser-full",
            Some(("browser", _)) => "browser-open",
            _ => "ceiling",
        }
    }

    /// The proposal as a file that the loader takes: under the installation's ceiling if that gives enough, else under none.
    pub(crate) fn proposal(&self, policies: &Policies, source: &str) -> Result<String, PoliciesError> {
        let loads = |text: &str| {
            let mut policies = policies.clone();
            policies.add("learned", "the proposal".to_owned(), text.to_owned());
            policies.resolve("learned").map(drop)
        };
        let packages = self.packages(policies);
        let under = self.propose(source, Some(self.parent()), &packages);
        if loads(&under).is_ok() {
            return Ok(under);
        }
        if self.parent() != "ceiling" {
            // Without a parent it would be of another tier.
            loads(&under)?;
        }
        let alone = self.propose(source, None, &packages);
        loads(&alone).map(|()| alone)
    }

    /// The mirror from which packages were installed, and which: that of their policy, if it has one today. Without it, or beside
    /// it, those of other mirrors.
    fn packages(&self, policies: &Policies) -> (Option<(Packages, BTreeSet<String>)>, BTreeSet<String>) {
        let mirror = |policy: &str| {
            let packages = policies.resolve(policy).ok()?.policy.packages;
            (packages.install == Install::Mirror).then_some(packages)
        };
        let first = self.packages.iter().find_map(|(policy, _)| mirror(policy));
        let (here, elsewhere): (Vec<_>, Vec<_>) = self.packages.iter().partition(|(policy, _)| {
            mirror(policy)
                .is_some_and(|mirror| first.as_ref().is_some_and(|first| first.index == mirror.index))
        });
        let names = |of: Vec<&(String, String)>| of.into_iter().map(|(_, project)| project.clone()).collect();
        (first.map(|mirror| (mirror, names(here))), names(elsewhere))
    }

    fn propose(
        &self,
        source: &str,
        parent: Option<&str>,
        packages: &(Option<(Packages, BTreeSet<String>)>, BTreeSet<String>),
    ) -> String {
        let Self { reached, refused, bytes, runtimes, shell, calls, lines, secrets, tiers, .. } = self;
        let mut text =
            format!("# Learned from {lines} lines of {source}. A suggestion: read it before you use it.\n");
        for ((host, port), rule) in refused {
            text.push_str(&format!("# Refused, and not in here: {}:{port} ({})\n", plain(host), plain(rule)));
        }
        if tiers.len() > 1 {
            text.push_str("# Several tiers or images have run, and this is for the first alone: name one session with --session.\n");
        }
        text.push_str("description = \"learned from a recorded run\"\n");
        match parent {
            Some(parent) => text.push_str(&format!("extends = \"{parent}\"\n")),
            None => text.push_str(
                "# It extends nothing: it needs more than the ceiling of this installation gives.\n",
            ),
        }
        // An image of one's own; those of other tiers go with the parent.
        if let Some((_, image)) =
            tiers.first().filter(|(tier, image)| tier == "process" && image != "analysis")
        {
            text.push_str(&format!("image = \"{}\"\n", plain(image)));
        }
        if !secrets.is_empty() {
            text.push_str(&format!("secrets = {}\n", list(secrets)));
        }
        let (mut domains, mut ranges, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (host, port) in reached {
            let allowed = match host.parse::<IpAddr>() {
                Ok(address) => {
                    ranges.insert(format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }))
                }
                // What the proxy would refuse under every policy was reached by the operator's leave, and needs no entry.
                Err(_) => may_be_listed(host, *port) && domains.insert(host.clone()),
            };
            if allowed || host.parse::<IpAddr>().is_ok() || domains.contains(host) {
                ports.insert(*port);
            }
        }
        text.push_str("\n[network]\n");
        if reached.is_empty() && packages.0.is_none() {
            text.push_str("mode = \"none\"\n");
        } else if reached.is_empty() {
            // The mirror is asked by the server, and nothing else by anybody.
            text.push_str("mode = \"allowlist\"\n");
        } else {
            text.push_str(&format!("mode = \"allowlist\"\nallowed_domains = {}\n", list(&domains)));
            if !ranges.is_empty() {
                text.push_str(&format!("allowed_cidrs = {}\n", list(&ranges)));
            }
            let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
            text.push_str(&format!("ports = [{}]\n", ports.join(", ")));
            let room = bytes.saturating_mul(2).max(1 << 20).checked_next_power_of_two().unwrap_or(1 << 50);
            text.push_str(&format!("bytes = \"{}\"\n", size_text(room.min(1 << 50))));
        }
        if *calls > 0 {
            text.push_str(&format!("\n[languages]\nruntimes = {}\nshell = {shell}\n", list(runtimes)));
        }
        if let (Some((rules, projects)), _) = packages {
            text.push_str(&format!(
                "\n[packages]\ninstall = \"mirror\"\nindex = \"{}\"\nallow = {}\nwheels_only = {}\nrequire_hashes = {}\nmax_bytes = \"{}\"\n",
                plain(&rules.index),
                list(projects),
                rules.wheels_only,
                rules.require_hashes,
                size_text(rules.max_bytes)
            ));
            if !rules.min_age.is_zero() {
                text.push_str(&format!("min_age = \"{}\"\n", span_text(rules.min_age)));
            }
        }
        if !packages.1.is_empty() {
            let others = list(&packages.1);
            text.push_str(&format!(
                "\n# Installed, and not in here, since their mirror is not known, or is another: {others}\n"
            ));
        }
        text.push_str(&self.limits());
        text
    }

    /// Room for what was used and more, where that is less than what a policy gives by itself: a machine that has more to do is slower, and
    /// another start shares less.
    fn limits(&self) -> String {
        let (mut text, usual) = (String::new(), Policy::built_in(""));
        let life = self.life.div_ceil(1000);
        // Four times the longest call, in whole minutes.
        let call = (self.wall.saturating_mul(4)).div_ceil(60_000_000).max(1) * 60;
        let mut times = Vec::new();
        if life > 0 && life < usual.time.session_max.as_secs() {
            times.push(format!("session_max = \"{life}s\""));
        }
        if self.receipts > 0 && call < usual.time.call.as_secs() {
            times.push(format!("call = \"{call}s\""));
        }
        if !times.is_empty() {
            text.push_str(&format!("\n[time]\n{}\n", times.join("\n")));
        }
        let room = self.memory.map(|peak| peak.saturating_mul(4).max(512 << 20));
        if let Some(memory) = room.and_then(u64::checked_next_power_of_two)
            && memory < usual.resources.memory
            && self.parent() == "ceiling"
        {
            text.push_str(&format!("\n[resources]\nmemory = \"{}\"\n", size_text(memory)));
        }
        text
    }
}

/// Whether a list that names this host lets it through.
fn may_be_listed(host: &str, port: u16) -> bool {
    let mut network = Policy::built_in("").network;
    network.mode = NetworkMode::Allowlist;
    network.allowed_domains = vec![host.to_owned()];
    network.ports = vec![port];
    matches!(
        question::ask(&network, &format!("{host}:{port}"), None).map(|verdict| verdict.answer),
        Ok(Answer::Allowed(_))
    )
}

fn list(items: &BTreeSet<String>) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("\"{}\"", plain(item))).collect();
    format!("[{}]", items.join(", "))
}

/// Without anything that could end a text or a comment: logs hold what guests chose.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-:*/".contains(*c)).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[&str] = &[
        r#"{"level":"INFO","message":"allowed","sandbox":"S1","host":"api.example.com","port":443,"rule":"network.mode","target":"egress"}"#,
        r#"{"level":"INFO","message":"ended","sandbox":"S1","host":"api.example.com","port":443,"bytes_out":700000,"bytes_in":900000,"target":"egress"}"#,
        r#"{"level":"INFO","message":"refused","sandbox":"S1","host":"evil.example","port":25,"rule":"network.ports","target":"egress"}"#,
        r#"{"level":"INFO","message":"allowed","sandbox":"S2","host":"other.example","port":80,"rule":"network.mode","target":"egress"}"#,
        r#"{"level":"INFO","message":"a session has started","target":"cloister_core"}"#,
        "no JSON at all",
    ];

    const AUDIT: &[&str] = &[
        r#"{"action":"egress","session":"A","resource":"host","detail":{"bytes_out":10,"bytes_in":20},"untrusted":{"resource":"files.example.com:443"}}"#,
        r#"{"action":"denied","session":"A","rule":"network.allowed_domains","detail":{"layer":"egress"},"untrusted":{"asked":"a connection to x.example:443"}}"#,
        r#"{"action":"call","session":"A","detail":{"tool":"executeCode","language":"python"}}"#,
        r#"{"action":"call","session":"B","detail":{"tool":"executeCommand"}}"#,
    ];

    fn seen(lines: &[&str], of: Option<&str>) -> Seen {
        let mut seen = Seen::default();
        lines.iter().for_each(|line| seen.take(line, of));
        seen
    }

    /// The policy that a proposal is.
    fn loaded(seen: &Seen) -> Policy {
        let mut policies = Policies::embedded();
        let text = seen.proposal(&policies, "a test").unwrap();
        policies.add("learned", "learned.toml".into(), text);
        policies.resolve("learned").unwrap().policy
    }

    #[test]
    fn a_log_becomes_the_smallest_policy_that_lets_its_connections_through() {
        let seen = seen(LOG, Some("S1"));
        assert_eq!(seen.lines, 3);
        let policy = loaded(&seen);
        assert_eq!(policy.network.allowed_domains, ["api.example.com"]);
        assert_eq!((policy.network.ports.as_slice(), policy.network.bytes), ([443].as_slice(), 4 << 20));
        assert!(
            seen.proposal(&Policies::embedded(), "x")
                .unwrap()
                .contains("# Refused, and not in here: evil.example:25 (network.ports)")
        );
        let ask = |to: &str| question::ask(&policy.network, to, None).unwrap().answer;
        assert_eq!(ask("api.example.com:443"), Answer::Allowed("network.allowed_domains"));
        assert_eq!(ask("evil.example:443"), Answer::NotListed);
    }

    #[test]
    fn an_audit_log_tells_of_calls_too() {
        let policy = loaded(&seen(AUDIT, Some("A")));
        assert_eq!(policy.network.allowed_domains, ["files.example.com"]);
        assert_eq!(
            (policy.languages.runtimes.as_slice(), policy.languages.shell),
            (["python".to_owned()].as_slice(), false)
        );
        assert!(loaded(&seen(AUDIT, None)).languages.shell);
    }

    #[test]
    fn what_was_used_is_given_with_room_and_a_secret_is_lent_again() {
        let records = [
            r#"{"action":"session.start","session":"A","detail":{"tier":"process","image":"analysis","timeout_ms":900000}}"#,
            r#"{"action":"secret.use","session":"A","detail":{"place":"header a"},"untrusted":{"resource":"API_KEY","asked":"api.example.com:443"}}"#,
            r#"{"action":"receipt","session":"A","detail":{"receipt":{"payload":{"wall_us":20000000,"memory_peak_bytes":300000000,"egress":[{"host":"api.example.com","port":443,"decision":"allowed"},{"host":"x.example","port":443,"decision":"denied"}]}}}}"#,
        ];
        let policy = loaded(&seen(&records, Some("A")));
        assert_eq!(policy.secrets, ["API_KEY"]);
        assert_eq!(policy.network.allowed_domains, ["api.example.com"], "it has not ended, and was reached");
        assert_eq!((policy.time.session_max.as_secs(), policy.time.call.as_secs()), (900, 120));
        assert_eq!(policy.resources.memory, 2 << 30, "four times of it is what there is anyway");
        let little = records[2].replace("300000000", "30000000");
        assert_eq!(loaded(&seen(&[&little], None)).resources.memory, 512 << 20);
        let unknown = r#"{"action":"receipt","detail":{"receipt":{"payload":{"wall_us":1}}}}"#;
        assert_eq!(loaded(&seen(&[&little, unknown], None)).resources.memory, 2 << 30);
    }

    #[test]
    fn a_session_of_another_tier_is_learned_as_one_of_that_tier() {
        let start = |tier: &str, image: &str| {
            format!(
                r#"{{"action":"session.start","session":"A","detail":{{"tier":"{tier}","image":"{image}","timeout_ms":600000}}}}"#
            )
        };
        let reached =
            r#"{"action":"egress","session":"A","detail":{},"untrusted":{"resource":"www.example.com:443"}}"#;
        let policy = loaded(&seen(&[&start("browser", "headless-shell"), reached], None));
        assert_eq!((policy.tier.as_str(), policy.network.allowed_domains.len()), ("browser", 1));
        let policy = loaded(&seen(&[&start("browser", "chromium"), reached], None));
        assert_eq!((policy.tier.as_str(), policy.image.as_str()), ("browser", "chromium"));
        let policy = loaded(&seen(&[&start("wasm", "wasm-python"), AUDIT[2]], None));
        assert_eq!((policy.tier.as_str(), policy.languages.shell), ("wasm", false));
        let policy = loaded(&seen(&[&start("process", "mine")], None));
        assert_eq!((policy.tier.as_str(), policy.image.as_str()), ("process", "mine"));
    }

    #[test]
    fn packages_that_were_installed_come_from_the_mirror_of_their_policy_again() {
        let record = |policy: &str| {
            format!(
                r#"{{"action":"package","session":"A","policy":{{"name":"{policy}","version":"1"}},"detail":{{}},"untrusted":{{"resource":"polars","name":"polars-1-py3-none-any.whl"}}}}"#
            )
        };
        let mut policies = Policies::embedded();
        let mirror = "extends = \"ceiling\"\n[network]\nmode = \"allowlist\"\n[packages]\ninstall = \"mirror\"\n\
                      index = \"https://mirror.internal/simple/\"\nallow = [\"*\"]\nmin_age = \"168h\"\n";
        policies.add("ours", "a test".to_owned(), mirror.to_owned());
        policies.resolve("ours").unwrap();
        let proposal = seen(&[&record("ours")], Some("A")).proposal(&policies, "x").unwrap();
        policies.add("learned", "a test".to_owned(), proposal.clone());
        let policy = policies.resolve("learned").unwrap().policy;
        assert_eq!(policy.packages.allow, ["polars"], "{proposal}");
        assert_eq!(policy.packages.index, "https://mirror.internal/simple/");
        assert_eq!(policy.packages.min_age.as_secs(), 7 * 24 * 3600);
        assert!(policy.packages.wheels_only && policy.network.allowed_domains.is_empty(), "{proposal}");
        // Of a policy that is not there any more nobody knows the mirror.
        let seen = seen(&[&record("gone")], Some("A"));
        assert_eq!(loaded(&seen).packages.install, Install::Off);
        assert!(seen.proposal(&policies, "x").unwrap().contains("Installed, and not in here"));
    }

    #[test]
    fn a_session_that_connected_to_nothing_needs_no_network() {
        assert_eq!(loaded(&Seen::default()).network.mode, NetworkMode::None);
    }

    #[test]
    fn what_guests_chose_cannot_write_policy() {
        let hostile = r#"{"message":"refused","host":"a\"\n[network]\nmode = \"open\"","port":1,"rule":"x\nshell = true","target":"egress"}"#;
        let addresses = r#"{"message":"allowed","host":"[2606:4700::1]","port":443,"target":"egress"}"#;
        let this = r#"{"message":"allowed","host":"localhost","port":8000,"target":"egress"}"#;
        let policy = loaded(&seen(&[hostile, addresses, this], None));
        assert_eq!(policy.network.mode, NetworkMode::Allowlist);
        assert_eq!(policy.network.allowed_cidrs, ["2606:4700::1/128"]);
        assert_eq!(
            (policy.network.allowed_domains.len(), policy.network.ports.as_slice()),
            (0, [443].as_slice())
        );
    }
}
