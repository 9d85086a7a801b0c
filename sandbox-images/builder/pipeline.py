"""One image from its description to `current`."""

import tomllib
from pathlib import Path

from . import check as checks
from . import debs, drivers, lockfile, npm, publish, stages, substitute, tree, wasm, wheels
from .run import BuildError, Progress


def build(here, name, *, locked_only, check):
    """Makes the image `name` of the folder `here` current. Cheap when nothing has changed."""
    progress = Progress(name)
    source = here / name
    toml = _description(source, name)
    if wasm.is_wasm(toml):
        _finish(progress, name, wasm.build(progress, here, name, toml, locked_only=locked_only))
        return
    locked = lockfile.read(here / "images.lock").get(name)
    if not locked:
        raise BuildError(f"images.lock has no packages for the image {name}; run `make images-lock`")

    base, used = debs.stage(progress, locked, source / "packages.txt", locked_only=locked_only)
    python, wheels_used = wheels.stage(progress, base, source / "requirements.txt")
    programs, npm_used = npm.stage(progress, python, source)
    # A browser is driven over its own pipe and needs no driver of ours.
    driven = has_runners(source)
    modules = drivers.dependencies(progress, here / "drivers") if driven else {}
    files = drivers.sources(here / "drivers") if driven else {}
    key = stages.key_of(programs.key, {driver: stage.key for driver, stage in modules.items()}, files, toml,
                        stages.source_of(drivers, publish), Path(__file__))

    if not publish.folder_of(name, key).exists():
        with publish.new_folder(name) as new:
            whole = _assemble(new / "root", programs, here / "drivers", files, modules)
            require_programs(new / "root", tomllib.loads(toml))
            if check:
                checks.check(progress, new / "root", tomllib.loads(toml))
            publish.finish(new, name, key, toml, {
                "format": 1, "name": name, "digest": whole.digest(), "size": whole.size, "files": whole.files,
                # `tree.listing` has refused everything else.
                "setuid": 0, "file_capabilities": 0, "devices": 0,
                "stages": sorted({stage.folder.name for stage in (base, python, programs, *modules.values())}),
                "inputs": {
                    "debs": [vars(deb) for deb in used],
                    "wheels": [dict(zip(("name", "version", "sha256"), wheel)) for wheel in wheels_used],
                    "npm": [dict(zip(("name", "version", "integrity"), package)) for package in npm_used],
                    "drivers": files,
                },
                "substituted": substitute.changes(locked, used),
            })
    elif check:
        checks.check(progress, publish.folder_of(name, key) / "root", tomllib.loads(toml))

    _finish(progress, name, key)


def _finish(progress, name, key):
    changed = publish.make_current(name, key)
    image = next(image for image in publish.built() if image["name"] == name)
    progress.say(f"{'ready' if changed else 'up to date'}: {image['size'] / 1e6:.0f} MB in {image['files']} files, "
                 f"sha256 {image['digest'][:12]}, {progress.seconds():.1f} s, {image['path']}")


def _assemble(root, programs, folder, files, modules):
    """The last stage, in place; the listing of the whole image."""
    tree.copy(programs.root, root)
    own = drivers.install(root, folder, files, modules)
    return programs.listing().merged(own)


def _description(source, name):
    try:
        toml = (source / "image.toml").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BuildError(f"there is no image {name}: {source / 'image.toml'} is missing") from None
    if tomllib.loads(toml).get("name") != name:
        raise BuildError(f"{source / 'image.toml'} must say name = \"{name}\", like its folder")
    return toml


def has_runners(source):
    """Whether the image described in the folder `source` runs code, and not only a browser."""
    return bool(tomllib.loads((source / "image.toml").read_text(encoding="utf-8")).get("runners"))


def require_programs(root, description):
    """Every program and driver that image.toml names must be in the image, or sessions would fail to start."""
    commands = [(section, description[section]["argv"]) for section in ("shell", "browser") if section in description]
    if not commands:
        raise BuildError("image.toml: there is neither a [shell] nor a [browser], so nothing could be started")
    for runner, what in description.get("runners", {}).items():
        commands += [(f"runners.{runner}.{field}", what[field]) for field in ("argv", "zygote") if field in what]
    for where, argv in commands:
        for word in argv:
            if word.startswith("/") and not _inside(root, word).exists():
                raise BuildError(f"image.toml: {where} names {word}, which is not in the image")


def _inside(root, path):
    """`path` of the image as the host sees it, with absolute links resolved inside the image."""
    for _ in range(8):
        found = root / path.lstrip("/")
        if not found.is_symlink():
            return found
        path = str(Path(path).parent / found.readlink())
    return found
