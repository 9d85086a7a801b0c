//! Documents against the tree: commands, links, paths and lists that would otherwise go stale without a sound.

use crate::tree::{File, files, read, root};
use std::collections::BTreeSet;
use std::path::Path;

/// Folders whose name begins a path of this repository, when a document writes one in backticks.
const PLACES: [&str; 8] =
    [".config/", "benches/", "crates/", "docs/", "policies/", "sandbox-images/", "scripts/", "tests/"];

fn documents() -> Vec<File> {
    files().into_iter().filter(|file| file.extension() == "md").collect()
}

/// What stands between single backticks, outside of code blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    let prose: String = prose.flat_map(|line| [line, "\n"]).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Lines of code blocks.
fn code_lines(text: &str) -> Vec<&str> {
    let mut inside = false;
    let code = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        inside && !fence
    });
    code.collect()
}

/// Targets of a command that begins with `make`; an explanation behind it is set off by `#` or two blanks.
fn make_targets(line: &str) -> Vec<String> {
    let Some(rest) = line.strip_prefix("make ") else { return Vec::new() };
    let rest = rest.split("  ").next().unwrap_or_default();
    let command = rest.split(['#', '&', ';', '|']).next().unwrap_or_default();
    let words = command.split_whitespace().take_while(|word| !word.contains(['=', '"']));
    words.map(str::to_owned).collect()
}

#[test]
fn make_commands_in_documents_exist_in_the_makefile() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> =
        makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    let mut seen = 0;
    for document in documents() {
        let quotes = quoted(&document.text);
        let lines = code_lines(&document.text).into_iter().chain(quotes.iter().map(String::as_str));
        for target in lines.flat_map(|line| make_targets(line.trim())) {
            assert!(
                targets.contains(target.as_str()),
                "{}: `make {target}` is not in the Makefile",
                document.path
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} make commands were found; the documents are read wrongly");
}

#[test]
fn the_readme_names_the_two_commands_and_every_command_of_the_program() {
    let readme = read("README.md");
    for command in ["make demo", "make test"] {
        assert!(code_lines(&readme).iter().any(|line| line.starts_with(command)), "{command}");
    }
    // The names of the clap enum are those of the modules beside it.
    let cli = read("crates/cloister/src/cli/mod.rs");
    let begin = cli.find("enum Command {").unwrap();
    let variants = cli[begin..].lines().skip(1).take_while(|line| *line != "}");
    let names: Vec<String> = variants
        .filter_map(|line| line.trim().split_once('('))
        .filter(|(name, _)| name.chars().all(char::is_alphabetic))
        .map(|(name, _)| name.to_lowercase())
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names.iter().filter(|name| *name != "version") {
        assert!(
            readme.contains(&format!("`cloister {name}")),
            "README.md does not mention `cloister {name}`"
        );
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        for link in document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.is_empty();
            if !elsewhere && !root().join(folder).join(target).exists() {
                broken.push(format!("{}: {target}", document.path));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn paths_that_documents_name_exist() {
    let mut missing = Vec::new();
    for document in documents() {
        for quote in quoted(&document.text) {
            let path = quote.trim_end_matches('/');
            // Paths inside of crates/ are often written without it.
            let candidates = [root().join(path), root().join("crates").join(path)];
            let is_path = PLACES.iter().any(|place| path.starts_with(place))
                || (path.starts_with("cloister-") || path.starts_with("cloister/")) && path.contains('/');
            let pattern = path.contains(['*', '<', '{', ' ', '…']);
            if is_path && !pattern && !candidates.iter().any(|candidate| candidate.exists()) {
                missing.push(format!("{}: {path}", document.path));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_map_shows_every_crate_and_every_source_file_that_a_request_passes() {
    let map = read("ARCHITECTURE.md");
    for file in
        files().iter().filter(|file| file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml"))
    {
        let name = file.path.split('/').nth(1).unwrap_or_default();
        assert!(map.contains(&format!("| `{name}` |")), "ARCHITECTURE.md says nothing about {name}");
    }
    // The walk of a request: "<n> <crate>  <files>".
    let mut seen = 0;
    for line in code_lines(&map) {
        let mut words = line.split_whitespace();
        let (Some(step), Some(of)) = (words.next(), words.next()) else { continue };
        let folder = ["core", "gateway", "jail", "process"].contains(&of) && step.parse::<u8>().is_ok();
        for word in words.map(|w| w.trim_matches([':', ',', ';'])).filter(|w| folder && w.ends_with(".rs")) {
            let source = root().join(format!("crates/cloister-{of}/src"));
            let beside = ["", "session", "agentcore", "init"].map(|below| source.join(below).join(word));
            assert!(beside.iter().any(|path| path.is_file()), "ARCHITECTURE.md: {of} has no {word}");
            seen += 1;
        }
    }
    assert!(seen > 12, "only {seen} files were found in the walk of a request");
}

#[test]
fn the_map_states_invariants_in_a_form_that_can_be_searched() {
    let map = read("ARCHITECTURE.md");
    let invariants = map.lines().filter(|line| line.starts_with("**Architecture Invariant:**")).count();
    assert!(invariants >= 8, "{invariants}");
}

#[test]
fn every_decision_is_numbered_complete_and_linked_from_the_map() {
    let map = read("ARCHITECTURE.md");
    let records: Vec<File> = files().into_iter().filter(|file| file.path.starts_with("docs/adr/")).collect();
    assert!(records.len() >= 7, "{}", records.len());
    for (index, record) in records.iter().enumerate() {
        let number = format!("{:04}", index + 1);
        assert!(
            record.path.starts_with(&format!("docs/adr/{number}-")),
            "{} should have number {number}",
            record.path
        );
        assert!(record.text.starts_with(&format!("# {number}: ")), "{}: its title", record.path);
        for part in ["Status: ", "## Context", "## Decision", "## Consequences"] {
            assert!(
                record.text.lines().any(|line| line.starts_with(part)),
                "{} has no {part:?}",
                record.path
            );
        }
        assert!(
            map.contains(&format!("]({})", record.path)),
            "ARCHITECTURE.md does not link {}",
            record.path
        );
    }
}

#[test]
fn the_changelog_has_a_place_for_what_comes_next() {
    let changelog = read("CHANGELOG.md");
    let mut headings = changelog.lines().filter(|line| line.starts_with("## "));
    assert_eq!(headings.next(), Some("## [Unreleased]"), "the first section is what is not yet released");
    let version = read("Cargo.toml")
        .lines()
        .find_map(|l| l.strip_prefix("version = ").map(|v| v.trim_matches('"').to_owned()));
    let version = version.unwrap();
    // 0.1.0 is what the tree will become; from its release on, the manifest's version must have a section.
    if headings.clone().count() > 0 {
        assert!(
            headings.any(|line| line.starts_with(&format!("## [{version}] - "))),
            "no section for {version}"
        );
    }
    for line in changelog.lines().filter(|line| line.starts_with("### ")) {
        let kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
        assert!(kinds.contains(&&line[4..]), "{line:?} is no kind of change");
    }
}
