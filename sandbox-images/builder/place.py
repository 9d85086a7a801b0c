"""Where things lie, who may build at the same time, and what of the caller's environment reaches the programs we run.

    $CLOISTER_CACHE (~/.cache/cloister)
      ├── images/<name>/<12 hex>/{root/, image.toml, manifest.json}   published
      ├── images/<name>/current ─▶ <12 hex>
      └── build/{debs, wheels, npm, apt, stages, tmp}                 can be deleted at any time
"""

import contextlib
import fcntl
import os
import platform
import shutil
import sys
from pathlib import Path

from .run import BuildError

# What a person sets to reach a package registry from where they are. Everything else stays outside: an option in the
# environment (`PIP_TARGET`, `NPM_CONFIG_PREFIX`, …) must not change what is built.
_PASSED = (
    "HOME", "LANG", "PATH", "TERM", "USER", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "PIP_INDEX_URL", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES",
    "PIP_CONFIG_FILE", "NPM_CONFIG_REGISTRY", "npm_config_registry", "NPM_CONFIG_CAFILE", "npm_config_cafile",
    "NPM_CONFIG_USERCONFIG", "npm_config_userconfig",
)


def cache():
    """The folder for everything that can be made again."""
    named = os.environ.get("CLOISTER_CACHE")
    if named and not os.path.isabs(named):
        raise BuildError(f"CLOISTER_CACHE must be an absolute path, not {named!r}")
    return Path(named) if named else Path.home() / ".cache/cloister"


def images():
    return cache() / "images"


def work(*below):
    """A folder below build/, made if missing."""
    folder = cache().joinpath("build", *below)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment(**more):
    """The environment for a program of the host."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1735689600", **more}


def image_names(here):
    """The folders that describe an image."""
    return sorted(path.parent.name for path in here.glob("*/image.toml"))


def require_host():
    """The unpacked programs, the compiled Python and the wheels must fit the host's tools, so the host must be what we build."""
    release = {}
    with contextlib.suppress(FileNotFoundError), open("/etc/os-release", encoding="utf-8") as lines:
        release = dict(line.strip().replace('"', "").split("=", 1) for line in lines if "=" in line)
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", "12"):
        raise BuildError(f"images are built on Debian 12, and this is {release.get('PRETTY_NAME', 'something else')}; "
                         "build in a Debian 12 machine or container and copy the images folder of its cache here")
    if platform.machine() != "x86_64":
        raise BuildError(f"the lock files are for x86_64, and this is {platform.machine()}")
    if sys.version_info[:2] != (3, 11):
        raise BuildError(f"run with /usr/bin/python3 (3.11, Debian's), not {sys.executable} ({platform.python_version()})")


@contextlib.contextmanager
def exclusive():
    """One builder at a time: the stages of one must not be pruned by another. Also removes what a killed build left."""
    os.umask(0o022)
    with open(work() / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another build is running; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in [*work("tmp").iterdir(), *images().glob("*/.new-*")]:
            shutil.rmtree(left)
        yield
