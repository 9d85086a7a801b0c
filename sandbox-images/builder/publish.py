"""Published images: complete or not there.

    tmp/… ─▶ images/<name>/.new-… ─rename─▶ images/<name>/<12 hex>     current ─▶ <12 hex>   (replaced atomically)

A server may be running sandboxes from the image that was current until now; nobody can know. So the previous one stays.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from . import place, stages


def folder_of(name, key):
    return place.images() / name / key[:12]


@contextlib.contextmanager
def new_folder(name):
    """Where an image is put together, on the file system where it will lie. Gone at the end, unless `finish` has named it."""
    parent = place.images() / name
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish(new, name, key, toml, manifest):
    """Completes the folder and gives it its name."""
    (new / "image.toml").write_text(f'# Written by the build; the source is sandbox-images/{name}/image.toml.\n'
                                    f'digest = "{manifest["digest"]}"\n{toml}', encoding="utf-8")
    (new / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    new.rename(folder_of(name, key))


def make_current(name, key):
    """Points `current` at the image and prunes. Returns whether it pointed elsewhere."""
    link = place.images() / name / "current"
    before = os.readlink(link) if link.is_symlink() else None
    if before == key[:12]:
        return False
    swap = link.with_name(f".new-current-{os.getpid()}")
    swap.unlink(missing_ok=True)
    swap.symlink_to(key[:12])
    swap.replace(link)
    _prune(name, {key[:12], before})
    return True


def _prune(name, keep):
    for folder in (place.images() / name).iterdir():
        if folder.is_dir() and not folder.is_symlink() and folder.name not in keep:
            shutil.rmtree(folder)
    used = set()
    for manifest in place.images().glob("*/*/manifest.json"):
        used.update(json.loads(manifest.read_text(encoding="utf-8"))["stages"])
    stages.prune(used)


def built():
    """The current images: name, path, digest, size, number of files."""
    found = []
    for link in sorted(place.images().glob("*/current")):
        manifest = json.loads((link / "manifest.json").read_text(encoding="utf-8"))
        found.append({"name": link.parent.name, "path": str(link.resolve()), "digest": manifest["digest"],
                      "size": manifest["size"], "files": manifest["files"]})
    return found
