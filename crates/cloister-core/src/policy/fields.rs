//! The table of all fields: name, form, purpose, and who enforces it. Documentation, schema and explanations are made from it.
//!
//! ```text
//!   FIELDS ─┬─▶ describe.rs   `cloister policy show`, the test of policies/README.md
//!           ├─▶ schema        policies/schema.json, `cloister policy schema`
//!           └─▶ Field::by     `cloister policy explain`
//! ```

use serde_json::{Map, Value, json};

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes: `"512MiB"`, or a whole number.
    Size,
    /// Time: `"15m"`, or whole seconds.
    Span,
    /// A whole number.
    Count,
    /// A number of cores, which may have a fraction.
    Cores,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of some of these words, each once.
    Some(&'static [&'static str]),
    /// A name of lower-case letters, digits, `-` and `_`.
    Name,
    /// A path.
    Path,
    /// A list of `example.com` and `*.example.com`.
    Domains,
    /// A list of `10.0.0.0/8` and `fd00::/8`.
    Ranges,
    /// A list of TCP ports.
    Ports,
    /// The address of a simple package index, or nothing.
    Index,
    /// A list of projects in their normal form, or beginnings of such with `*`.
    Projects,
    /// A list of names of secrets, or `*`.
    Secrets,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// `resources.memory`.
    pub name: &'static str,
    /// Its form.
    pub kind: Kind,
    /// What it does.
    pub what: &'static str,
    /// The attack that it stops; empty for a field that is a matter of taste.
    pub attack: &'static str,
    /// The layer that enforces it.
    pub by: &'static str,
}

impl Field {
    /// The field of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }
}

const fn field(
    name: &'static str,
    kind: Kind,
    what: &'static str,
    attack: &'static str,
    by: &'static str,
) -> Field {
    Field { name, kind, what, attack, by }
}

const PROXY: &str = "egress proxy";
const PACKAGES: &str = "package index of the egress proxy";
const CGROUP: &str = "cgroup, and rlimits in any case";
const STORAGE: &str = "size of the session's tmpfs";
const INIT: &str = "init of the sandbox";
const MANAGER: &str = "session manager";
const BROWSER: &str = "browser broker";

