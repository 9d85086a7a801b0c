//! The register of attack cases (`tests/attacks`): every case of the catalogue is there, and every test that it names exists.

use crate::tree::{File, files, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How many cases each family of the threat catalogue has.
const FAMILIES: [(&str, u8); 19] = [
    ("API", 27),
    ("ARC", 5),
    ("BRW", 22),
    ("CAP", 10),
    ("CTL", 9),
    ("EXE", 6),
    ("FD", 1),
    ("FILE", 10),
    ("FS", 20),
    ("ISO", 11),
    ("NET", 23),
    ("POL", 10),
    ("PRC", 8),
    ("PY", 4),
    ("RES", 15),
    ("SEC", 4),
    ("SUP", 5),
    ("SYS", 22),
    ("WAS", 9),
];
const TIERS: [&str; 4] = ["process", "wasm", "browser", "door"];
const REASONS: [&str; 4] = ["not-applicable", "not-offered", "needs", "open"];

/// Cases that may be open, each with what is missing. Nothing else may be.
const OPEN: &[(&str, &str)] = &[];

/// Case → tier → entry, as the files have it, with what holds for a whole family filled in.
fn register() -> BTreeMap<String, BTreeMap<String, toml::Value>> {
    let mut register = BTreeMap::new();
    for file in files().iter().filter(|f| f.path.starts_with("tests/attacks/") && f.extension() == "toml") {
        let mut table: toml::Table =
            file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path));
        let elsewhere = table.remove("elsewhere");
        for (case, entry) in table {
            let mut tiers: BTreeMap<String, toml::Value> = BTreeMap::new();
            for part in elsewhere.iter().chain([&entry]) {
                let part = part.as_table().unwrap();
                tiers.extend(part.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            let promise = tiers.remove("promise").unwrap_or_else(|| panic!("{case} promises nothing"));
            assert!(promise.as_str().is_some_and(|text| text.ends_with('.')), "{case}: {promise}");
            let family = case.split('-').next().unwrap_or_default().to_lowercase();
            assert_eq!(file.path, format!("tests/attacks/{family}.toml"), "{case} is in the wrong file");
            assert!(register.insert(case.clone(), tiers).is_none(), "{case} is there twice");
        }
    }
    register
}

/// Case, tier and test, wherever there is a test.
fn named() -> Vec<(String, String, String)> {
    let mut named = Vec::new();
    for (case, tiers) in register() {
        for (tier, entry) in tiers {
            for test in entry.as_array().into_iter().flatten() {
                named.push((case.clone(), tier.clone(), test.as_str().unwrap().to_owned()));
            }
        }
    }
    named
}

#[test]
fn the_register_has_every_case_of_the_catalogue_and_no_other() {
    let there: BTreeSet<String> = register().into_keys().collect();
    let wanted: BTreeSet<String> = FAMILIES
        .iter()
        .flat_map(|(family, count)| (1..=*count).map(move |number| format!("{family}-{number:02}")))
        .collect();
    assert_eq!(wanted.len(), 221);
    assert_eq!(there, wanted);
}

#[test]
fn every_case_has_a_test_or_a_typed_reason_on_every_tier() {
    let mut open = BTreeSet::new();
    for (case, tiers) in register() {
        let names: Vec<&str> = tiers.keys().map(String::as_str).collect();
        assert_eq!(BTreeSet::from_iter(names), BTreeSet::from(TIERS), "{case}");
        for (tier, entry) in &tiers {
            if let Some(tests) = entry.as_array() {
                assert!(!tests.is_empty(), "{case}: {tier} names no test");
                continue;
            }
            let reason = entry.as_table().unwrap_or_else(|| panic!("{case}: {tier} is {entry}"));
            assert_eq!(reason.len(), 1, "{case}: {tier} has one reason");
            for (kind, text) in reason {
                assert!(REASONS.contains(&kind.as_str()), "{case}: {tier}: {kind} is no kind of reason");
                assert!(text.as_str().is_some_and(|text| text.len() > 15), "{case}: {tier}: {text}");
                if kind == "open" {
                    open.insert(case.clone());
                }
            }
        }
    }
    let known: BTreeSet<String> = OPEN.iter().map(|(case, _)| (*case).to_owned()).collect();
    assert_eq!(open, known, "what is open is listed in this file, and nothing else is");
}

#[test]
fn every_case_is_proved_on_some_tier_unless_it_says_what_keeps_it_from_that() {
    let proved: BTreeSet<String> = named().into_iter().map(|(case, _, _)| case).collect();
    for (case, tiers) in register().into_iter().filter(|(case, _)| !proved.contains(case)) {
        let kinds: BTreeSet<String> =
            tiers.values().filter_map(|entry| entry.as_table()?.keys().next().cloned()).collect();
        let said = ["not-offered", "needs", "open"].iter().any(|kind| kinds.contains(*kind));
        assert!(said, "{case} is beside the point on every tier: whose case is it then?");
    }
}

/// Whether a file has a test of this name: a function under a test's attribute.
fn has(text: &str, name: &str) -> bool {
    let mut attributed = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            attributed = true;
        } else if let Some((before, rest)) = line.split_once("fn ")
            && ["", "async", "pub(super)", "pub(super) async"].contains(&before.trim())
        {
            if attributed && rest.split(['(', '<']).next() == Some(name) {
                return true;
            }
            attributed = false;
        }
    }
    false
}

