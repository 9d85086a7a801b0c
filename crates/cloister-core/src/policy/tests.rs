//! Promises about policies: the shipped files, what narrowing means, and what the errors say.

use super::check::complaints;
use super::describe::rows;
use super::narrow::{meet, narrow, widenings};
use super::room;
use super::{Install, NetworkMode, Packages, Policy, Sources, StartMode, Wall};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

fn shipped() -> Sources {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut sources = Sources::new();
    for name in ["ceiling", "default", "public", "packages", "strict"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        sources.add(name, format!("policies/{name}.toml"), text);
    }
    sources
}

fn sources(files: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::new();
    for (name, text) in files {
        sources.add(*name, format!("{name}.toml"), *text);
    }
    sources
}

fn error(files: &[(&str, &str)], name: &str) -> String {
    sources(files).load(name).unwrap_err().to_string()
}

#[test]
fn the_default_policy_is_the_built_in_one_without_a_network() {
    let policy = shipped().load("default").unwrap();
    assert_eq!(policy.network.mode, NetworkMode::None);
    assert_eq!(policy, Policy { description: policy.description.clone(), ..Policy::built_in("default") });
}

#[test]
fn public_differs_from_default_in_the_network_mode_only() {
    let (default, public) = (shipped().load("default").unwrap(), shipped().load("public").unwrap());
    let differ: Vec<_> =
        rows(&default).into_iter().zip(rows(&public)).filter(|(a, b)| a != b).map(|(_, b)| b).collect();
    assert_eq!(differ, [("network.mode", "\"open\"".to_owned())]);
}

#[test]
fn strict_and_packages_are_what_they_say() {
    let strict = shipped().load("strict").unwrap();
    assert_eq!((strict.start, strict.languages.shell), (StartMode::Exec, false));
    assert!(strict.isolation.require.contains(&Wall::Cgroup));
    assert!(widenings(&strict, &shipped().load("default").unwrap()).is_empty());
    assert_eq!(shipped().resolve("strict").unwrap().chain, ["strict", "default", "ceiling"]);
    let packages = shipped().load("packages").unwrap();
    assert_eq!((packages.network.mode, packages.network.allowed_domains.len()), (NetworkMode::Allowlist, 0));
}

#[test]
fn nothing_runs_under_a_ceiling() {
    let text = shipped().load("ceiling").unwrap_err().to_string();
    assert!(text.starts_with("policies/ceiling.toml:4: ceiling: it is a ceiling"), "{text}");
    assert!(shipped().resolve("ceiling").unwrap().ceiling);
}

#[test]
fn the_readme_documents_every_field_with_its_default_and_no_other() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, fields) = readme.split_once("### Where and how it runs").unwrap();
    let documented: Vec<(String, String)> = fields
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            (cells.len() == 6 && line.starts_with("| `")).then(|| (cells[1].to_owned(), cells[2].to_owned()))
        })
        .collect();
    let expected: Vec<(String, String)> =
        rows(&Policy::built_in("x")).into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
    assert_eq!(documented, expected);
}

#[test]
fn an_absent_field_takes_the_default_under_a_ceiling_and_the_parents_value_elsewhere() {
    let files = [
        ("top", "ceiling = true\n[resources]\nmemory = \"8GiB\"\npids = 100"),
        ("middle", "extends = \"top\"\n[resources]\nmemory = \"4GiB\""),
        ("leaf", "extends = \"middle\""),
        ("plain", "extends = \"top\""),
    ];
    let pids = |name: &str| sources(&files).load(name).unwrap().resources.pids;
    let memory = |name: &str| sources(&files).load(name).unwrap().resources.memory;
    assert_eq!((memory("middle"), memory("leaf"), memory("plain")), (4 << 30, 4 << 30, 2 << 30));
    assert_eq!((pids("middle"), pids("leaf")), (100, 100), "the ceiling is below the default here");
}

#[test]
fn an_inherited_value_gives_way_to_a_limit_that_is_set() {
    let policy = sources(&[("a", "[time]\nsession_max = \"5m\"\n[resources]\nmemory = \"256MiB\"")])
        .load("a")
        .unwrap();
    assert_eq!(policy.time.session_default, Duration::from_secs(300));
    assert_eq!((policy.filesystem.disk, policy.filesystem.max_file), (208 << 20, 208 << 20));
    assert_eq!(policy.filesystem.inodes, 32 << 10);
    let text = error(&[("a", "[time]\nsession_max = \"5m\"\nsession_default = \"6m\"")], "a");
    assert_eq!(text, "a.toml:3: time.session_default: 360s is more than time.session_max (300s)");
}

