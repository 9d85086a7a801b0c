"""The last stage: our drivers, in /opt/cloister. Last, so that a change to a driver costs a second.

Every folder of sandbox-images/drivers/ is copied, without tests; one with a package.json gets what its lock names.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

from . import npm, python, stages, tree
from .run import BuildError

PLACE = "opt/cloister"
_LEFT_OUT = {"transcripts", "tests", "__pycache__", "node_modules"}


def sources(drivers):
    """`{path below drivers: sha256}` of every file that goes into an image."""
    found = {}
    for driver in sorted(path for path in drivers.iterdir() if path.is_dir() and path.name not in _LEFT_OUT):
        for folder, below, names in os.walk(driver):
            below[:] = sorted(set(below) - _LEFT_OUT)
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_file() and path.suffix != ".pyc" and not name.startswith("."):
                    found[os.fspath(path.relative_to(drivers))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def dependencies(progress, drivers):
    """`{driver: stage}` for the drivers that have npm packages; cached by their lock."""
    found = {}
    for manifest in sorted(drivers.glob("*/package.json")):
        folder = manifest.parent
        if not json.loads(manifest.read_text(encoding="utf-8")).get("dependencies"):
            continue
        key = stages.key_of(folder / "package.json", folder / "package-lock.json", Path(npm.__file__), Path(__file__))

        def make(root, folder=folder):
            progress.step(f"fetching npm packages of the driver {folder.name}")
            npm.fetch(folder, root)
            (root / "node_modules/.package-lock.json").unlink(missing_ok=True)

        found[folder.name] = stages.ensure(progress, f"driver-{folder.name}", key, None, make)
    return found


def hook_pip(root, drivers):
    """Lets pip explain a missing network: `python -m pip` and the `pip` command both import the package first."""
    hook = (drivers / "notices/pip_hook.py").read_bytes()
    for place in sorted(root.glob("usr/**/dist-packages/pip/__init__.py")):
        # Written anew, not appended to: the stage below shares the file.
        tree.write(root, os.fspath(place.relative_to(root)), place.read_bytes() + b"\n\n" + hook)
        python.compile_tree(root, os.fspath(place.parent.relative_to(root)))
    # Virtual environments get their pip from this wheel.
    for wheel in sorted(root.glob("usr/share/python-wheels/pip-*.whl")):
        tree.write(root, os.fspath(wheel.relative_to(root)), hook_wheel(wheel.read_bytes(), hook))


def hook_git(root, drivers):
    """Lets git repeat what the proxy has refused: a script of its name stands before it in the path."""
    if (root / "usr/bin/git").exists():
        tree.write(root, "usr/local/bin/git", (drivers / "notices/git").read_bytes(), executable=True)


def hook_wheel(wheel, hook):
    """The wheel of pip with the hook in its package, entry by entry in the order and with the times that it has."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "pip/__init__.py":
                content += b"\n\n" + hook
            # The sum of the changed file in RECORD is of no use to installers, who write one of their own.
            target.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED)
    return out.getvalue()


def install(root, drivers, files, modules):
    """Writes the drivers into `root` and lists them."""
    for path, sha256 in files.items():
        content = (drivers / path).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BuildError(f"{drivers / path} changed while the image was built; build again")
        tree.write(root, f"{PLACE}/{path}", content, executable=os.access(drivers / path, os.X_OK))
    hook_pip(root, drivers)
    hook_git(root, drivers)
    for driver, stage in modules.items():
        target = root / PLACE / driver / "node_modules"
        shutil.rmtree(target, ignore_errors=True)
        tree.copy(stage.root / "node_modules", target)
    python.compile_tree(root, PLACE)
    tree.normalise(root / PLACE)
    return tree.listing(root, root / PLACE)
