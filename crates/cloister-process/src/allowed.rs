//! What a session is told of itself: its policy in force as a text and as JSON, laid where its code can read and never change it.
//!
//! ```text
//!   policy in force + image + provisions ──notices──▶ /run/cloister/allowed.md, allowed.json ◀── $CLOISTER_ALLOWED
//! ```
//!
//! An agent that knows beforehand what is refused does not have to find out by trying. Values of secrets are never near: a
//! [`Provisions`] has none.

use crate::image::Image;
use crate::lower::{BROWSER_TIER, PROCESS_TIER, Places};
use crate::wasm::WASM_TIER;
use cloister_core::egress::{LentSecret, Provisions};
use cloister_core::policy::{
    BrowserRules, Filesystem, Install, Languages, Network, NetworkMode, Output, Packages, Policy, Resources,
    Time, size_text, span_text,
};
use cloister_jail::plan::PROXY_PORT;
use serde_json::{Value, json};

/// The name of the text.
pub(crate) const TEXT: &str = "allowed.md";
/// The name of the same as JSON.
const JSON: &str = "allowed.json";

/// The files that tell a session what it may do: names and contents.
pub(crate) fn notices(
    policy: &Policy,
    image: &Image,
    places: &Places,
    provisions: &Provisions,
) -> Vec<(String, String)> {
    let facts = facts(policy, image, places, provisions);
    // Indented: it is read by people, and by programs that cut long lines.
    let json = serde_json::to_string_pretty(&facts).unwrap_or_default();
    vec![(TEXT.into(), text(policy, &facts, provisions)), (JSON.into(), json + "\n")]
}

/// Every struct is taken apart without `..`: of a new policy field, somebody has to decide here whether sessions are told.
fn facts(policy: &Policy, image: &Image, places: &Places, provisions: &Provisions) -> Value {
    let Policy {
        name: _, // with its version, below
        description: _,
        tier,
        image: _,
        start: _,
        network,
        packages,
        secrets: _, // those that there are, by `provisions`
        resources,
        filesystem,
        time,
        languages,
        output,
        browser,
        snapshots,
        audit: _,     // no business of the code that is watched
        isolation: _, // walls are to be found standing
    } = policy;
    let Resources { memory, cpu, pids, open_files } = resources;
    let Filesystem { disk, inodes, max_file, exec, workspace: _ } = filesystem; // as `places` has it
    let Time { session_default, session_max, call, grace, task } = time;
    let Output { stream, display, displays, figures: _, files: _, files_max, text: _ } = output;
    let Languages { runtimes, shell } = languages;
    let wasm = tier == WASM_TIER;
    let has = |name: &str| if wasm { name == "python" } else { image.runners.contains_key(name) };
    let runtimes: Vec<_> = runtimes.iter().filter(|name| has(name)).collect();
    let shell = *shell && !wasm && !image.shell.is_empty();
    let reference = policy.reference();
    let writable = places.listed(tier);
    let secrets: Vec<_> = provisions.secrets.iter().map(secret_facts).collect();
    let mut limits = json!({
        "memory_bytes": memory,
        "open_files": open_files,
        "disk_bytes": disk,
        "files": inodes,
        "file_bytes": max_file,
        "session_seconds": { "default": session_default.as_secs_f64(), "most": session_max.as_secs_f64() },
        "call_seconds": call.as_secs_f64(),
        "seconds_between_interrupt_and_kill": grace.as_secs_f64(),
        "output_bytes_per_stream_and_call": stream,
        "display_bytes": display,
        "displays_per_call": displays,
        "changed_files_reported_per_call": files_max,
    });
    if tier == PROCESS_TIER {
        limits["cpu_cores"] = json!(cpu);
        limits["processes"] = json!(pids);
        limits["background_command_seconds"] = json!(task.as_secs_f64());
    }
    let BrowserRules { downloads, read_only, recording, recording_bytes: _ } = browser;
    let browser = json!({ "downloads": downloads, "clients_only_look": read_only, "recorded": recording });
    json!({
        "format": 1,
        "policy": { "name": reference.name, "version": reference.version },
        "tier": tier,
        "languages": runtimes,
        "shell": shell,
        "network": if wasm { json!({ "mode": "none" }) } else { network_facts(network, provisions) },
        "packages": if wasm { json!({ "install": "off" }) } else { package_facts(packages, network) },
        "secrets": secrets,
        "files": {
            "writable": writable,
            "programs_may_run_there": *exec && !wasm,
        },
        "state_kept_before_each_call": if wasm { json!(snapshots.name()) } else { json!("none") },
        "browser": if tier == BROWSER_TIER { browser } else { Value::Null },
        "limits": limits,
        "refusals": {
            "id": "den_ and 26 letters and digits, in the answer to the call that met it, and in pages of the proxy",
            "explained_by": ["GET /v1/denials/{id}", "cloister policy explain {id}"],
            "ask": "whoever runs this cloister server; name the rule and the id",
        },
    })
}

