#!/usr/bin/env bash
# Runs the kernel and the browser tests as an ordinary user: the same promises must hold without root, in a user namespace.
#
# As root, a user that exists nowhere is borrowed, and the cache (which usually lies in root's home) is bound to a place that this
# user can reach, in a mount namespace that ends with the tests. As an ordinary user, the tests have run as one already.
# What needs root's cgroups or files of another user says so and is skipped, visibly; the run as root has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "$(id -u)" -ne 0 ]; then
    echo "test-as-user: this is an ordinary user already"
    exit 0
fi
user=64123
cache=${CLOISTER_CACHE:-$HOME/.cache/cloister}

binaries=$(cargo test --locked --workspace --test kernel --test browser --no-run --message-format=json 2>/dev/null |
    jq -r 'select(.executable != null and .target.kind == ["test"]) | .executable')
[ "$(wc -w <<<"$binaries")" -eq 2 ] || { echo "test-as-user: the tests could not be built" >&2; exit 1; }

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
chown "$user:$user" "$home"
chmod 755 "$home"
install -d -o "$user" -g "$user" -m 700 "$home/tmp"
mkdir -p "$home/cache"

# The target folder need not be in the cache, so both are bound.
export home cache user
export require=${REQUIRE:-}
for binary in $binaries; do
    export binary
    unshare --mount bash -euo pipefail -c '
        mkdir -p "$home/cache" "$home/target"
        mount --bind "$cache" "$home/cache"
        mount --bind "$(dirname "$(dirname "$(dirname "$binary")")")" "$home/target"
        cd /
        exec setpriv --reuid="$user" --regid="$user" --clear-groups \
            env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$home" LANG=C.UTF-8 CLOISTER_CACHE="$home/cache" \
            REQUIRE="$require" SERVER_SECRET=hidden TMPDIR="$home/tmp" \
            "$home/target/debug/deps/$(basename "$binary")" --skip two_hundred "$@"
    ' as-user "$@"
done
