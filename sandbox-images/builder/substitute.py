"""What to do when a locked Debian package can no longer be had.

Debian keeps only the newest version of a package on its mirrors, so after a point release or a security update a lock names
something that is gone. Today's version is as authentic (apt checks Debian's signature), but it is not what was reviewed: the
build goes on, says so, and writes it into the image's manifest. `--locked` makes it an error instead.
"""

import json

from . import place, stages
from .lockfile import Deb


def choose(mirror, locked, wanted, kept):
    """The locked versions that can be had, and today's for the others and for what they newly need. Remembered."""
    have = mirror.versions([deb.name for deb in locked])
    still = {deb.name: deb for deb in locked if kept(deb).exists() or deb.version in have[deb.name]}
    used = sorted(still.get(deb.name, deb) for deb in mirror.closure(wanted))
    _memo(locked).write_text(json.dumps([vars(deb) for deb in used]), encoding="utf-8")
    return used


def remembered(locked, kept):
    """What `choose` answered for this lock before, so that a build with nothing new needs no network; else the lock itself."""
    memo = _memo(locked)
    if all(kept(deb).exists() for deb in locked) or not memo.exists():
        return locked
    return sorted(Deb(**deb) for deb in json.loads(memo.read_text(encoding="utf-8")))


def changes(locked, used):
    """The differences, as the manifest records them."""
    before, after = {deb.name: deb.version for deb in locked}, {deb.name: deb.version for deb in used}
    return [{"name": name, "locked": before.get(name), "used": after.get(name)}
            for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def _memo(locked):
    return place.work("chosen") / f"{stages.key_of([deb.sha256 for deb in locked])[:16]}.json"
