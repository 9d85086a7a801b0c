"""Pure Python packages of an image for WebAssembly: wheels unpacked into one folder, without what is compiled for this host.

No wheel for WASI exists. Wheels of many packages have a compiled part and a fallback in Python; without the compiled part they run.
"""

import zipfile
from pathlib import Path

from . import python, stages, strip, tree, wheels
from .run import BuildError

PACKAGES = "lib/site"
# As pip would choose for the interpreter, if the platform were this host's.
PIP_OPTIONS = ("--python-version", "3.13", "--implementation", "cp", "--abi", "cp313", "--abi", "abi3", "--abi", "none",
               "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64", "--platform", "any")
_LEFT_OUT = (".so", ".pyd", ".pyx", ".pxd", ".c", ".h", ".a")


def stage(progress, parent, requirements, interpreter):
    """`(stage, wheels)`: the packages of requirements.txt on top of `parent`."""
    locked = wheels.locked(requirements)
    key = stages.key_of(parent.key, locked, stages.source_of(python, strip, tree, wheels), Path(__file__))

    def make(root):
        for wheel in wheels.fetch(progress, locked, PIP_OPTIONS):
            progress.step(f"unpacking {wheel.name}")
            unpack(wheel, root)
        strip.wheels(root, PACKAGES)
        progress.step("compiling Python packages")
        python.compile_tree(root, PACKAGES, interpreter=interpreter)

    return stages.ensure(progress, "site", key, parent, make), locked


def unpack(wheel, root):
    """The files of a wheel that an interpreter imports. Programs, headers and compiled modules stay out."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = entry.filename
            if ".data/" in path:
                _, _, below = path.partition(".data/")
                kind, _, path = below.partition("/")
                if kind not in ("purelib", "platlib"):
                    continue
            parts = path.split("/")
            if path.endswith("/") or path.endswith(_LEFT_OUT) or any(".so." in part for part in parts):
                continue
            if path.startswith("/") or ".." in parts or not parts[0]:
                raise BuildError(f"{wheel.name} has a file {entry.filename!r}, which leads out of its folder")
            tree.write(root, f"{PACKAGES}/{path}", archive.read(entry))
