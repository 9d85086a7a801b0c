#!/usr/bin/env bash
# Puts CPython's own tests, as Debian packages them, into the cache, for a kernel test that runs a part of them inside a session.
#
# Downloaded and unpacked, not installed: the package would upgrade the host's Python.
set -euo pipefail

package=libpython3.11-testsuite
place=${CLOISTER_CACHE:-$HOME/.cache/cloister}/cpython-tests
[ ! -e "$place/test/test_os.py" ] || exit 0
command -v apt-get >/dev/null || { echo "cpython-tests: there is no apt here, and the test that needs them is skipped" >&2; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
echo "deps: downloading $package"
# Old lists name files that are gone.
apt-get -q download "$package" >/dev/null 2>&1 || { apt-get -q update && apt-get -q download "$package"; }
dpkg-deb -x "$package"_*.deb unpacked
mkdir -p "$place"
# Whole at once: a half of it would look like all of it.
mv -T unpacked/usr/lib/python3.11/test "$place/test"
