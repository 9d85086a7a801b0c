#!/usr/bin/env bash
# Installs what the host lacks for building and testing cloister. Idempotent; under a second when nothing is missing.
#
#   need "what it is for" PACKAGE… -- TEST…     installs the packages if the test fails
#
# Packages are chosen by what is missing and not by name: a host may have Node.js from elsewhere, and Debian's would collide with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
need() {
    local packages=()
    while [ "$1" != -- ]; do packages+=("$1"); shift; done
    shift
    "$@" >/dev/null 2>&1 || missing+=("${packages[@]}")
}
has() { command -v "$1"; }

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

need gcc -- has gcc
need libc6-dev -- test -e /usr/include/stdio.h
need make -- has make
need git -- has git
need pkg-config -- has pkg-config
need curl -- has curl
need ca-certificates -- test -s /etc/ssl/certs/ca-certificates.crt
need jq -- has jq
need xz-utils -- has xz
need util-linux -- has unshare
need python3 -- test -x /usr/bin/python3
need python3-pip -- /usr/bin/python3 -m pip --version
need python3-venv -- /usr/bin/python3 -c 'import ensurepip, venv'
need nodejs -- has node
need npm -- has npm
# The person's own browser in the tests of the live view.
need chromium-headless-shell -- test -x /usr/lib/chromium/chromium-headless-shell
need debian-archive-keyring -- test -e /usr/share/keyrings/debian-archive-keyring.gpg

if [ ${#missing[@]} -gt 0 ]; then
    has apt-get >/dev/null || fail "missing: ${missing[*]}" "this script installs with apt; install them with your system's own tool"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo >/dev/null || fail "missing: ${missing[*]}" "run as root: apt-get install --no-install-recommends ${missing[*]}"
        as_root=(sudo)
    fi
    echo "deps: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get -q update
    "${as_root[@]}" apt-get -q -y install --no-install-recommends "${missing[@]}"
fi

# Rust. Debian 12's own is older than this workspace needs, and Debian has no rustup before 13; PyPI has a package that brings it.
wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
advice="install rustup from the Rust project; it reads rust-toolchain.toml and brings Rust $wanted by itself"
PATH="$HOME/.cargo/bin:$PATH"

fetch_rustup() {
    local scratch
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' RETURN
    echo "deps: installing Rust by rustup (into ~/.cargo and ~/.rustup)"
    /usr/bin/python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" -q install puccinialin==0.1.14
    # From a directory without a rust-toolchain.toml: the version that it names is not there yet.
    (cd "$scratch" && venv/bin/python -m puccinialin --location "$scratch/rust" >/dev/null) || return 1
    # What it has installed names no path of its own, so it can be moved to where everybody looks for it.
    mkdir -p "$HOME/.cargo"
    mv "$scratch/rust/cargo/bin" "$HOME/.cargo/bin"
    mv "$scratch/rust/rustup" "$HOME/.rustup"
    rustup toolchain install
}

if ! has cargo >/dev/null && [ ! -e "$HOME/.rustup" ] && [ ! -e "$HOME/.cargo/bin" ]; then
    fetch_rustup || fail "cargo is missing, and rustup could not be fetched: Rust $wanted is needed" "$advice"
fi
has cargo >/dev/null || fail "cargo is missing: Rust $wanted is needed, and Debian 12 has 1.63" "$advice"
found=$(rustc --version | cut -d ' ' -f 2) || fail "rustc does not start: Rust $wanted is needed" "$advice"
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    fail "Rust $found is too old: $wanted is needed" "$advice"
fi