fn secret_facts(LentSecret { name, hosts, header }: &LentSecret) -> Value {
    json!({ "name": name, "hosts": hosts, "header_set_by_the_proxy": header })
}

fn network_facts(network: &Network, provisions: &Provisions) -> Value {
    let Network {
        mode,
        allowed_domains,
        denied_domains,
        allowed_cidrs,
        denied_cidrs,
        ports,
        connections,
        bytes,
        host_bytes,
        connection_rate,
    } = network;
    if *mode == NetworkMode::None {
        return json!({ "mode": mode.name() });
    }
    json!({
        "mode": mode.name(),
        "proxy": format!("http://127.0.0.1:{PROXY_PORT}"),
        "protocols": ["HTTP", "HTTPS"],
        "allowed_domains": allowed_domains,
        "denied_domains": denied_domains,
        "allowed_private_ranges": allowed_cidrs,
        "denied_ranges": denied_cidrs,
        "ports": ports,
        "programs_of_the_servers_machine": provisions.loopback,
        "connections_at_once": connections,
        "new_connections_per_minute": connection_rate,
        "bytes": bytes,
        "bytes_per_host": host_bytes.min(bytes),
    })
}

fn package_facts(packages: &Packages, network: &Network) -> Value {
    // Where the index's own address is, is the operator's business.
    let Packages { install, index: _, allow, deny, wheels_only, require_hashes, max_bytes, min_age } =
        packages;
    if *install == Install::Off || network.mode == NetworkMode::None {
        return json!({ "install": "off" });
    }
    json!({
        "install": install.name(),
        "allow": allow,
        "deny": deny,
        "wheels_only": wheels_only,
        "require_hashes": require_hashes,
        "bytes": max_bytes,
        "least_age_seconds": min_age.as_secs(),
    })
}

fn text(policy: &Policy, facts: &Value, provisions: &Provisions) -> String {
    let list = |value: &Value| {
        let words = value.as_array().into_iter().flatten();
        let words: Vec<_> =
            words.map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    };
    let yes = |value: &Value| if value == &json!(true) { "yes" } else { "no" };
    let (time, output, resources) = (&policy.time, &policy.output, &policy.resources);
    let mut limits = vec![
        ("memory", size_text(resources.memory)),
        ("files together", size_text(policy.filesystem.disk)),
        ("number of files", policy.filesystem.inodes.to_string()),
        ("one file", size_text(policy.filesystem.max_file)),
        ("open files of a process", resources.open_files.to_string()),
        ("one call", span_text(time.call)),
        (
            "the session",
            format!(
                "{} unless its start asked for less or more, {} at most",
                span_text(time.session_default),
                span_text(time.session_max)
            ),
        ),
    ];
    let browses = policy.tier == BROWSER_TIER;
    if !browses {
        limits.push(("output of a call, each of stdout and stderr", size_text(output.stream)));
        limits.push((
            "one display, displays of a call",
            format!("{}, {}", size_text(output.display), output.displays),
        ));
    }
    if policy.tier == PROCESS_TIER {
        limits.push(("processor", format!("{} cores", resources.cpu)));
        limits.push(("processes and threads", resources.pids.to_string()));
        limits.push(("a background command", span_text(time.task)));
    }
    let limits: String = limits.iter().map(|(what, most)| format!("| {what} | {most} |\n")).collect();
    let head = format!(
        "# What this session may do\n\n\
         This {what} runs inside cloister, a sandbox, under the policy `{name}` (version {version}). Nothing in here can change that, this file\n\
         included. The same for programs: `{JSON}` beside it.\n\n- Tier: {tier}\n",
        what = if browses { "browser" } else { "code" },
        name = policy.name,
        version = facts["policy"]["version"].as_str().unwrap_or_default(),
        tier = policy.tier,
    );
    let limits = format!("## Limits\n\n| of | at most |\n|---|---|\n{limits}\n## What is refused\n\n");
    let network = network_text(&facts["network"], browses, list);
    if browses {
        return head + &browser_text(&facts["browser"], &network, &limits, yes);
    }
    let code = format!(
        "- Languages: {languages}; shell commands: {shell}\n- Writable: {writable}; programs may run there: {exec}\n\n\
         ## Network\n\n{network}\n## Packages\n\n{packages}\n## Secrets\n\n{secrets}\n{limits}\
         Everything else: other hosts, writing outside of the places above, becoming root, mounts, devices, and system calls that no ordinary\n\
         program needs. Such a call fails with an ordinary error (EPERM, EACCES, EROFS); trying it again does not help. What goes beyond a\n\
         limit fails with MemoryError, ENOSPC, EAGAIN or EFBIG, is cut off, or is ended.\n\n\
         The answer to a call that met one names the rule and an id, `den_…`, where the program's own error tells which it was; so do the\n\
         pages of the proxy. Whoever runs this cloister server can look it up (`cloister policy explain ID`) and change the policy. To ask,\n\
         name the rule, the id, and what it is for.\n",
        languages = list(&facts["languages"]),
        shell = yes(&facts["shell"]),
        writable = list(&facts["files"]["writable"]),
        exec = yes(&facts["files"]["programs_may_run_there"]),
        packages = package_text(&facts["packages"], list),
        secrets = secret_text(&provisions.secrets),
    );
    head + &code
}

