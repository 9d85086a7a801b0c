//! The cases of the threat catalogue that concern browsers: docs/attacks-on-browsers.md lists them, and the tests say of themselves which they are.

use std::collections::BTreeSet;

/// The files whose tests may name cases.
const FILES: [(&str, &str); 10] = [
    ("attacks_brw", include_str!("attacks_brw.rs")),
    ("attacks_caps", include_str!("attacks_caps.rs")),
    ("attacks_cdp", include_str!("attacks_cdp.rs")),
    ("attacks_controls", include_str!("attacks_controls.rs")),
    ("attacks_dns", include_str!("attacks_dns.rs")),
    ("attacks_iso", include_str!("attacks_iso.rs")),
    ("attacks_iso_leaks", include_str!("attacks_iso_leaks.rs")),
    ("attacks_net", include_str!("attacks_net.rs")),
    ("attacks_proxy", include_str!("attacks_proxy.rs")),
    ("jail_walls", include_str!("jail_walls.rs")),
];

/// How many cases each family of the catalogue has.
const FAMILIES: [(&str, u8); 3] = [("BRW-", 22), ("NET-", 23), ("ISO-", 11)];

/// Cases without a test here, and why.
const ELSEWHERE: [(&str, &str); 3] = [
    (
        "NET-18",
        "a browser's network has no link and its processes no right to make one: `tests/kernel` tries it",
    ),
    ("NET-21", "a warning of `cloister policy check`: its unit tests"),
    ("ISO-11", "no snapshot of a browser is ever taken"),
];

/// Cases and tests of a file, from doc comments like `/// BRW-01, BRW-02: what is tried.`
fn said(module: &str, text: &str) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            let named = doc.split_once(": ").map_or("", |(named, _)| named).split(", ");
            ids.extend(named.filter(|id| is_case(id)).map(str::to_owned));
        } else if let Some(rest) = line.strip_prefix("async fn ").or(line.strip_prefix("fn ")) {
            let test = format!("{module}::{}", rest.split('(').next().unwrap_or_default());
            said.extend(ids.drain(..).map(|id| (id, test.clone())));
        }
    }
    said
}

fn is_case(id: &str) -> bool {
    FAMILIES
        .iter()
        .any(|(family, _)| id.strip_prefix(family).is_some_and(|number| number.parse::<u8>().is_ok()))
}

#[test]
fn the_document_of_attacks_lists_the_cases_of_browsers_as_their_tests_do() {
    let document = include_str!("../../docs/attacks-on-browsers.md");
    let rows = document.lines().skip_while(|line| !line.starts_with("| case | test of `tests/browser` |"));
    let listed: BTreeSet<(String, String)> = rows
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let test = cells[1].trim_matches('`').to_owned();
            cells[0].split(", ").map(|id| (id.to_owned(), test.clone())).collect::<Vec<_>>()
        })
        .collect();
    let said: BTreeSet<(String, String)> = FILES.iter().flat_map(|(name, text)| said(name, text)).collect();
    assert!(said.len() > 20, "{said:?}");
    assert_eq!(listed, said);
    for (family, count) in FAMILIES {
        for number in 1..=count {
            let id = format!("{family}{number:02}");
            let tested = said.iter().any(|(case, _)| *case == id);
            let elsewhere = ELSEWHERE.iter().find(|(case, _)| *case == id);
            assert!(tested != elsewhere.is_some(), "{id} has no test and no reason, or both");
            if let Some((case, why)) = elsewhere {
                assert!(document.contains(&format!("| {case} | {why} |")), "{case}: {why}");
            }
        }
    }
}