#[test]
fn widening_is_refused_with_file_line_field_and_both_values() {
    let parent = r#"
        start = "zygote"
        [network]
        mode = "allowlist"
        allowed_domains = ["*.example.com"]
        allowed_cidrs = ["10.0.0.0/8"]
        [filesystem]
        exec = false
        [languages]
        runtimes = ["python"]
        shell = false
        [output]
        figures = false
    "#;
    for (child, message) in [
        ("start = \"pool\"", "start: \"pool\" is wider than `p` allows, which is \"zygote\""),
        (
            "network.mode = \"open\"\nnetwork.allowed_domains = []",
            "network.mode: \"open\" is wider than `p` allows",
        ),
        (
            "network.allowed_domains = [\"example.com\"]",
            "network.allowed_domains: [\"example.com\"] is wider",
        ),
        ("network.allowed_cidrs = [\"0.0.0.0/0\"]", "network.allowed_cidrs: [\"0.0.0.0/0\"] is wider"),
        ("network.ports = [22]", "network.ports: [22] is wider than `p` allows, which is [443, 80]"),
        (
            "resources.memory = \"3GiB\"",
            "resources.memory: \"3GiB\" is wider than `p` allows, which is \"2GiB\"",
        ),
        ("resources.cpu = 2.5", "resources.cpu: 2.5 is wider than `p` allows, which is 2.0"),
        ("filesystem.exec = true", "filesystem.exec: true is wider than `p` allows, which is false"),
        ("time.call = \"901s\"", "time.call: \"901s\" is wider than `p` allows, which is \"900s\""),
        ("languages.runtimes = [\"deno\"]", "languages.runtimes: [\"deno\"] is wider"),
        ("languages.shell = true", "languages.shell: true is wider"),
        ("output.figures = true", "output.figures: true is wider"),
        (
            "isolation.require = [\"namespaces\", \"seccomp\"]",
            "isolation.require: [\"namespaces\", \"seccomp\"] is wider",
        ),
        ("isolation.seccomp = \"seccomp/other.json\"", "isolation.seccomp: \"seccomp/other.json\" is wider"),
        ("tier = \"browser\"", "tier: \"browser\" is wider than `p` allows, which is \"process\""),
    ] {
        let text = error(&[("p", parent), ("c", &format!("extends = \"p\"\n{child}"))], "c");
        assert!(text.starts_with(&format!("c.toml:2: {message}")), "{child}: {text}");
    }
}

#[test]
fn narrowing_is_taken() {
    let parent = "[network]\nmode = \"allowlist\"\nallowed_domains = [\"*.example.com\"]\ndenied_domains = [\"a.com\"]";
    let child = r#"
        extends = "p"
        tier = "wasm"
        image = "small"
        start = "exec"
        network.allowed_domains = ["api.example.com"]
        network.denied_domains = ["b.com"]
        resources.cpu = 1
        time.call = 10
        isolation.require = ["namespaces", "root", "seccomp", "landlock", "cgroup"]
    "#;
    let policy = sources(&[("p", parent), ("c", child)]).load("c").unwrap();
    assert_eq!(policy.network.allowed_domains, ["api.example.com"]);
    assert_eq!(policy.network.denied_domains, ["a.com", "b.com"], "denials add up");
    assert_eq!((policy.resources.cpu, policy.time.call), (1.0, Duration::from_secs(10)));
    assert_eq!((policy.tier.as_str(), policy.image.as_str()), ("wasm", "small"));
}

#[test]
fn a_child_may_switch_recording_on_and_not_off_and_only_lower_its_bytes() {
    let on = "[browser]\nrecording = true\nrecording_bytes = \"8MiB\"";
    let policy = sources(&[("p", ""), ("c", &format!("extends = \"p\"\n{on}"))]).load("c").unwrap();
    assert_eq!((policy.browser.recording, policy.browser.recording_bytes), (true, 8 << 20));
    assert!(sources(&[("p", on), ("c", "extends = \"p\"")]).load("c").unwrap().browser.recording);
    for (text, field) in
        [("recording = false", "recording"), ("recording_bytes = \"9MiB\"", "recording_bytes")]
    {
        let found = error(&[("p", on), ("c", &format!("extends = \"p\"\n[browser]\n{text}"))], "c");
        assert!(found.starts_with(&format!("c.toml:3: browser.{field}: ")), "{found}");
    }
}

