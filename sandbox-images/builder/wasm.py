"""An image for the WebAssembly tier: the interpreter as a module, its library, packages and our driver. No Debian userland.

    tools ─▶ libpython ─▶ module ─▶ site ─▶ driver ─▶ published image
"""

import hashlib
import tomllib
from pathlib import Path

from . import cpython, publish, python, site, stages, toolchain, tree
from .run import BuildError

DRIVER = "lib/driver/_cloister"
# Files of the process tier's driver that need no process: the same cells, values and tracebacks in both tiers.
SHARED = ("asyncloop", "cellcode", "context", "display", "figures", "forks", "forms", "hooks", "interrupt", "magics", "packages", "refusals",
          "report", "reseed", "session", "text", "trusted")


def is_wasm(toml):
    """Whether the image description (text) is one of these."""
    return "wasm" in tomllib.loads(toml)


def build(progress, here, name, toml, *, locked_only):
    """Publishes the image if it is not there yet. Returns its key."""
    source = here / name
    locked = toolchain.read(source / "toolchain.lock")
    unlocked = sorted({wish[2] for wish in toolchain.wishes(source / "toolchain.txt")} - _names(locked))
    if unlocked:
        raise BuildError(f"toolchain.txt names {', '.join(unlocked)}, not in toolchain.lock; run `make images-lock`")
    used = toolchain.fetch(progress, locked, locked_only=locked_only)
    for change in changes(locked, used):
        progress.warn(f"Debian package {change['name']}: {change['locked']} of toolchain.lock is gone from the mirror, using {change['used']}; "
                      "`make images-lock` locks today's versions")
    tools = cpython.tools_stage(progress, used)
    library = cpython.library_stage(progress, tools, used)
    module = cpython.module_stage(progress, tools, library, source)
    interpreter = cpython.Compiler(tools.root).python
    packages, wheels_used = site.stage(progress, module, source / "requirements.txt", interpreter)
    files = driver_files(here)
    key = stages.key_of(packages.key, {target: hashlib.sha256(path.read_bytes()).hexdigest() for target, path in files.items()}, toml,
                        stages.source_of(publish, python, tree), Path(__file__))
    if not publish.folder_of(name, key).exists():
        with publish.new_folder(name) as new:
            tree.copy(packages.root, new / "root")
            for target, path in files.items():
                tree.write(new / "root", target, path.read_bytes())
            python.compile_tree(new / "root", DRIVER, interpreter=interpreter)
            tree.normalise(new / "root")
            require_places(new / "root", tomllib.loads(toml))
            whole = tree.listing(new / "root")
            publish.finish(new, name, key, toml, {
                "format": 1, "name": name, "digest": whole.digest(), "size": whole.size, "files": whole.files,
                "setuid": 0, "file_capabilities": 0, "devices": 0,
                "stages": sorted(stage.folder.name for stage in (tools, library, module, packages)),
                "inputs": {
                    **used.plain(),
                    "wheels": [dict(zip(("name", "version", "sha256"), wheel)) for wheel in wheels_used],
                    "drivers": {target: hashlib.sha256(path.read_bytes()).hexdigest() for target, path in files.items()},
                },
                "substituted": changes(locked, used),
            })
    return key


def driver_files(here):
    """`{path in the image: file}`: our driver's own files, and those that it shares with the process tier's."""
    own = here / "wasm-python/driver/_cloister"
    shared = here / "drivers/python/_cloister"
    found = {f"{DRIVER}/{name}.py": shared / f"{name}.py" for name in SHARED}
    for path in sorted(own.glob("*.py")):
        if f"{DRIVER}/{path.name}" in found:
            raise BuildError(f"{path} has the name of a file that is shared with the process tier's driver")
        found[f"{DRIVER}/{path.name}"] = path
    return found


def changes(locked, used):
    """The differences, as the manifest records them."""
    before, after = _versions(locked), _versions(used)
    return [{"name": name, "locked": before.get(name), "used": after.get(name)}
            for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def require_places(root, description):
    """What image.toml names must be in the image, or sessions would fail to start."""
    for member in ("module", "library", "site", "driver"):
        path = description["wasm"].get(member)
        if not path or not (root / path.lstrip("/")).exists():
            raise BuildError(f"image.toml: wasm.{member} names {path}, which is not in the image")


def _versions(found):
    plain = found.plain()
    return {item["name"]: item["version"] for kind in ("debs", "sources") for item in plain[kind]}


def _names(locked):
    return {item["name"] for items in locked.plain().values() for item in items}
