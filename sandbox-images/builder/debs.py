"""The first stage: Debian packages, fetched, checked against the lock and unpacked. Their scripts are not run.

    images.lock ─▶ all there? ─▶ unpack ─▶ strip ─▶ userland ─▶ fontconfig ─▶ Python compiled
                      │ no: apt-get download, sha256
                      └ gone from the mirror (a point release): today's version of the same package, said aloud
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from . import apt, enter, fontconfig, place, python, stages, strip, substitute, tree, userland
from .run import BuildError, pipe


def wishes(path):
    """packages.txt: `(wanted, kept out)`."""
    words = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [w for w in words if w and w[0] != "-"], [w[1:] for w in words if w[:1] == "-"]


def stage(progress, locked, packages, *, locked_only):
    """`(stage, packages used)`. `packages` is the path of packages.txt."""
    wanted, without = wishes(packages)
    unlocked = sorted(set(wanted) - {deb.name for deb in locked})
    if unlocked:
        raise BuildError(f"{packages.name} names {', '.join(unlocked)}, not in images.lock; run `make images-lock`")
    authority = userland.extra_authority()
    used = locked if locked_only else substitute.remembered(locked, kept)
    if not stages.find("debs", _key(used, authority)):
        used = _fetch(progress, locked, used, wanted, without, locked_only)
    for change in substitute.changes(locked, used):
        progress.warn(f"Debian package {change['name']}: {change['locked'] or 'nothing'} of images.lock is gone from the mirror, "
                      f"using {change['used'] or 'nothing'}; `make images-lock` locks today's versions")

    def make(root):
        _skeleton(root)
        for number, deb in enumerate(used, 1):
            progress.step(f"unpacking {number}/{len(used)} {deb.name}")
            unpack(kept(deb), root)
        strip.debian(root)
        userland.write(root, authority)
        fontconfig.write(progress, root)
        progress.step("compiling Python's library")
        python.compile_tree(root, "usr/lib/python3.11", "usr/lib/python3", "usr/share/python3")

    return stages.ensure(progress, "debs", _key(used, authority), None, make), used


def kept(deb):
    """Where a fetched package lies."""
    return place.work("debs") / f"{deb.sha256}.deb"


def _key(debs, authority):
    return stages.key_of([[deb.name, deb.version, deb.sha256] for deb in debs], authority,
                         stages.source_of(tree, userland, enter, fontconfig, strip, python), Path(__file__))


def _fetch(progress, locked, used, wanted, without, locked_only):
    """Fetches what is missing of `used`. Returns what can be had: `used`, or today's versions in place of what has gone."""
    missing = [deb for deb in used if not kept(deb).exists()]
    if not missing:
        return used
    mirror = apt.Apt(without)
    progress.step("reading Debian's package lists")
    mirror.update()
    have = mirror.versions([deb.name for deb in missing])
    gone = [deb.spec for deb in missing if deb.version not in have[deb.name]]
    if gone and locked_only:
        raise BuildError(f"Debian's mirror no longer has {', '.join(gone)}; run `make images-lock` and review the change")
    if gone:
        used = substitute.choose(mirror, locked, wanted, kept)
        missing = [deb for deb in used if not kept(deb).exists()]
    for number, deb in enumerate(missing, 1):
        progress.step(f"downloading {number}/{len(missing)} {deb.name} ({deb.size / 1e6:.1f} MB)")
        _download(mirror, deb)
    return used


def _download(mirror, deb):
    with tempfile.TemporaryDirectory(dir=place.work("tmp")) as folder:
        file = mirror.download(deb, Path(folder))
        with open(file, "rb") as data:
            found = hashlib.file_digest(data, "sha256").hexdigest()
        if found != deb.sha256:
            raise BuildError(f"Debian package {deb.spec}: sha256 is {found}, expected {deb.sha256}; nothing was unpacked")
        shutil.move(file, kept(deb))


def _skeleton(root):
    """Merged /usr, as every Debian 12 has it; packages that still ship /bin/… then land in /usr/bin."""
    for name in ("bin", "sbin", "lib", "lib64"):
        tree.make_dir(root, f"usr/{name}")
        tree.link(root, name, f"usr/{name}")


def unpack(file, root):
    """The files of one package. Owners and special bits of the archive are not taken over."""
    pipe(["dpkg-deb", "--fsys-tarfile", file],
         ["tar", "-x", "-C", root, "--keep-directory-symlink", "--no-same-owner", "--no-same-permissions",
          *(f"--exclude={path}" for path in strip.NEVER_UNPACKED)],
         what=f"unpacking {file.name}")
