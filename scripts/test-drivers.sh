#!/usr/bin/env bash
# Runs the tests of the drivers on this host, outside of any sandbox, with the interpreters and libraries of the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${CLOISTER_CACHE:-$HOME/.cache/cloister}
drivers=$PWD/sandbox-images/drivers
image=$cache/images/analysis/current/root

if [ ! -d "$image" ]; then
    echo "SKIPPED: the image analysis has not been built (make images)"
    [ "${REQUIRE:-}" != all ] || exit 1
    exit 0
fi
image=$(readlink -f "$image")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Debian's own Python with the image's libraries: the same as in a sandbox, without one.
/usr/bin/python3 -m venv --without-pip "$scratch/python"
echo "$image/usr/local/lib/python3.11/dist-packages" >"$scratch/python/lib/python3.11/site-packages/image.pth"
export CLOISTER_TEST_PYTHON=$scratch/python/bin/python

echo "drivers: python"
(cd "$drivers/python" && PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m unittest discover -s tests -t .)

# The scripts as they lie in the tree, with the packages that the image has for them.
cp -r "$drivers" "$scratch/drivers"
rm -rf "$scratch/drivers/js/node_modules"
cp -r "$image/opt/cloister/js/node_modules" "$scratch/drivers/js/node_modules"
export PATH="$image/usr/local/bin:$PATH" DENO_DIR="$scratch/deno" DENO_NO_UPDATE_CHECK=1 CLOISTER_TEST_NODE="$image/usr/local/bin/node" \
    CLOISTER_TEST_DENO="$image/usr/local/bin/deno"

if compgen -G "$scratch/drivers/js/tests/*.test.mjs" >/dev/null; then
    echo "drivers: js"
    node --test "$scratch"/drivers/js/tests/*.test.mjs
fi
for language in javascript typescript; do
    echo "drivers: $language on Node.js, then on Deno"
    /usr/bin/python3 "$drivers/run_transcripts.py" --language "$language" --interrupt pipe \
        --driver "$image/usr/local/bin/node --disable-warning=ExperimentalWarning $scratch/drivers/nodejs/driver.mjs"
    /usr/bin/python3 "$drivers/run_transcripts.py" --language "$language" --interrupt pipe \
        --driver "$image/usr/local/bin/deno run --allow-all --no-lock --no-config --quiet $scratch/drivers/deno/driver.mjs"
done
