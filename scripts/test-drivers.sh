#!/usr/bin/env bash
# Runs the tests of the drivers on this host, outside of any sandbox, with the interpreters and libraries of the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
image=${CLOISTER_CACHE:-$HOME/.cache/cloister}/images/analysis/current/root

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
export CLOISTER_TEST_NODE=$image/usr/local/bin/node CLOISTER_TEST_DENO=$image/usr/local/bin/deno
export DENO_DIR=$scratch/deno DENO_NO_UPDATE_CHECK=1 PYTHONDONTWRITEBYTECODE=1

# The drivers as they lie in the tree, with the npm packages that the image has for them.
cp -r sandbox-images/drivers "$scratch/drivers"
rm -rf "$scratch/drivers/js/node_modules"
cp -r "$image/opt/cloister/js/node_modules" "$scratch/drivers/js/node_modules"

for driver in python js; do
    echo "drivers: $driver"
    (cd "$scratch/drivers/$driver" && /usr/bin/python3 -m unittest discover -s tests -t .)
done
