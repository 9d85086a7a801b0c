#!/usr/bin/env bash
# Checks the rules for dependencies (deny.toml), and known holes where a database of them lies in the cache. cargo-deny is taken from the PATH, else from the cache. Where there is none it is a
# visible skip, but under REQUIRE=all it is built into the cache, once: about three minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.20.2
cache=${CLOISTER_CACHE:-$HOME/.cache/cloister}
export PATH=$PATH:$cache/tools/bin

if ! command -v cargo-deny >/dev/null; then
    if [ "${REQUIRE:-}" != all ]; then
        echo "SKIPPED: cargo-deny is not installed (cargo install --locked cargo-deny@$version, or REQUIRE=all)"
        exit 0
    fi
    echo "lint: building cargo-deny $version into $cache/tools"
    # Outside of the workspace, whose lints and profile are not for it; its objects are thrown away.
    objects=$(mktemp -d)
    trap 'rm -rf "$objects"' EXIT
    RUSTUP_TOOLCHAIN=$(rustc --version | cut -d ' ' -f 2)
    export RUSTUP_TOOLCHAIN
    (cd "$objects" && cargo install --quiet --locked "cargo-deny@$version" --root "$cache/tools" --target-dir "$objects")
    unset RUSTUP_TOOLCHAIN
fi
cargo-deny --all-features check bans licenses sources

# Known holes: from a database that somebody has fetched, since neither this machine nor CI is let out for it. It is not a failure that
# there is none, and it is said.
databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
if [ -n "$(ls -A "$databases" 2>/dev/null)" ]; then
    cargo-deny --offline --all-features check advisories
else
    echo "SKIPPED: there is no database of advisories in $databases (cargo deny fetch db, where there is a network)"
fi