fn browser_text(facts: &Value, network: &str, limits: &str, yes: impl Fn(&Value) -> &'static str) -> String {
    format!(
        "- Downloads: {downloads}, into the session's files\n- Clients may only go to pages and look at them: {look}\n- Recorded: {recorded}\n\n\
         ## Network\n\n{network}\n{limits}\
         Everything else: other hosts and addresses, files of the browser's machine, programs, extensions, other proxies, certificates that\n\
         are not valid, and debugging methods that would lead out of the sandbox. Clients get an error of the method with its rule and an\n\
         id, `den_…`; over HTTP a page shows the same, and over HTTPS it fails to load, and the receipt of the action has the id. Whoever\n\
         runs this cloister server can look it up (`cloister policy explain ID`) and change the policy. To ask, name the rule, the id, and\n\
         what it is for.\n",
        downloads = yes(&facts["downloads"]),
        look = yes(&facts["clients_only_look"]),
        recorded = yes(&facts["recorded"]),
    )
}

fn network_text(facts: &Value, browses: bool, list: impl Fn(&Value) -> String) -> String {
    let hosts = match facts["mode"].as_str() {
        Some("allowlist") => list(&facts["allowed_domains"]),
        Some("open") => "every public name and address".to_owned(),
        _ => {
            return "None: no route, no names, no proxy. Nothing can be downloaded; bring data as files.\n"
                .into();
        }
    };
    let who = if browses {
        "which the browser is told to use"
    } else {
        "which HTTP_PROXY and HTTPS_PROXY name: pip, npm, git over HTTPS, curl and requests\nfind it by themselves"
    };
    format!(
        "HTTP and HTTPS through the proxy {proxy}, {who}. There is no other way out, and no DNS.\n\n\
         - Hosts: {hosts}\n- Denied all the same: {denied}\n- Ports: {ports}\n- Private ranges: {private}\n\
         - Programs on the server's machine: {loopback}\n- At most {connections} connections at once, {rate} new ones a minute, {bytes} bytes\n",
        proxy = facts["proxy"].as_str().unwrap_or_default(),
        denied = list(&json!(
            [&facts["denied_domains"], &facts["denied_ranges"]]
                .iter()
                .filter_map(|v| v.as_array())
                .flatten()
                .collect::<Vec<_>>()
        )),
        ports = list(&facts["ports"]),
        private = list(&facts["allowed_private_ranges"]),
        loopback = list(&facts["programs_of_the_servers_machine"]),
        connections = facts["connections_at_once"],
        rate = facts["new_connections_per_minute"],
        bytes = facts["bytes"],
    )
}

fn package_text(facts: &Value, list: impl Fn(&Value) -> String) -> String {
    if facts["install"] != json!("mirror") {
        return "No package index. What is there can be imported; where the network reaches an index, pip and npm use that.\n".into();
    }
    let kind = if facts["wheels_only"] == json!(true) { "wheels only" } else { "wheels and source archives" };
    format!(
        "`pip install` and `uv pip install` work, with an index that has these projects only ({kind}).\n\n- Allowed: {}\n- Denied: {}\n",
        list(&facts["allow"]),
        list(&facts["deny"]),
    )
}

