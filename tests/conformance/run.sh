#!/usr/bin/env bash
# Runs foreign clients, exactly as they are, against a server of its own.
#
#   run.sh [PYTEST ARGUMENTS]     CLOISTER_BIN names the server's program (default: the newer of the debug build and the release)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CLOISTER_CACHE:-$HOME/.cache/cloister}
venv=$cache/conformance-venv
js=$cache/conformance-js

# Whatever the lock files say is made anew; whatever they said before is taken as it lies there. Contents only: where a clone lies
# must not count, since all clones share the cache.
made_from() { cat "$@" | sha256sum | cut -d ' ' -f 1; }
if [ "$(cat "$venv/made-from" 2>/dev/null)" != "$(made_from "$here/requirements.txt")" ]; then
    echo "conformance: installing the Python clients"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-deps --only-binary :all: --require-hashes --requirement "$here/requirements.txt"
    made_from "$here/requirements.txt" >"$venv/made-from"
fi
if [ "$(cat "$js/made-from" 2>/dev/null)" != "$(made_from "$here/js/package.json" "$here/js/package-lock.json")" ]; then
    echo "conformance: installing the JavaScript client"
    rm -rf "$js"
    mkdir -p "$js"
    cp "$here/js/package.json" "$here/js/package-lock.json" "$js/"
    (cd "$js" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
    made_from "$here/js/package.json" "$here/js/package-lock.json" >"$js/made-from"
fi

if [ -z "${CLOISTER_BIN:-}" ]; then
    CLOISTER_BIN=$(ls -t "${CARGO_TARGET_DIR:-$cache/target}/debug/cloister" "$here/../../target/release/cloister" 2>/dev/null | head -n 1 || true)
    [ -n "$CLOISTER_BIN" ] || { echo "conformance: there is no server to test; build one with make build, or name it in CLOISTER_BIN" >&2; exit 1; }
fi
CLOISTER_BIN=$(realpath "$CLOISTER_BIN")
export CLOISTER_BIN CLOISTER_CONFORMANCE_JS=$js
echo "conformance: $("$CLOISTER_BIN" --version) at $CLOISTER_BIN"

cd "$here"
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" server.py "$venv/bin/python" -m pytest "$@"
