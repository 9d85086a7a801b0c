"""Stages: folders named by the hash of everything that went into them."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path

from . import place, tree


@dataclasses.dataclass(frozen=True)
class Stage:
    """A finished stage."""

    name: str
    key: str
    folder: Path

    @property
    def root(self):
        return self.folder / "root"

    def listing(self):
        """The tree, checked and hashed. Kept beside it: reading a gigabyte takes seconds."""
        kept = self.folder / "listing.json"
        if kept.exists():
            return tree.Listing(**json.loads(kept.read_text(encoding="utf-8")))
        found = tree.listing(self.root)
        partial = kept.with_suffix(".new")
        partial.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
        partial.rename(kept)
        return found


def key_of(*parts):
    """A hash over JSON-able parts and the contents of files (given as Path)."""
    def plain(part):
        return hashlib.sha256(part.read_bytes()).hexdigest() if isinstance(part, Path) else part
    return hashlib.sha256(json.dumps([plain(part) for part in parts], sort_keys=True).encode()).hexdigest()


def source_of(*modules):
    """The code that makes a stage is one of its inputs."""
    return [hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest() for module in modules]


def find(name, key):
    """The finished stage, or None."""
    folder = place.work("stages") / f"{name}-{key[:16]}"
    return Stage(name, key, folder) if (folder / "root").is_dir() else None


def ensure(progress, name, key, parent, make):
    """The stage `name` with this key: found, or made by `make(root)` on a copy of `parent`'s tree."""
    stage = find(name, key)
    if stage:
        return stage
    started = time.monotonic()
    folder = place.work("stages") / f"{name}-{key[:16]}"
    new = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place.work("tmp")))
    try:
        if parent:
            tree.copy(parent.root, new / "root")
        else:
            (new / "root").mkdir()
        make(new / "root")
        tree.normalise(new / "root")
        new.chmod(0o755)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    progress.say(f"{name}: done in {time.monotonic() - started:.0f} s")
    return Stage(name, key, folder)


def prune(keep):
    """Removes the stages that no published image is made of."""
    for folder in place.work("stages").iterdir():
        if folder.name not in keep:
            shutil.rmtree(folder)
