#!/usr/bin/env bash
# Starts cloister on a free port, lets an unmodified boto3 run an analysis in it, and leaves its results in ./demo-output.
#
#   CLOISTER_BIN   the program (default: target/release/cloister, which `make release` leaves there)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cloister=${CLOISTER_BIN:-target/release/cloister}
cache=${CLOISTER_CACHE:-$HOME/.cache/cloister}
venv=$cache/demo-venv
requirements=scripts/demo/requirements.txt

[ -x "$cloister" ] || { echo "demo: $cloister is missing; build it with: make release images" >&2; exit 1; }

if ! cmp -s "$requirements" "$venv/made-from"; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-deps --only-binary :all: --require-hashes --requirement "$requirements"
    cp "$requirements" "$venv/made-from"
fi

data=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || echo "demo: the server ended with status $?" >&2
    fi
    rm -rf "$data"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$cloister" serve --listen 127.0.0.1:0 --data-dir "$data" >"$data/server.log" 2>&1 &
server=$!
for _ in $(seq 600); do
    url=$(cat "$data/endpoint" 2>/dev/null || true)
    if [ -n "$url" ] && curl -fso /dev/null "$url/readyz"; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$data/server.log" >&2; server=; exit 1; }
    sleep 0.05
done

# This is all that a client needs to be told.
eval "$("$cloister" env --data-dir "$data")"
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" scripts/demo/demo.py demo-output
