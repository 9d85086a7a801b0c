"""images.lock: which Debian packages an image consists of. Names, versions and hashes; where to get them is the host's affair."""

import dataclasses
import re
import tomllib

from .run import BuildError

_HEADER = """\
# The Debian packages of every image: written by `make images-lock`, not by hand.
# Wheels are locked in <image>/requirements.txt and npm packages in <image>/package-lock.json.
"""


@dataclasses.dataclass(frozen=True, order=True)
class Deb:
    """One Debian package, as exactly as a lock can name it."""

    name: str
    version: str
    arch: str
    size: int
    sha256: str

    def __post_init__(self):
        # These become arguments and file names.
        if not (re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.name) and re.fullmatch(r"[0-9][A-Za-z0-9.+:~-]*", self.version)
                and re.fullmatch(r"[0-9a-f]{64}", self.sha256) and self.arch in ("amd64", "all")):
            raise BuildError(f"not a locked Debian package: {self}")

    @property
    def spec(self):
        """As apt takes it."""
        return f"{self.name}={self.version}"


def read(path):
    """`{image: [Deb, …]}`."""
    if not path.exists():
        return {}
    with open(path, "rb") as file:
        tables = tomllib.load(file)
    return {image: sorted(Deb(name=name, **fields) for name, fields in table["debs"].items()) for image, table in tables.items()}


def write(path, images):
    """The whole file, one package a line."""
    lines = [_HEADER]
    for image, debs in sorted(images.items()):
        lines.append(f"[{image}.debs]")
        lines += [f'"{d.name}" = {{ version = "{d.version}", arch = "{d.arch}", size = {d.size}, sha256 = "{d.sha256}" }}'
                  for d in sorted(debs)]
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