#[test]
fn what_is_no_policy_is_refused_whole_with_its_line() {
    for (text, expected) in [
        ("\nmemroy = 1", "a.toml:2: unknown field `memroy`"),
        ("[resources]\nmemroy = 1", "a.toml:2: unknown field `memroy`"),
        ("[resources]\nmemory = \"2GB\"", "a.toml:2: `2GB` is no size"),
        ("[resources]\nmemory = -1", "a.toml:2: must not be negative"),
        ("[resources]\nmemory = 1.5", "a.toml:2: invalid type: floating point `1.5`"),
        ("[resources]\nmemory = []", "a.toml:2: invalid type: sequence"),
        ("[resources]\npids = -5", "a.toml:2: invalid value"),
        ("[resources]\ncpu = nan", "a.toml:2: resources.cpu: NaN is out of bounds"),
        ("[resources]\ncpu = inf", "a.toml:2: resources.cpu: inf is out of bounds"),
        ("[resources]\nmemory = 0", "a.toml:2: resources.memory: 0B is out of bounds"),
        ("[resources]\npids = 64\npids = 65", "a.toml:3: duplicate key"),
        ("[network]\nmode = \"Open\"", "a.toml:2: unknown variant `Open`"),
        (
            "[network]\nmode = \"open\"\nallowed_domains = [\"a.com\"]",
            "a.toml:3: network.allowed_domains: has no effect",
        ),
        (
            "[network]\nallowed_domains = [\"10.0.0.1\"]",
            "a.toml:2: network.allowed_domains: `10.0.0.1` is no domain",
        ),
        ("[network]\nports = [70000]", "a.toml:2: invalid value"),
        ("[time]\nsession_max = \"9h\"", "a.toml:2: time.session_max: 32400s is out of bounds"),
        ("[filesystem]\nworkspace = \"../x\"", "a.toml:2: filesystem.workspace: `../x` is no place"),
        ("[filesystem]\nworkspace = \"/proc/x\"", "a.toml:2: filesystem.workspace: `/proc/x` is no place"),
        ("image = \"../../etc\"", "a.toml:1: image: `../../etc` is no name"),
        ("[isolation]\nseccomp = \"seccomp/../../x.json\"", "a.toml:2: isolation.seccomp: "),
        ("[isolation]\nrequire = [\"seccomp\"]", "a.toml:2: isolation.require: names fewer than two walls"),
        ("[isolation]\nrequire = [\"root\", \"root\"]", "a.toml:2: isolation.require: names root twice"),
        ("[languages]\nruntimes = [\"ruby\"]", "a.toml:2: languages.runtimes: `ruby` is no runtime"),
        ("extends = \"b\"", "a.toml:1: extends: there is no policy `b`; there are: a"),
    ] {
        let found = error(&[("a", text)], "a");
        assert!(found.starts_with(expected), "{text}\n{found}\n{expected}");
    }
}

#[test]
fn a_circle_is_refused() {
    let text = error(&[("a", "extends = \"b\""), ("b", "\nextends = \"a\"")], "a");
    assert_eq!(text, "b.toml:2: extends: policies extend each other in a circle: a → b → a");
}

#[test]
fn several_problems_are_all_told() {
    let text = error(&[("a", "[resources]\npids = 1\nopen_files = 1")], "a");
    assert_eq!(text.lines().count(), 2, "{text}");
}

fn subset(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(of, 0..=of.len()).prop_map(|list| list.into_iter().map(str::to_owned).collect())
}

