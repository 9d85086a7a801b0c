//! What a test needs of the host. A need that is not met is a visible skip, and a failure under `REQUIRE=all`.

use std::io::Write;
use std::path::PathBuf;

/// Says that a test is skipped, and why; panics under `REQUIRE=all`, which CI sets.
pub fn skip(why: &str) {
    let required = std::env::var("REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "REQUIRE=all, but {why}");
    say("SKIPPED", why);
}

/// Says that a test is skipped for something that root can have here and an ordinary user cannot (control groups that nobody has
/// delegated, files of another user). Under `REQUIRE=all` it is a failure for root only: the same test runs as root as well.
pub fn skip_unless_root(why: &str) {
    if nix::unistd::geteuid().is_root() {
        return skip(why);
    }
    say("SKIPPED", &format!("{why} (this is an ordinary user; the run as root has it)"));
}

/// Says that a test goes without a part of its set-up that this machine grants to nobody, not even to root. Visible, and no failure: the
/// rest of the promise is tested all the same.
pub fn note(why: &str) {
    say("NOTE", why);
}

/// To the real standard error: what `eprintln!` writes is kept from people's eyes as long as a test passes.
fn say(what: &str, why: &str) {
    let thread = std::thread::current();
    let line = format!("{what}: {}: {why}\n", thread.name().unwrap_or("?"));
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// Where images are, if the default one has been built.
pub fn images() -> Option<PathBuf> {
    let cache = std::env::var_os("CLOISTER_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/cloister")));
    let dir =
        std::env::var_os("CLOISTER_IMAGES").map(PathBuf::from).or_else(|| cache.map(|c| c.join("images")));
    let found = dir.filter(|dir| dir.join("analysis/current/image.toml").exists());
    if found.is_none() {
        skip("the image `analysis` has not been built (make images)");
    }
    found
}

/// Whether the image `name` has been built.
pub fn image(name: &str) -> bool {
    let found = images().is_some_and(|dir| dir.join(name).join("current/image.toml").exists());
    if !found {
        skip(&format!("the image `{name}` has not been built (make images)"));
    }
    found
}

/// A program that cargo has built beside the tests.
pub fn built(name: &str) -> Option<PathBuf> {
    // target/debug/deps/kernel-<hash> → target/debug
    let directory = std::env::current_exe().ok()?.parent()?.parent()?.to_path_buf();
    let found = Some(directory.join(name)).filter(|path| path.exists());
    if found.is_none() {
        skip(&format!("{name} has not been built (cargo build)"));
    }
    found
}
