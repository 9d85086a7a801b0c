//! Who may depend on whom, from the manifests; and where `unsafe` and AWS names may stand.

use crate::tree::{files, read};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// The crates below `crates/`, and which of each other they may use.
const ARROWS: [(&str, &[&str]); 8] = [
    ("cloister-access", &["cloister-core", "cloister-gateway"]),
    ("cloister-browser", &["cloister-core"]),
    ("cloister-core", &[]),
    ("cloister-jail", &[]),
    ("cloister-process", &["cloister-core", "cloister-jail"]),
    ("cloister-wasm", &["cloister-jail"]),
    ("cloister-gateway", &["cloister-core"]),
    (
        "cloister",
        &[
            "cloister-access",
            "cloister-browser",
            "cloister-core",
            "cloister-gateway",
            "cloister-jail",
            "cloister-process",
        ],
    ),
];

/// Everything that the core may use. Its size is a promise: no host I/O, no HTTP, no system calls.
const CORE: [&str; 11] = [
    "async-trait",
    "bytes",
    "futures-util",
    "getrandom",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "tokio",
    "toml",
    "tracing",
];

/// Dependencies with a home: which crates may name them.
const HOMES: [(&str, &[&str]); 21] = [
    ("cedar-policy", &["cloister-access"]),
    ("miette", &["cloister-access"]),
    ("chromiumoxide_types", &["cloister-browser"]),
    ("axum", &["cloister-gateway"]),
    ("tower", &["cloister-gateway"]),
    // Signatures are verified at the door; secrets are derived where keys are issued; roots of engines are sealed.
    ("hmac", &["cloister", "cloister-gateway", "cloister-process"]),
    ("jsonwebtoken", &["cloister-gateway"]),
    ("ring", &["cloister", "cloister-gateway"]),
    ("hyper", &["cloister", "cloister-gateway"]),
    ("hyper-util", &["cloister", "cloister-gateway"]),
    ("clap", &["cloister"]),
    ("rusqlite", &["cloister"]),
    ("tracing-subscriber", &["cloister"]),
    ("libc", &["cloister-jail"]),
    ("landlock", &["cloister-jail"]),
    ("seccompiler", &["cloister-jail"]),
    ("nix", &["cloister", "cloister-jail", "cloister-process", "cloister-wasm"]),
    ("wasmtime", &["cloister-wasm"]),
    ("wasmparser", &["cloister-wasm"]),
    ("wasm-encoder", &["cloister-wasm"]),
    ("cgroups-rs", &[]),
];

/// What the jail must not link: it forks, and these start threads or bring a runtime.
const NOT_IN_THE_JAIL: [&str; 5] = ["tokio", "tracing", "async-trait", "hyper", "rusqlite"];

/// The files with `unsafe`.
const UNSAFE: [&str; 4] = [
    "crates/cloister-jail/src/sys.rs",
    "crates/cloister-jail/src/zygote.rs",
    "crates/cloister-wasm/src/artifact.rs",
    "crates/cloister-wasm/src/memory.rs",
];

/// Where names of AWS operations may stand: the door that speaks them, and the document that describes it.
const AWS: [&str; 2] =
    ["crates/cloister-gateway/src/agentcore/", "crates/cloister-gateway/src/pages/openapi.json"];

fn manifest(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn table<'t>(of: &'t Table, name: &str) -> Option<&'t Table> {
    of.get(name).and_then(Value::as_table)
}

/// Dependencies of a crate, build and platform dependencies included; those for tests only if asked for.
fn dependencies(manifest: &Table, with_tests: bool) -> BTreeSet<String> {
    let mut kinds = vec!["dependencies", "build-dependencies"];
    if with_tests {
        kinds.push("dev-dependencies");
    }
    let targets = table(manifest, "target").into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let places: Vec<&Table> = std::iter::once(manifest).chain(targets).collect();
    let lists = places.iter().flat_map(|place| kinds.iter().filter_map(|kind| table(place, kind)));
    lists.flat_map(Table::keys).cloned().collect()
}

/// Every crate below `crates/`: name, dependencies without those of tests, dependencies with them.
fn crates() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let paths = files().into_iter().map(|file| file.path);
    let manifests = paths.filter(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml"));
    let read = manifests.map(|path| {
        let manifest = manifest(&path);
        let name = table(&manifest, "package")
            .and_then(|p| p.get("name"))
            .and_then(Value::as_str)
            .unwrap()
            .to_owned();
        assert_eq!(path, format!("crates/{name}/Cargo.toml"), "a crate's folder has its name");
        (name, (dependencies(&manifest, false), dependencies(&manifest, true)))
    });
    read.collect()
}

#[test]
fn crates_depend_on_each_other_along_the_arrows_only() {
    let crates = crates();
    let known: BTreeSet<_> = ARROWS.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<_> = crates.keys().map(String::as_str).collect();
    assert_eq!(there, known, "a new crate needs its arrows here, in deny.toml and in ARCHITECTURE.md");
    for (name, allowed) in ARROWS {
        let (_, all) = &crates[name];
        let used: Vec<_> =
            all.iter().filter(|d| d.starts_with("cloister") && !allowed.contains(&d.as_str())).collect();
        assert!(used.is_empty(), "{name} may not depend on {used:?}");
    }
}

