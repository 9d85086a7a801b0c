"""Runs a program of an image on the building host: in namespaces of its own, without network, as nobody in particular.

Used for three things only: fontconfig's and matplotlib's lists of fonts, and the check after a build.
"""

import os
import subprocess

from . import place, userland
from .run import BuildError

# $1 is the root, then what it should run, which begins with `env` and `chroot`. A program needs /proc, /dev/null and somewhere to write, and gets no more.
_SETUP = r"""
set -eu
root=$1; shift
mount --make-rprivate / 2>/dev/null || true
mount -t proc proc "$root/proc"
for where in dev tmp home/agent workspace; do mount -t tmpfs -o mode=1777 tmpfs "$root/$where"; done
mkdir -m 1777 "$root/dev/shm"
for device in null zero urandom random; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
exec "$@"
"""


def run(root, argv, *, env=None):
    """Standard output of `argv`. Raises BuildError if it fails or if this host cannot make the namespaces."""
    root = os.fspath(root)
    superuser = os.geteuid() == 0
    spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts",
              *([] if superuser else ["--user", "--map-root-user"])]
    into = ["/usr/sbin/chroot", *([f"--userspec={userland.AGENT}:{userland.AGENT}"] if superuser else []), root]
    # An ordinary user owns the image here, and Python would add compiled files to it.
    variables = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": userland.HOME, "LANG": "C.UTF-8",
                 **(env or {})}
    # The environment is emptied outside: not every image has an `env`.
    command = [*spaces, "sh", "-c", _SETUP, "enter", root, "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()),
               *into, *argv]
    done = subprocess.run(command, env=place.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(argv)[:80]} in the image ended with status {done.returncode}:\n  "
                         + "\n  ".join(done.stderr.strip().splitlines()[-12:]))
    return done.stdout
