"""Chooses today's versions and writes the lock files: images.lock, requirements.txt, package-lock.json.

None of them names a server: where packages come from is configured on the host that builds.
"""

import json
import shutil
import tempfile
from pathlib import Path

from . import apt, debs, lockfile, pipeline, place, site, toolchain, wheels
from .run import BuildError, Progress, output

_HEADER = "# Written by `make images-lock` from requirements.in: {}. One wheel, one hash.\n"
_PROCESS = "CPython 3.11 on Debian 12, x86_64"
_WASM = "CPython 3.13; what is compiled in a wheel is left out"


def relock(here, name):
    """Writes the lock files of one image, and those of the drivers' npm packages if the image has drivers."""
    progress = Progress(name)
    source = here / name
    if (source / "toolchain.txt").exists():
        progress.step("choosing what the interpreter is made with")
        toolchain.lock(toolchain.wishes(source / "toolchain.txt"), source / "toolchain.lock")
        _wheels(progress, source, _WASM, site.PIP_OPTIONS)
        progress.say(f"locked in {progress.seconds():.0f} s; `git diff` shows what has changed")
        return
    _debs(progress, here / "images.lock", name, source / "packages.txt")
    if (source / "requirements.in").exists():
        _wheels(progress, source, _PROCESS)
    modules = sorted(path.parent for path in (here / "drivers").glob("*/package.json")) if pipeline.has_runners(source) else []
    for folder in [*(folder for folder in [source] if (folder / "package.json").exists()), *modules]:
        progress.step(f"choosing npm packages for {folder.name}")
        _npm(folder)
    progress.say(f"locked in {progress.seconds():.0f} s; `git diff` shows what has changed")


def _debs(progress, lock, name, packages):
    progress.step("choosing Debian packages")
    wanted, without = debs.wishes(packages)
    mirror = apt.Apt(without)
    mirror.update()
    images = lockfile.read(lock)
    images[name] = mirror.closure(wanted)
    lockfile.write(lock, images)
    progress.say(f"{len(images[name])} Debian packages, {sum(deb.size for deb in images[name]) / 1e6:.0f} MB to download")


def _wheels(progress, source, made_for, options=()):
    progress.step("choosing Python packages")
    with tempfile.TemporaryDirectory(dir=place.work("tmp")) as scratch:
        report = Path(scratch, "report.json")
        output([*wheels.PIP, "install", "--dry-run", "--ignore-installed", "--only-binary=:all:", "--no-cache-dir", "--break-system-packages",
                *(["--target", scratch, *options] if options else ["--root", scratch]), "--report", report, "-r", source / "requirements.in"],
               env=place.environment(), what="choosing Python packages")
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines = []
    for package in chosen:
        metadata, archive = package["metadata"], package["download_info"].get("archive_info", {})
        sha256 = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").removeprefix("sha256=")
        if not sha256:
            raise BuildError(f"the index gives no sha256 for {metadata['name']} {metadata['version']}")
        lines.append(f"{metadata['name'].lower().replace('_', '-')}=={metadata['version']} --hash=sha256:{sha256}")
    (source / "requirements.txt").write_text(_HEADER.format(made_for) + "\n".join(sorted(lines)) + "\n", encoding="utf-8")
    progress.say(f"{len(lines)} Python packages")


def _npm(folder):
    with tempfile.TemporaryDirectory(dir=place.work("tmp")) as scratch:
        shutil.copyfile(folder / "package.json", Path(scratch, "package.json"))
        output(["npm", "install", "--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund",
                "--cache", place.work("npm")],
               cwd=scratch, env=place.environment(npm_config_update_notifier="false"), what=f"choosing npm packages for {folder}")
        lock = json.loads(Path(scratch, "package-lock.json").read_text(encoding="utf-8"))
    for where, package in lock["packages"].items():
        if "resolved" in package:
            raise BuildError(f"{folder}: {where} does not come from the registry by name and version, so it cannot be locked without an address")
        package.pop("funding", None)
    (folder / "package-lock.json").write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")