const DOMAINS: &[&str] = &["a.com", "x.a.com", "*.a.com", "*.x.a.com", "b.org", "*.org"];
const RANGES: &[&str] = &["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "fd00::/8", "192.168.0.0/16"];

/// Valid policies all over the place.
fn policy() -> impl Strategy<Value = Policy> {
    let network = (
        prop::sample::select(vec![NetworkMode::None, NetworkMode::Allowlist, NetworkMode::Open]),
        subset(DOMAINS),
        subset(DOMAINS),
        subset(RANGES),
        prop::sample::subsequence(vec![443u16, 80, 22, 8080], 0..=4),
        1..100u32,
        (1..1_000_000u64, 1..1_000_000u64, 1..9999u32, subset(&["A_KEY", "B", "*"])),
    );
    let amounts = ((1..8u64), (1..8u32), 16..400u64, 64..4096u64, 1..8u64, 256..9999u64, 1..=8u64);
    let times = (1..1000u64, 1..1000u64, 1..1000u64, 1..30u64, 1..1000u64);
    let switches = (any::<[bool; 8]>(), subset(&["python", "nodejs", "deno"]), 0..3usize, subset(RANGES));
    let output = (1024..99_999u64, 1024..99_999u64, 0..99u32, 0..99u32, 1u64 << 20..9 << 20);
    let walls = prop::sample::subsequence(Wall::ALL.to_vec(), 2..=5);
    let packages = (
        any::<[bool; 3]>(),
        prop::sample::select(vec!["", "https://a.test/simple/", "https://b.test/simple/"]),
        subset(&["demo", "types-*", "types-six", "*"]),
        subset(&["demo", "types-six"]),
        (1..1_000_000u64, 0..999u64),
    );
    (network, amounts, times, switches, output, walls, packages).prop_map(|(n, a, t, s, o, walls, p)| {
        let mut policy = Policy::built_in("p");
        policy.network.mode = n.0;
        policy.network.allowed_domains = if n.0 == NetworkMode::Open { Vec::new() } else { n.1 };
        (policy.network.denied_domains, policy.network.allowed_cidrs, policy.network.ports) = (n.2, n.3, n.4);
        policy.network.connections = n.5;
        (policy.network.bytes, policy.network.host_bytes, policy.network.connection_rate, policy.secrets) =
            n.6;
        policy.resources.memory = a.0 << 30;
        policy.resources.cpu = f64::from(a.1) / 2.0;
        (policy.resources.pids, policy.resources.open_files, policy.filesystem.inodes) = (a.2, a.3, a.5);
        policy.filesystem.disk = (a.4 << 30).min(room::storage(a.0 << 30, a.5));
        policy.filesystem.max_file = policy.filesystem.disk / a.6;
        let span = Duration::from_secs;
        policy.time.session_max = span(t.0);
        policy.time.session_default = span(t.1.min(t.0));
        (policy.time.call, policy.time.grace, policy.time.task) = (span(t.2), span(t.3), span(t.4));
        [
            policy.filesystem.exec,
            policy.languages.shell,
            policy.output.figures,
            policy.output.files,
            policy.output.text,
            policy.browser.recording,
            policy.browser.downloads,
            policy.browser.read_only,
        ] = s.0;
        policy.network.denied_cidrs = s.3;
        policy.languages.runtimes = s.1;
        policy.start = [StartMode::Pool, StartMode::Zygote, StartMode::Exec][s.2];
        (policy.output.stream, policy.output.display) = (o.0, o.1);
        (policy.output.displays, policy.output.files_max) = (o.2, o.3);
        policy.browser.recording_bytes = o.4;
        policy.isolation.require = walls;
        policy.packages = Packages {
            install: if p.0[0] { Install::Mirror } else { Install::Off },
            index: p.1.to_owned(),
            allow: p.2,
            deny: p.3,
            wheels_only: p.0[1],
            require_hashes: p.0[2],
            max_bytes: p.4.0,
            min_age: span(p.4.1),
        };
        policy
    })
}

/// Whether two policies grant the same, however their lists are ordered.
fn same(a: &Policy, b: &Policy) -> bool {
    widenings(a, b).is_empty() && widenings(b, a).is_empty()
}

#[test]
fn a_ceiling_on_another_tier_than_process_admits_that_tier_only() {
    let on = |tier: &str| Policy { tier: tier.into(), ..Policy::built_in("p") };
    for (tier, ceiling, fits) in [
        ("process", "process", true),
        ("wasm", "process", true),
        ("browser", "process", true),
        ("wasm", "wasm", true),
        ("process", "wasm", false),
        ("browser", "wasm", false),
        ("process", "browser", false),
    ] {
        assert_eq!(narrow(&on(tier), &on(ceiling)).is_ok(), fits, "{tier} under {ceiling}");
    }
}

/// The file that sets the fields of `policy` for which `keep` says so.
fn written(policy: &Policy, keep: impl Fn(usize) -> bool) -> String {
    let fields = rows(policy).into_iter().enumerate().filter(|(index, _)| keep(*index));
    fields.map(|(_, (field, value))| format!("{field} = {value}\n")).collect()
}

proptest! {
    #[test]
    fn what_is_shown_loads_as_the_same_policy(policy in policy()) {
        let loaded = sources(&[("p", &written(&policy, |_| true))]).load("p");
        prop_assert_eq!(loaded, Ok(policy));
    }

    #[test]
    fn the_meet_is_within_both_and_a_policy_is_within_itself(a in policy(), b in policy()) {
        let both = meet(&a, &b);
        prop_assert_eq!(widenings(&both, &b), Vec::<&str>::new());
        let same_tier = Policy { tier: a.tier.clone(), ..both };
        prop_assert_eq!(widenings(&same_tier, &a), Vec::<&str>::new());
        prop_assert_eq!(widenings(&a, &a), Vec::<&str>::new());
    }

    #[test]
    fn the_meet_does_not_depend_on_order_or_grouping_and_is_a_policy(a in policy(), b in policy(), c in policy()) {
        prop_assert!(same(&meet(&a, &b), &meet(&b, &a)));
        prop_assert!(same(&meet(&meet(&a, &b), &c), &meet(&a, &meet(&b, &c))));
        prop_assert!(same(&meet(&a, &a), &a));
        prop_assert_eq!(complaints(&meet(&a, &b)), vec![]);
    }

    #[test]
    fn a_narrower_policy_has_a_narrower_meet(a in policy(), b in policy(), c in policy()) {
        let narrower = meet(&a, &b);
        prop_assert_eq!(widenings(&meet(&narrower, &c), &meet(&b, &c)), Vec::<&str>::new());
    }

    #[test]
    fn under_a_ceiling_of_another_tier_everything_is_bounded_but_the_tier_and_its_own_list(
        mut a in policy(), ceiling in policy(), tier in prop::sample::select(vec!["process", "wasm", "browser"])
    ) {
        a.tier = tier.to_owned();
        a.isolation.seccomp = format!("seccomp/{tier}.json");
        let within = narrow(&a, &ceiling).unwrap();
        prop_assert_eq!(&within.tier, tier);
        prop_assert!(widenings(&within, &a).iter().all(|field| *field == "isolation.seccomp"));
        prop_assert!(widenings(&within, &ceiling).iter().all(|field| ["tier", "isolation.seccomp"].contains(field)));
        prop_assert_eq!(complaints(&within), vec![]);
    }

    #[test]
    fn a_child_that_loads_grants_no_more_than_its_parent(
        parent in policy(), child in policy(), keep in prop::collection::vec(0..55usize, 0..5), ceiling: bool
    ) {
        let above = format!("ceiling = {ceiling}\n{}", written(&parent, |_| true));
        let below = format!("extends = \"p\"\n{}", written(&child, |index| keep.contains(&index)));
        let sources = sources(&[("p", &above), ("c", &below)]);
        if let Ok(loaded) = sources.load("c") {
            prop_assert_eq!(widenings(&loaded, &parent), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_child_that_asks_for_what_its_parent_has_is_never_refused(
        parent in policy(), child in policy(), keep: u64, ceiling: bool
    ) {
        let mut within = meet(&child, &parent);
        if within.network.mode == NetworkMode::Open {
            within.network.allowed_domains.clear();
        }
        let above = format!("ceiling = {ceiling}\n{}", written(&parent, |_| true));
        // Fields that depend on each other are written together, or they may contradict what is inherited.
        let fields: Vec<&str> = rows(&within).into_iter().map(|(field, _)| field).collect();
        let tied = |index: usize| {
            ["resources.", "filesystem.", "time."].iter().any(|section| fields[index].starts_with(section))
                || ["network.mode", "network.allowed_domains"].contains(&fields[index])
        };
        let below = format!("extends = \"p\"\n{}", written(&within, |index| tied(index) || keep >> index & 1 == 1));
        let loaded = sources(&[("p", &above), ("c", &below)]).load("c");
        prop_assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
}
