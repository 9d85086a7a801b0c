#!/usr/bin/env bash
# Starts cloister on a free port, lets an unmodified boto3 run an analysis in it and a browser fill in a form, and leaves the results
# in ./demo-output.
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
page=
finish() {
    if [ -n "$page" ]; then kill "$page" 2>/dev/null || true; fi
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || echo "demo: the server ended with status $?" >&2
    fi
    rm -rf "$data"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The page that the browser visits. It is on this machine's loopback, which sessions reach only if the server is told so.
/usr/bin/python3 scripts/demo/page.py "$data/page" &
page=$!
for _ in $(seq 200); do [ ! -s "$data/page" ] || break; sleep 0.05; done
port=$(cat "$data/page")

"$cloister" serve --listen 127.0.0.1:0 --data-dir "$data" --config scripts/demo/cloister.toml \
    --allow-loopback "127.0.0.1:$port" >"$data/server.log" 2>&1 &
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
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" scripts/demo/browser.py "http://127.0.0.1:$port/" demo-output