/// Every field that a file can set, but for `description`, `extends` and `ceiling`. `policies/README.md` says the same at length;
/// a test compares the lists.
pub const FIELDS: &[Field] = &[
    field(
        "tier",
        Kind::Choice(&["process", "browser", "wasm"]),
        "which backend runs the session",
        "",
        MANAGER,
    ),
    field("image", Kind::Name, "the folder of sandbox-images/ that it runs in", "", "root file system"),
    field(
        "start",
        Kind::Choice(&["pool", "zygote", "exec"]),
        "pool, zygote or exec",
        "learning the memory layout of a neighbour from one's own",
        "process tier",
    ),
    field(
        "snapshots",
        Kind::Choice(&["none", "call", "atomic"]),
        "what is kept of a session's state before each call (wasm)",
        "",
        "wasm engine",
    ),
    field(
        "network.mode",
        Kind::Choice(&["none", "allowlist", "open"]),
        "none, allowlist or open",
        "exfiltration, by DNS too, and reaching internal services",
        "network namespace and egress proxy",
    ),
    field(
        "network.allowed_domains",
        Kind::Domains,
        "where mode allowlist may connect",
        "exfiltration to any other host",
        PROXY,
    ),
    field(
        "network.denied_domains",
        Kind::Domains,
        "refused whatever else is allowed",
        "known collectors behind a broad allowance",
        PROXY,
    ),
    field(
        "network.allowed_cidrs",
        Kind::Ranges,
        "private ranges that may be dialled",
        "server-side request forgery into the intranet",
        PROXY,
    ),
    field(
        "network.denied_cidrs",
        Kind::Ranges,
        "ranges that are not dialled whatever name leads there",
        "hosts behind an allowed range or name that nobody meant",
        PROXY,
    ),
    field(
        "network.ports",
        Kind::Ports,
        "TCP ports",
        "mail, databases and shells behind an allowed name",
        PROXY,
    ),
    field(
        "network.connections",
        Kind::Count,
        "connections at once",
        "port scans and connection floods",
        PROXY,
    ),
    field(
        "network.bytes",
        Kind::Size,
        "bytes in and out per session",
        "bulk exfiltration through an allowed host",
        PROXY,
    ),
    field(
        "network.host_bytes",
        Kind::Size,
        "bytes in and out per session and host",
        "bulk exfiltration through one host of many",
        PROXY,
    ),
    field(
        "network.connection_rate",
        Kind::Count,
        "new connections per minute",
        "scans that close each connection at once",
        PROXY,
    ),
    field(
        "packages.install",
        Kind::Choice(&["off", "mirror"]),
        "off, or from the operator's mirror",
        "packages of whoever answers to a name",
        PACKAGES,
    ),
    field("packages.index", Kind::Index, "the operator's mirror, a simple index", "", PACKAGES),
    field(
        "packages.allow",
        Kind::Projects,
        "projects that may be installed",
        "typing errors, invented names, confused dependencies",
        PACKAGES,
    ),
    field(
        "packages.deny",
        Kind::Projects,
        "projects that may not, whatever is allowed",
        "known bad packages behind a broad allowance",
        PACKAGES,
    ),
    field(
        "packages.wheels_only",
        Kind::Flag,
        "no source archives",
        "code that runs when a package is merely installed",
        PACKAGES,
    ),
    field(
        "packages.require_hashes",
        Kind::Flag,
        "only files whose SHA-256 the mirror states",
        "files that were changed on their way",
        PACKAGES,
    ),
    field(
        "packages.max_bytes",
        Kind::Size,
        "bytes of package files per session",
        "the mirror as a way to fill memory",
        PACKAGES,
    ),
    field(
        "packages.min_age",
        Kind::Span,
        "only files that the index has had for so long",
        "packages that are found out within days",
        PACKAGES,
    ),
    field(
        "secrets",
        Kind::Secrets,
        "secrets of the server that requests may carry and code never sees",
        "credentials in the reach of code that nobody trusts",
        PROXY,
    ),
    field(
        "resources.memory",
        Kind::Size,
        "bytes, the workspace included",
        "memory exhaustion of the host",
        CGROUP,
    ),
    field("resources.cpu", Kind::Cores, "cores", "CPU starvation of the neighbours, mining", "cgroup"),
    field("resources.pids", Kind::Count, "processes and threads", "fork and thread bombs", CGROUP),
    field(
        "resources.open_files",
        Kind::Count,
        "descriptors per process",
        "exhaustion of the host's file table",
        "rlimit",
    ),
    field(
        "filesystem.disk",
        Kind::Size,
        "bytes of workspace, home and /tmp together",
        "disk filling",
        STORAGE,
    ),
    field(
        "filesystem.inodes",
        Kind::Count,
        "files and directories",
        "inode exhaustion by empty files",
        STORAGE,
    ),
    field("filesystem.max_file", Kind::Size, "bytes of one file", "one runaway file", "rlimit"),
    field(
        "filesystem.exec",
        Kind::Flag,
        "programs in writable places may run",
        "bringing one's own exploit binary",
        "mount option and Landlock",
    ),
    field("filesystem.workspace", Kind::Path, "the working directory", "", "mount"),
    field(
        "time.session_default",
        Kind::Span,
        "session life when the client asks for none",
        "forgotten sessions",
        MANAGER,
    ),
    field("time.session_max", Kind::Span, "longest session life", "sessions held for ever", MANAGER),
    field("time.call", Kind::Span, "deadline of one call", "endless loops", MANAGER),
    field("time.grace", Kind::Span, "between interrupt and kill", "code that ignores the interrupt", INIT),
    field("time.task", Kind::Span, "life of a background command", "endless background work", INIT),
    field(
        "languages.runtimes",
        Kind::Some(&["python", "nodejs", "deno"]),
        "runtimes of executeCode",
        "a runtime that nobody needs as attack surface",
        MANAGER,
    ),
    field(
        "languages.shell",
        Kind::Flag,
        "executeCommand and tasks are allowed",
        "living off the programs of the image",
        MANAGER,
    ),
    field("output.stream", Kind::Size, "bytes of stdout and of stderr kept per call", "output floods", INIT),
    field("output.display", Kind::Size, "bytes of one display or value", "picture bombs", INIT),
    field("output.displays", Kind::Count, "displays per call", "floods of small pictures", INIT),
    field("output.figures", Kind::Flag, "figures come back as image blocks", "", "process tier"),
    field("output.files", Kind::Flag, "changed files come back as resource_link blocks", "", "process tier"),
    field(
        "output.files_max",
        Kind::Count,
        "at most so many of them",
        "answers swollen by a million files",
        INIT,
    ),
    field("output.text", Kind::Flag, "a text block in answers that AWS leaves without", "", "gateway"),
    field(
        "browser.downloads",
        Kind::Flag,
        "pages and clients may save files",
        "bringing foreign files into a session",
        "browser, by order of the broker",
    ),
    field(
        "browser.read_only",
        Kind::Flag,
        "clients only go to pages and look at them",
        "an agent that a page has talked into something",
        BROWSER,
    ),
    field(
        "browser.recording",
        Kind::Flag,
        "browser sessions are recorded",
        "misuse of a browser that nobody can look at afterwards",
        "recorder",
    ),
    field(
        "browser.recording_bytes",
        Kind::Size,
        "bytes of one recording",
        "a page that moves without end filling the server's disk",
        "recorder",
    ),
    field(
        "audit.level",
        Kind::Choice(&["metadata", "commands", "full"]),
        "how much the audit log says of each call",
        "misuse that nobody can look into afterwards",
        MANAGER,
    ),
    field(
        "audit.capture_code",
        Kind::Choice(&["none", "hash", "full"]),
        "what the audit log keeps of code",
        "code that nobody can look into afterwards",
        MANAGER,
    ),
    field(
        "isolation.require",
        Kind::Some(&["namespaces", "root", "seccomp", "landlock", "cgroup"]),
        "walls that the host must build",
        "running on a host that is silently weaker",
        "process tier",
    ),
    field(
        "isolation.seccomp",
        Kind::Path,
        "the list of system calls",
        "kernel bugs behind calls that no interpreter needs",
        "seccomp",
    ),
];