#[test]
fn the_core_uses_its_few_libraries_and_no_other() {
    let crates = crates();
    let (used, _) = &crates["cloister-core"];
    let foreign: Vec<_> = used.iter().filter(|d| !CORE.contains(&d.as_str())).collect();
    assert!(
        foreign.is_empty(),
        "cloister-core does no host I/O and knows no HTTP; it may not use {foreign:?}"
    );
}

#[test]
fn libraries_with_a_home_are_used_at_home_only() {
    for (name, (_, used)) in crates() {
        for (library, homes) in HOMES {
            assert!(
                !used.contains(library) || homes.contains(&name.as_str()),
                "{name} uses {library}, whose home is {homes:?}"
            );
        }
    }
}

#[test]
fn the_jail_links_no_runtime_and_no_library_that_starts_threads() {
    let crates = crates();
    let (used, _) = &crates["cloister-jail"];
    let found: Vec<_> = NOT_IN_THE_JAIL.iter().filter(|name| used.contains(**name)).collect();
    assert!(found.is_empty(), "launcher, zygote and init fork and are single-threaded: no {found:?}");
}

/// Whether a manifest is of the workspace. cargo-fuzz wants one of its own, for another compiler.
fn is_member(path: &str) -> bool {
    path != "fuzz/Cargo.toml"
}

#[test]
fn every_dependency_is_pinned_exactly_and_in_one_place() {
    let workspace = manifest("Cargo.toml");
    let pins = table(&workspace, "workspace").and_then(|w| table(w, "dependencies")).unwrap();
    for (name, pin) in pins {
        let version = pin.as_str().or_else(|| pin.get("version").and_then(Value::as_str));
        let own = pin.get("path").and_then(Value::as_str).is_some_and(|path| path.starts_with("crates/"));
        assert!(own || version.is_some_and(|v| v.starts_with('=')), "{name} is not pinned with `=`: {pin}");
    }
    for file in
        files().iter().filter(|file| file.path.ends_with("/Cargo.toml")).filter(|file| is_member(&file.path))
    {
        let manifest = manifest(&file.path);
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, how) in table(&manifest, kind).into_iter().flatten() {
                let inherited = how.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(inherited, "{}: {name} must come from [workspace.dependencies]", file.path);
            }
        }
    }
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    for file in
        files().iter().filter(|file| file.path.ends_with("/Cargo.toml")).filter(|file| is_member(&file.path))
    {
        let manifest = manifest(&file.path);
        let inherited = table(&manifest, "lints").and_then(|l| l.get("workspace")).and_then(Value::as_bool);
        assert_eq!(inherited, Some(true), "{}", file.path);
    }
}

#[test]
fn unsafe_code_stands_in_the_named_files_with_a_reason_for_each_block() {
    // In halves, so that this file is not found.
    let (lint, word, reason) =
        (format!("unsafe{}", "_code"), format!("{} {{", "unsafe"), format!("// {}:", "SAFETY"));
    for file in
        files().iter().filter(|file| file.extension() == "rs" && !file.path.starts_with("tests/tidy/"))
    {
        let lifts =
            file.text.contains(&format!("expect({lint}")) || file.text.contains("expect(\n    unsafe");
        let lifts = lifts || file.text.contains(&format!("allow({lint}"));
        let named = UNSAFE.contains(&file.path.as_str());
        assert_eq!(lifts, named, "{}: only {UNSAFE:?} lift the lint", file.path);
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.contains(&word)) {
            assert!(named, "{}:{}: unsafe code", file.path, number + 1);
            let before = &lines[number.saturating_sub(4)..number];
            assert!(
                before.iter().any(|line| line.contains(&reason)),
                "{}:{}: no reason",
                file.path,
                number + 1
            );
        }
    }
}

#[test]
fn crates_without_system_calls_forbid_unsafe_code() {
    for entry in [
        "cloister-access/src/lib.rs",
        "cloister-core/src/lib.rs",
        "cloister-gateway/src/lib.rs",
        "cloister-process/src/lib.rs",
        "cloister/src/main.rs",
    ] {
        let text = read(&format!("crates/{entry}"));
        assert!(text.lines().any(|line| line == "#![forbid(unsafe_code)]"), "{entry}");
    }
}

#[test]
fn sessions_are_started_and_called_only_after_the_question_whether_the_caller_may() {
    let asks = "crates/cloister-gateway/src/auth/calls.rs";
    let found: Vec<_> = files()
        .into_iter()
        .filter(|file| file.path.starts_with("crates/cloister-gateway/src/") && file.path != asks)
        .filter(|file| {
            let text: String = file.text.split_whitespace().collect();
            ["start", "fork", "invoke"].iter().any(|what| text.contains(&format!("manager().{what}(")))
        })
        .map(|file| file.path)
        .collect();
    assert!(found.is_empty(), "{asks} has these, with the question before them: {found:#?}");
    assert_eq!(read(asks).matches("gateway.manager().").count(), 3);
}

#[test]
fn names_of_aws_operations_stand_behind_the_aws_door_only() {
    let names = [
        "StartCodeInterpreterSession",
        "StopCodeInterpreterSession",
        "InvokeCodeInterpreter",
        "ListCodeInterpreterSessions",
    ];
    let found: Vec<_> = files()
        .into_iter()
        .filter(|file| {
            file.path.starts_with("crates/") && !AWS.iter().any(|place| file.path.starts_with(place))
        })
        .filter(|file| names.iter().any(|name| file.text.contains(name)))
        .map(|file| file.path)
        .collect();
    assert!(found.is_empty(), "AWS names outside of the gateway's agentcore module: {found:#?}");
}