fn secret_text(secrets: &[LentSecret]) -> String {
    if secrets.is_empty() {
        return "None.\n".into();
    }
    let one = |LentSecret { name, hosts, header }: &LentSecret| {
        let how = match header {
            Some(header) => format!("the proxy sets the header {header} by itself"),
            None => format!("send the text of the variable {name} in a header"),
        };
        format!("- {name}, for {}: {how}\n", hosts.join(", "))
    };
    let all: String = secrets.iter().map(one).collect();
    format!(
        "Variables hold placeholders, never values. On the way to its hosts, over HTTPS, in a header, a placeholder becomes its value;\n\
         anywhere else it is refused or stays what it is.\n\n{all}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_jail::plan::Jail;
    use std::collections::BTreeMap;

    fn told(policy: &Policy, provisions: &Provisions) -> (String, Value) {
        let runner = cloister_jail::plan::Runner {
            argv: vec!["/usr/bin/python3".into()],
            interrupt: cloister_jail::plan::Interrupt::Signal,
        };
        let image = Image {
            name: "test".into(),
            description: String::new(),
            digest: String::new(),
            artifact: None,
            root: "/image".into(),
            runners: BTreeMap::from([("python".to_owned(), runner)]),
            shell: vec!["/bin/bash".into()],
            browser: None,
            wasm: None,
            env: BTreeMap::new(),
            zygote: None,
        };
        let places = Places::of(Jail::Namespaces, "", &policy.filesystem.workspace);
        let all = notices(policy, &image, &places, provisions);
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [TEXT, JSON]);
        (all[0].1.clone(), serde_json::from_str(&all[1].1).unwrap())
    }

    #[test]
    fn a_session_is_told_the_values_that_are_in_force() {
        let mut policy = Policy::built_in("narrow");
        policy.resources.memory = 300 << 20;
        let (text, json) = told(&policy, &Provisions::default());
        assert!(text.contains("| memory | 300MiB |"), "{text}");
        assert!(text.contains("None: no route"), "{text}");
        assert_eq!(json["limits"]["memory_bytes"], 300 << 20);
        assert_eq!(json["policy"]["name"], "narrow");
        assert_eq!(json["policy"]["version"], policy.reference().version);
        // What the image lacks cannot be used, whatever the policy says.
        assert_eq!(json["languages"], json!(["python"]));
        assert_eq!(json["network"], json!({ "mode": "none" }));
    }

    #[test]
    fn hosts_packages_and_the_names_of_secrets_are_told() {
        let mut policy = Policy::built_in("net");
        policy.network.mode = NetworkMode::Allowlist;
        policy.network.allowed_domains = vec!["api.service.example".into()];
        policy.packages.install = Install::Mirror;
        policy.packages.index = "https://mirror.internal/simple/".into();
        policy.packages.allow = vec!["polars".into()];
        let secret = LentSecret {
            name: "SERVICE_KEY".into(),
            hosts: vec!["api.service.example".into()],
            header: None,
        };
        let provisions = Provisions { secrets: vec![secret], ..Provisions::default() };
        let (text, json) = told(&policy, &provisions);
        for part in [
            "- Hosts: api.service.example",
            "- Ports: 443, 80",
            "- Allowed: polars",
            "wheels only",
            "- SERVICE_KEY, for",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("mirror.internal"));
        assert_eq!(json["secrets"][0]["hosts"][0], "api.service.example");
        assert_eq!(json["packages"]["allow"], json!(["polars"]));
    }

    #[test]
    fn a_browser_session_is_told_of_pages_and_clients_and_not_of_code() {
        let mut policy = Policy::built_in("browser");
        policy.tier = BROWSER_TIER.into();
        policy.network.mode = NetworkMode::Open;
        policy.browser.read_only = true;
        let (text, json) = told(&policy, &Provisions::default());
        for part in [
            "This browser runs inside cloister",
            "only go to pages and look at them: yes",
            "every public name",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        for part in ["Languages", "HTTP_PROXY", "stdout"] {
            assert!(!text.contains(part), "{part} is in {text}");
        }
        assert_eq!(
            json["browser"],
            json!({ "downloads": true, "clients_only_look": true, "recorded": false })
        );
    }

    #[test]
    fn a_wasm_session_is_told_of_nothing_that_its_tier_does_not_have() {
        let mut policy = Policy::built_in("wasm");
        policy.tier = WASM_TIER.into();
        policy.network.mode = NetworkMode::Open;
        let (text, json) = told(&policy, &Provisions::default());
        assert_eq!((&json["shell"], &json["network"]["mode"]), (&json!(false), &json!("none")));
        assert_eq!(json["limits"].get("processes"), None);
        assert!(!text.contains("cores"), "{text}");
    }
}