/// The JSON Schema (draft 2020-12) of a policy file, read as JSON. It knows forms and names; what values mean together (a child
/// within its parent, a default within its maximum) is the loader's to say.
pub fn schema() -> Value {
    let mut top = Map::new();
    top.insert("description".into(), json!({ "type": "string", "description": "one line for people" }));
    top.insert("extends".into(), described(of(Kind::Name), "the policy that this one narrows", ""));
    top.insert(
        "ceiling".into(),
        json!({ "type": "boolean", "description": "this file only bounds others; nothing runs under it" }),
    );
    for Field { name, kind, what, attack, by: _ } in FIELDS {
        let value = described(of(*kind), what, attack);
        match name.split_once('.') {
            None => drop(top.insert((*name).into(), value)),
            Some((section, key)) => {
                let empty = || json!({ "type": "object", "additionalProperties": false, "properties": {} });
                top.entry(section).or_insert_with(empty)["properties"][key] = value;
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A policy of cloister",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
    })
}

fn described(mut schema: Value, what: &str, attack: &str) -> Value {
    let text = if attack.is_empty() { what.to_owned() } else { format!("{what}; stops: {attack}") };
    schema["description"] = text.into();
    schema
}

fn of(kind: Kind) -> Value {
    let name = "^[a-z0-9_][a-z0-9_-]{0,63}$";
    let number_or = |pattern: &str| {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": pattern },
        ]})
    };
    match kind {
        Kind::Size => number_or("^[0-9]+ *(B|KiB|MiB|GiB|TiB)$"),
        Kind::Span => number_or("^[0-9]+ *(ms|s|m|h)$"),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Cores => json!({ "type": "number", "minimum": 0.01, "maximum": 1024 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Some(words) => json!({ "type": "array", "uniqueItems": true, "items": { "enum": words } }),
        Kind::Name => json!({ "type": "string", "pattern": name }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Domains => json!({ "type": "array", "items": {
            "type": "string", "maxLength": 253,
            "pattern": "^(\\*\\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$",
        }}),
        Kind::Ranges => json!({ "type": "array", "items": {
            "type": "string", "pattern": "^[0-9a-f.:]+/[0-9]{1,3}$",
        }}),
        Kind::Index => json!({ "type": "string", "pattern": "^(https?://.+)?$" }),
        Kind::Projects => json!({ "type": "array", "items": {
            "type": "string", "maxLength": 100, "pattern": "^([a-z0-9][a-z0-9-]*)?\\*?$",
        }}),
        Kind::Secrets => json!({ "type": "array", "uniqueItems": true, "items": {
            "type": "string", "pattern": "^([A-Z][A-Z0-9_]{0,63}|\\*)$",
        }}),
        Kind::Ports => json!({ "type": "array", "uniqueItems": true, "items": {
            "type": "integer", "minimum": 1, "maximum": 65535,
        }}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_schema_is_the_one_that_the_table_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/schema.json");
        let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(committed, schema(), "write it anew: cloister policy schema > policies/schema.json");
    }

    #[test]
    fn every_field_says_who_enforces_it() {
        for field in FIELDS {
            assert!(!field.what.is_empty() && !field.by.is_empty(), "{}", field.name);
        }
    }
}
