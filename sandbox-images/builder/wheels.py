"""The second stage: Python packages. Wheels only, each checked against its hash; no code of any of them runs while installing.

    requirements.txt (names, versions, sha256) ─▶ pip download ─▶ pip install --root ─▶ strip ─▶ font list ─▶ compile
"""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from . import enter, fonts, place, python, stages, strip, tree
from .run import BuildError, output

PACKAGES = "usr/local/lib/python3.11/dist-packages"  # where Debian's Python looks for what the administrator installed
PIP = ["/usr/bin/python3", "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "-q"]
_LINE = re.compile(r"([A-Za-z0-9._-]+)==(\S+) --hash=sha256:([0-9a-f]{64})")


def locked(path):
    """`[(name, version, sha256)]` of a requirements.txt."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if not match:
                raise BuildError(f"{path}: not a locked requirement: {line!r}; run `make images-lock`")
            found.append(match.groups())
    return found


def stage(progress, parent, requirements):
    """`(stage, wheels)`. An image without requirements.txt has none: the parent is the stage."""
    if not requirements.exists():
        return parent, []
    wheels = locked(requirements)
    key = stages.key_of(parent.key, wheels, stages.source_of(enter, fonts, python, strip, tree), Path(__file__))

    def make(root):
        files = fetch(progress, wheels)
        _install(progress, root, requirements, files)
        strip.wheels(root, PACKAGES)
        progress.step("writing matplotlib's list of fonts")
        fonts.seed(progress, root, PACKAGES)
        # Last: compiled files are not checked against their sources.
        progress.step("compiling Python packages")
        python.compile_tree(root, PACKAGES)

    return stages.ensure(progress, "wheels", key, parent, make), wheels


def fetch(progress, wheels, options=()):
    """The wheel files, from the cache or from the index that pip is configured with. `options`: of pip, for another platform."""
    store = place.work("wheels")
    for number, (name, version, sha256) in enumerate(wheels, 1):
        if any((store / sha256).glob("*.whl")):
            continue
        progress.step(f"downloading {number}/{len(wheels)} {name} {version}")
        with tempfile.TemporaryDirectory(dir=place.work("tmp")) as folder:
            request = Path(folder, "request.txt")
            request.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
            output([*PIP, "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir", *options, "-d",
                    f"{folder}/got", "-r", request], env=place.environment(), what=f"downloading the Python package {name} {version}")
            (wheel,) = Path(folder, "got").iterdir()
            _check(wheel, sha256)
            shutil.move(Path(folder, "got"), store / sha256)
    return [next((store / sha256).glob("*.whl")) for _, _, sha256 in wheels]


def _check(wheel, sha256):
    with open(wheel, "rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256:
        raise BuildError(f"{wheel.name}: sha256 is {found}, and requirements.txt says {sha256}")


def _install(progress, root, requirements, files):
    """Unpacks the wheels where Debian's pip would have put them for the administrator of the image.

    Installing runs no code of a wheel, and the programs come to name /usr/bin/python3. pip checks the hashes once more.
    """
    progress.step(f"installing {len(files)} Python packages")
    with tempfile.TemporaryDirectory(dir=place.work("tmp")) as shelf:
        # Found by name and not given as files, or pip would note the path of this cache in the image.
        for file in files:
            Path(shelf, file.name).symlink_to(file)
        output([*PIP, "install", "--root", root, "--no-index", "--find-links", shelf, "--require-hashes", "--no-deps", "--ignore-installed",
                "--no-compile", "--no-cache-dir", "--break-system-packages", "--no-warn-script-location", "--root-user-action=ignore",
                "-r", requirements],
               env=place.environment(), what="installing the Python packages")
