//! What a release is built from and how: locked versions from one kind of source, and no switch that leaves a wall out.

use crate::tree::{files, read};

#[test]
fn every_build_that_is_shipped_or_tested_takes_the_locked_versions() {
    let (mut seen, mut wrong) = (0, Vec::new());
    let builds =
        ["cargo build", "cargo test", "cargo clippy", "cargo nextest run", "cargo bench", "cargo install"];
    for file in files().iter().filter(|f| f.path == "Makefile" || f.path.starts_with("scripts/")) {
        for line in file.text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let built = builds.iter().any(|build| line.contains(&format!("{build} ")));
            seen += usize::from(built);
            if built && !line.contains("--locked") {
                wrong.push(format!("{}: {line}", file.path));
            }
        }
    }
    assert!(seen > 5, "only {seen} builds were found");
    assert!(wrong.is_empty(), "these may take other versions than Cargo.lock has: {wrong:#?}");
}

#[test]
fn every_crate_that_is_not_ours_has_a_checksum_and_comes_from_the_one_index() {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let foreign: Vec<_> = packages.iter().filter(|package| package.get("source").is_some()).collect();
    assert!(foreign.len() > 100, "{}", foreign.len());
    let sources: std::collections::BTreeSet<_> =
        foreign.iter().map(|p| p["source"].as_str().unwrap()).collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("registry+")), "{sources:?}");
    assert!(foreign.iter().all(|package| package.get("checksum").is_some()));
}

/// Tests leave walls out by members and functions under `cfg(debug_assertions)`: without it, code that names them does not compile.
#[test]
fn no_profile_of_a_release_compiles_what_leaves_walls_out() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    for (name, profile) in manifest["profile"].as_table().unwrap().iter().filter(|(name, _)| *name != "dev") {
        let checked = profile.get("debug-assertions").and_then(toml::Value::as_bool);
        assert_ne!(checked, Some(true), "profile.{name} compiles code for debugging only");
    }
    let switches =
        ["pub enum Missing {", "pub missing: Option<Missing>", "pub fn leave_out", "static FOLLOWS_ALL"];
    let mut found = 0;
    for file in files().iter().filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"))
    {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(switch) = switches.iter().find(|switch| line.contains(**switch)) else { continue };
            // Attributes stand right above, or above the module around it.
            let above = lines.get(at.saturating_sub(14)..at).unwrap_or_default();
            assert!(above.contains(&"#[cfg(debug_assertions)]"), "{}: {switch} is in every build", file.path);
            found += 1;
        }
    }
    assert_eq!(found, 5, "the switches of plan, backend, owner check and file tools");
}
