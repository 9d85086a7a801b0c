#!/usr/bin/env bash
# Measures what a user waits for, beside what they would pick instead, and writes the tables into docs/benchmarks.md.
#
#   bench.sh [BENCH…]      cold_start, warm_invoke, burst, density, file_io, wasm_start, wasm_calls, wasm_density, wasm_programs,
#                          browser_start, browser_calls, browser_density; all of them without an argument
#
# Variables: CLOISTER_BENCH_QUICK=1      a tenth of the observations, and the document is left alone
#            CLOISTER_BENCH_WRITE=1      write the document after a quick look as well; its tables say how many observations there were
#            CLOISTER_BENCH_PATIENCE=30  seconds to wait for a quiet machine before each row
#
# The release build and the images must be there (`make bench` builds both). crun and the plain interpreter need root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${CLOISTER_CACHE:-$HOME/.cache/cloister}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export CLOISTER_BENCH_OUT=$cache/bench/tables
export CLOISTER_BENCH_PYTHON=$cache/bench/venv/bin/python
export CLOISTER_BENCH_PLAYWRIGHT=$cache/bench/playwright/bin/python
document=docs/benchmarks.md
all=(cold_start warm_invoke burst density file_io wasm_start wasm_calls wasm_density wasm_programs browser_start browser_calls browser_density)
if [ $# -gt 0 ]; then benches=("$@"); else benches=("${all[@]}"); fi

# The alternatives, as Debian has them.
missing=()
for pair in bwrap:bubblewrap crun:crun runsc:runsc chromium-headless-shell:chromium-headless-shell; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "bench: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get -q update
    # One that cannot be installed becomes a row that says so.
    for package in "${missing[@]}"; do
        "${as_root[@]}" apt-get -q -y install --no-install-recommends "$package" ||
            echo "bench: $package cannot be installed" >&2
    done
fi

# A notebook kernel with the very libraries of the image: the same interpreter version, the same pandas.
packages=(ipykernel==7.4.0 jupyter_client==8.10.0)
venv=$cache/bench/venv
if [ "$(cat "$venv/installed" 2>/dev/null)" != "${packages[*]}" ]; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" -q --disable-pip-version-check install "${packages[@]}"
    echo "${packages[*]}" >"$venv/installed"
fi
image=$cache/images/analysis/current
version=$("$CLOISTER_BENCH_PYTHON" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
echo "$image/root/usr/local/lib/$version/dist-packages" >"$venv/lib/$version/site-packages/image.pth"
"$CLOISTER_BENCH_PYTHON" -c 'import pandas' ||
    { echo "bench: $version of this host cannot use the image's pandas; the rows of ipykernel would not compare" >&2; exit 1; }

# Playwright without browsers of its own: it starts Debian's. Without it there is a row that says so.
playwright=playwright==1.65.2
venv=$cache/bench/playwright
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$playwright" ]; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    if "$venv/bin/pip" -q --disable-pip-version-check install "$playwright"; then
        echo "$playwright" >"$venv/installed"
    else
        rm -rf "$venv"
        echo "bench: $playwright cannot be installed" >&2
    fi
fi

# The wasm tier's CPython for this machine, as the image builder keeps it, and pyeryx, which wants one as new. Without them there are rows
# that say so.
CLOISTER_BENCH_NATIVE=$(find "$cache/build/stages" -path '*/tools-*/root/python' 2>/dev/null | head -n 1)
export CLOISTER_BENCH_NATIVE CLOISTER_BENCH_ERYX=$cache/bench/eryx
eryx=pyeryx==0.11.0
if [ "$(cat "$CLOISTER_BENCH_ERYX/installed" 2>/dev/null)" != "$eryx" ]; then
    rm -rf "$CLOISTER_BENCH_ERYX"
    if "$CLOISTER_BENCH_PYTHON" -m pip -q --disable-pip-version-check install --no-deps --only-binary :all: --python-version 3.13 \
        --platform manylinux_2_17_x86_64 --target "$CLOISTER_BENCH_ERYX" "$eryx"; then
        echo "$eryx" >"$CLOISTER_BENCH_ERYX/installed"
    else
        rm -rf "$CLOISTER_BENCH_ERYX"
        echo "bench: $eryx cannot be installed" >&2
    fi
fi

# What the numbers belong to.
mkdir -p "$CLOISTER_BENCH_OUT"
value() { sed -n "s/^$1[[:space:]]*: *//p" /proc/cpuinfo | head -n 1; }
package() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo missing; }
{
    echo "- $(nproc) processors ($(value 'model name')), $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
        "Linux $(uname -r), $(. /etc/os-release && echo "$PRETTY_NAME"), $(id -un)"
    echo "- cloister $(git describe --always --dirty 2>/dev/null || echo '(no git)'), image analysis $(basename "$(readlink -f "$image")")," \
        "wasm-python $(basename "$(readlink -f "$cache/images/wasm-python/current")")," \
        "headless-shell $(basename "$(readlink -f "$cache/images/headless-shell/current")")," \
        "measured $(date -u +%Y-%m-%d); load average before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
    echo "- bubblewrap $(package bubblewrap), crun $(package crun), runsc $(package runsc), ${packages[*]/==/ }, ${eryx/==/ }," \
        "chromium-headless-shell $(package chromium-headless-shell), ${playwright/==/ }"
} >"$CLOISTER_BENCH_OUT/machine.md"

for bench in "${benches[@]}"; do
    # The warning is about criterion's default of five seconds a case; here the number of observations is what is chosen.
    cargo bench --locked -p cloister-benches --bench "$bench" | sed '/^Warning: Unable to complete/d'
done

if [ -n "${CLOISTER_BENCH_QUICK:-}" ] && [ -z "${CLOISTER_BENCH_WRITE:-}" ]; then
    echo "bench: a quick look; $document keeps its tables"
    exit 0
fi
{
    echo "| aim | at most | measured | of the aim | |"
    echo "|---|---:|---:|---:|---|"
    for bench in "${all[@]}"; do cat "$CLOISTER_BENCH_OUT/$bench.aims" 2>/dev/null || true; done
} >"$CLOISTER_BENCH_OUT/aims.md"

# Everything between <!-- NAME --> and <!-- /NAME --> becomes NAME.md. A new file and a rename: half a document is none.
for name in machine aims "${benches[@]}"; do
    table=$CLOISTER_BENCH_OUT/$name.md
    [ -s "$table" ] || continue
    awk -v open="<!-- $name -->" -v close_="<!-- /$name -->" -v table="$table" '
        $0 == open { print; print ""; while ((getline line < table) > 0) print line; print ""; skip = 1; next }
        $0 == close_ { skip = 0 }
        !skip { print }
    ' "$document" >"$document.new"
    mv -f "$document.new" "$document"
done
echo "bench: wrote the tables into $document"