/// Files in which a Rust module may stand: its own, or, for a module inside of a file, that of a parent.
fn places(base: &str, modules: &[&str]) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let [parents @ .., "tests"] = modules {
        // The tests of a long file stand beside it.
        places.push(root().join(base).join(format!("{}_tests.rs", parents.join("/"))));
    }
    for depth in (0..=modules.len()).rev() {
        let path = modules.get(..depth).unwrap_or_default().join("/");
        let names = match depth {
            0 => vec!["main.rs".to_owned(), "lib.rs".to_owned()],
            _ => vec![format!("{path}.rs"), format!("{path}/mod.rs")],
        };
        places.extend(names.into_iter().map(|name| root().join(base).join(name)));
        // Only the last module can be one inside of a file.
        if depth + 1 == modules.len() {
            break;
        }
    }
    places
}

#[test]
fn every_test_that_the_register_names_exists() {
    let mut missing = Vec::new();
    let named = named();
    assert!(named.len() > 400, "only {} tests are named", named.len());
    for (case, tier, test) in named {
        let parts: Vec<&str> = test.split("::").collect();
        let [first, modules @ .., name] = parts.as_slice() else { panic!("{case}: {test}") };
        let exists = match *first {
            "conformance" | "images" => {
                let folder = if *first == "images" { "sandbox-images/tests" } else { "tests/conformance" };
                let text = std::fs::read_to_string(root().join(format!("{folder}/{}.py", modules.join("/"))));
                text.is_ok_and(|text| {
                    text.lines().any(|line| line.trim().starts_with(&format!("def {name}(")))
                })
            }
            program => {
                let base = match program {
                    "api" | "browser" | "kernel" | "service" | "tidy" => format!("tests/{program}"),
                    name => format!("crates/{name}/src"),
                };
                let texts =
                    places(&base, modules).into_iter().filter_map(|path| std::fs::read_to_string(path).ok());
                texts.into_iter().any(|text| has(&text, name))
            }
        };
        if !exists {
            missing.push(format!("{case} on {tier}: {test}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Cases that a doc comment names at its beginning.
fn claimed(doc: &str) -> Vec<String> {
    let Some((ids, _)) = doc.split_once(": ") else { return Vec::new() };
    let ids: Vec<&str> = ids.split(", ").collect();
    let known = |id: &&str| {
        id.split_once('-').is_some_and(|(family, number)| {
            FAMILIES.iter().any(|(name, _)| *name == family) && number.parse::<u8>().is_ok()
        })
    };
    if ids.iter().all(known) { ids.into_iter().map(str::to_owned).collect() } else { Vec::new() }
}

#[test]
fn every_test_that_says_which_case_it_is_stands_in_the_register_under_it() {
    let named: BTreeSet<(String, String)> = named().into_iter().map(|(case, _, test)| (case, test)).collect();
    let tests = |file: &&File| {
        let folders = ["tests/kernel/", "tests/browser/", "tests/api/", "tests/service/"];
        folders.iter().any(|folder| file.path.starts_with(folder)) && file.extension() == "rs"
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files().iter().filter(tests) {
        let module = file.path.trim_start_matches("tests/").trim_end_matches(".rs").trim_end_matches("/mod");
        let mut claims = Vec::new();
        for line in file.text.lines() {
            if let Some(doc) = line.strip_prefix("/// ") {
                claims.extend(claimed(doc));
            } else if let Some((_, rest)) = line.split_once("fn ") {
                let name = rest.split('(').next().unwrap_or_default();
                let test = format!("{module}::{name}").replace('/', "::");
                seen += claims.len();
                wrong.extend(
                    claims.drain(..).map(|case| (case, test.clone())).filter(|claim| !named.contains(claim)),
                );
            } else if !line.starts_with("#[") && !line.starts_with("//") {
                claims.clear();
            }
        }
    }
    assert!(seen > 150, "only {seen} claims were found");
    assert!(wrong.is_empty(), "these say that they are a case, and the register does not: {wrong:#?}");
}

#[test]
fn the_report_is_of_this_register() {
    let report = read("docs/attack-report.md");
    let missing: Vec<String> =
        register().into_keys().filter(|case| !report.contains(&format!("| {case} | "))).collect();
    assert!(missing.is_empty(), "make attack writes it: {missing:?}");
}
