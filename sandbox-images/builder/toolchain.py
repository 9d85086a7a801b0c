"""What an interpreter for WebAssembly is made with and of: Debian packages of two releases, a source package, crates.

    toolchain.txt (wishes) ─▶ toolchain.lock (versions, sha256) ─▶ apt-get, cargo vendor ─▶ checked files below build/

Everything is unpacked into stages of the builder and nothing is installed. A locked Debian package that has gone from the mirror is
replaced as substitute.py describes.
"""

import dataclasses
import hashlib
import json
import shutil
import tempfile
import tomllib
from pathlib import Path

from . import apt, place, stages
from .lockfile import Deb
from .run import BuildError, output

RELEASES = ("bookworm", "trixie")
_HEADER = "# What the interpreter is made with and of: written by `make images-lock` from toolchain.txt, not by hand.\n"


@dataclasses.dataclass(frozen=True)
class Source:
    """A Debian source package: the hashes of its files."""

    name: str
    version: str
    files: dict


@dataclasses.dataclass(frozen=True)
class Crate:
    """A crate: only the C sources in it are used."""

    name: str
    version: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """`debs`: `{release: [Deb, …]}`; `sources`: `{release: [Source, …]}`."""

    debs: dict
    sources: dict
    crates: list

    def plain(self):
        """As JSON, for keys and manifests."""
        return {"debs": [{"release": release, **vars(deb)} for release, debs in sorted(self.debs.items()) for deb in debs],
                "sources": [{"release": release, **vars(source)} for release, found in sorted(self.sources.items()) for source in found],
                "crates": [vars(crate) for crate in self.crates]}


def wishes(path):
    """toolchain.txt: `[(kind, release or None, name)]`."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if words and words[0] == "crate" and len(words) == 2:
            found.append(("crate", None, words[1]))
        elif words and words[0] in ("deb", "src") and len(words) == 3 and words[1] in RELEASES:
            found.append(tuple(words))
        elif words:
            raise BuildError(f"{path}:{number}: write `deb RELEASE NAME`, `src RELEASE NAME` or `crate NAME`")
    return found


def read(path):
    """The lock."""
    if not path.exists():
        raise BuildError(f"{path} is missing; run `make images-lock`")
    with open(path, "rb") as file:
        table = tomllib.load(file)
    return Toolchain(
        {release: sorted(Deb(name=name, **fields) for name, fields in debs.items()) for release, debs in table["debs"].items()},
        {release: [Source(name, **fields) for name, fields in sorted(found.items())] for release, found in table["sources"].items()},
        [Crate(name, **fields) for name, fields in sorted(table["crates"].items())])


def lock(wanted, path):
    """Chooses today's versions of `wanted` and writes the lock."""
    mirror = _mirror()
    lines = [_HEADER]
    for release in RELEASES:
        lines.append(f"[debs.{release}]")
        for deb in _newest(mirror, release, [name for kind, where, name in wanted if (kind, where) == ("deb", release)]):
            lines.append(f'"{deb.name}" = {{ version = "{deb.version}", arch = "{deb.arch}", size = {deb.size}, sha256 = "{deb.sha256}" }}')
        lines.append("")
    for kind, release, name in wanted:
        if kind == "src":
            source = _newest_source(mirror, release, name)
            lines += [f'[sources.{release}."{name}"]', f'version = "{source.version}"', "[" + f'sources.{release}."{name}".files]']
            lines += [f'"{file}" = "{sha256}"' for file, sha256 in sorted(source.files.items())] + [""]
    lines.append("[crates]")
    for crate in _newest_crates([name for kind, _, name in wanted if kind == "crate"]):
        lines.append(f'{crate.name} = {{ version = "{crate.version}", sha256 = "{crate.sha256}" }}')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def fetch(progress, locked, *, locked_only):
    """Fetches what is missing. Returns what is used: the lock, with today's versions in place of what has gone."""
    used = locked if locked_only else _remembered(locked)
    if not _complete(used):
        mirror = _mirror()
        used = _available(mirror, used, locked_only)
        for debs in used.debs.values():
            for number, deb in enumerate(debs, 1):
                if not kept(deb.sha256).exists():
                    progress.step(f"downloading {number}/{len(debs)} {deb.name} ({deb.size / 1e6:.1f} MB)")
                    with _scratch() as folder:
                        _keep(mirror.download(deb, folder), deb.sha256)
        for found in used.sources.values():
            for source in found:
                progress.step(f"downloading the source of {source.name}")
                with _scratch() as folder:
                    mirror.download_source(source.name, source.version, folder)
                    for file, sha256 in source.files.items():
                        _keep(folder / file, sha256)
    missing = [crate for crate in used.crates if not crate_folder(crate).exists()]
    if missing:
        progress.step(f"downloading the sources of {', '.join(crate.name for crate in missing)}")
        _vendor(used.crates)
    return used


def kept(sha256):
    """Where a fetched file lies."""
    return place.work("tools") / sha256


def crate_folder(crate):
    """Where the files of a crate lie."""
    return place.work("crates") / f"{crate.name}-{crate.sha256[:16]}"


def _mirror():
    mirror = apt.Apt(releases=RELEASES)
    mirror.update()
    return mirror


def _newest(mirror, release, names):
    specs = []
    for name in names:
        version = mirror.newest(name, release, "Packages")
        if version is None:
            raise BuildError(f"Debian {release} has no package {name}")
        specs.append(f"{name}={version}")
    return mirror.describe(specs) if specs else []


def _newest_source(mirror, release, name):
    version = mirror.newest(name, release, "Sources")
    if version is None:
        raise BuildError(f"Debian {release} has no source package {name}")
    return Source(name, version, mirror.source_files(name, version))


def _complete(used):
    return (all(kept(deb.sha256).exists() for debs in used.debs.values() for deb in debs)
            and all(kept(sha256).exists() for found in used.sources.values() for source in found for sha256 in source.files.values()))


def _available(mirror, used, locked_only):
    """`used`, with today's versions of what the mirror no longer has."""
    gone, debs, sources = [], {}, {}
    for release, wanted in used.debs.items():
        have = mirror.versions([deb.name for deb in wanted])
        lost = [deb for deb in wanted if not kept(deb.sha256).exists() and deb.version not in have[deb.name]]
        gone += lost
        debs[release] = sorted([deb for deb in wanted if deb not in lost] + _newest(mirror, release, [deb.name for deb in lost]))
    for release, wanted in used.sources.items():
        sources[release] = []
        for source in wanted:
            there = _here(source) or source.version in mirror.versions([source.name])[source.name]
            sources[release].append(source if there else _newest_source(mirror, release, source.name))
            gone += [] if there else [source]
    if gone and locked_only:
        raise BuildError(f"Debian's mirror no longer has {', '.join(f'{item.name}={item.version}' for item in gone)}; "
                         "run `make images-lock` and review the change")
    found = Toolchain(debs, sources, used.crates)
    if gone:
        _memo(used).write_text(json.dumps(found.plain()), encoding="utf-8")
    return found


def _here(source):
    return all(kept(sha256).exists() for sha256 in source.files.values())


def _remembered(locked):
    memo = _memo(locked)
    if _complete(locked) or not memo.exists():
        return locked
    plain = json.loads(memo.read_text(encoding="utf-8"))
    debs, sources = {}, {}
    for deb in plain["debs"]:
        debs.setdefault(deb.pop("release"), []).append(Deb(**deb))
    for source in plain["sources"]:
        sources.setdefault(source.pop("release"), []).append(Source(**source))
    return Toolchain(debs, sources, locked.crates)


def _memo(locked):
    return place.work("chosen") / f"{stages.key_of(locked.plain())[:16]}.json"


def _keep(file, sha256):
    with open(file, "rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256:
        raise BuildError(f"{Path(file).name}: sha256 is {found}, and the lock says {sha256}; nothing was unpacked")
    shutil.move(file, kept(sha256))


def _scratch():
    return _Scratch(dir=place.work("tmp"))


class _Scratch(tempfile.TemporaryDirectory):
    def __enter__(self):
        return Path(super().__enter__())


def _newest_crates(names):
    with _scratch() as folder:
        _manifest(folder, {name: "*" for name in names})
        _cargo(["generate-lockfile"], folder)
        with open(folder / "Cargo.lock", "rb") as file:
            packages = tomllib.load(file)["package"]
    return [Crate(package["name"], package["version"], package["checksum"]) for package in packages if package["name"] in names]


def _vendor(crates):
    with _scratch() as folder:
        _manifest(folder, {crate.name: f"={crate.version}" for crate in crates})
        _cargo(["vendor", "-q", "vendor"], folder)
        for crate in crates:
            found = json.loads((folder / "vendor" / crate.name / ".cargo-checksum.json").read_text(encoding="utf-8"))["package"]
            if found != crate.sha256:
                raise BuildError(f"crate {crate.name} {crate.version}: sha256 is {found}, and the lock says {crate.sha256}")
            if not crate_folder(crate).exists():
                (folder / "vendor" / crate.name).rename(crate_folder(crate))


def _manifest(folder, versions):
    lines = ["[package]", 'name = "c-sources"', 'version = "0.0.0"', 'edition = "2021"', "[workspace]", "[dependencies]"]
    lines += [f'{name} = "{version}"' for name, version in sorted(versions.items())]
    (folder / "Cargo.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "src").mkdir()
    (folder / "src/lib.rs").write_text("", encoding="utf-8")


def _cargo(arguments, folder):
    cargo = shutil.which("cargo") or Path.home() / ".cargo/bin/cargo"
    # The toolchain that the workspace names, wherever this scratch folder lies.
    version = tomllib.loads((Path(__file__).parents[2] / "rust-toolchain.toml").read_text(encoding="utf-8"))["toolchain"]["channel"]
    output([cargo, *arguments], cwd=folder, env=place.environment(RUSTUP_TOOLCHAIN=version), what=f"cargo {arguments[0]} (C sources in crates)")
