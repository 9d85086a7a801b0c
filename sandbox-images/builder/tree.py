"""Files of an image: written without following links out of it, brought to one normal form, listed, hashed and checked."""

import dataclasses
import hashlib
import os
import stat
import subprocess

from .run import BuildError

# One time for every file, so that equal inputs give equal trees. 2025-01-01; zip files cannot hold anything before 1980.
MTIME = 1735689600


def write(root, path, text, *, executable=False):
    """Creates a file of the image. An existing one is unlinked first: it may be shared with another stage, or be a link."""
    data = text.encode() if isinstance(text, str) else text
    target = _place(root, path)
    target.write_bytes(data)
    target.chmod(0o755 if executable else 0o644)


def link(root, path, to):
    """Creates a symbolic link of the image."""
    _place(root, path).symlink_to(to)


def make_dir(root, path):
    """Creates a directory of the image, with those above it."""
    (root / path).mkdir(parents=True, exist_ok=True)


def copy(source, target):
    """Copies a tree with hard links: no bytes are read, and the copy can be changed by unlinking."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["cp", "-al", source, target], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"cannot hard-link {source} to {target} (both must lie on one file system): {done.stderr.strip()}")


def _place(root, path):
    """Where to create `path`, if nothing on the way leads out of the image (an absolute link would lead into the host)."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise BuildError(f"{path} leads out of the image through a symbolic link")
    target.unlink(missing_ok=True)
    return target


def walk(top):
    """`(path, lstat)` of everything below `top` and of `top`, directories after what is in them."""
    with os.scandir(top) as entries:
        children = sorted(entries, key=lambda entry: entry.name)
    for entry in children:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)
        else:
            yield entry.path, entry.stat(follow_symlinks=False)
    yield os.fspath(top), os.lstat(top)


def normalise(top):
    """Directories 0755, programs 0755, other files 0644, one modification time.

    Sandboxes run under ids of their own, so everything is readable by everybody. Setuid and setgid bits go: no program of an
    image may give its user more than the user has.
    """
    for path, info in walk(top):
        if not stat.S_ISLNK(info.st_mode):
            runs = stat.S_ISDIR(info.st_mode) or info.st_mode & 0o111
            mode = 0o755 if runs else 0o644
            if stat.S_IMODE(info.st_mode) != mode:
                os.chmod(path, mode)
        if info.st_mtime_ns != MTIME * 10**9:
            os.utime(path, (MTIME, MTIME), follow_symlinks=False)


@dataclasses.dataclass
class Listing:
    """What a tree consists of: `lines` for the digest, and the sums that people ask for."""

    lines: list
    size: int
    files: int

    def merged(self, other):
        """Both trees as one; a directory that is in both is listed once."""
        return Listing(sorted({*self.lines, *other.lines}), self.size + other.size, self.files + other.files)

    def digest(self):
        """sha256 over `<type> <mode> <sha256 of the content, or the target> <path>` of everything, in order."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


def listing(root, top=None):
    """Lists `top` (default: all) of an image and refuses what no image may contain."""
    lines, size, files = [], 0, 0
    for path, info in walk(top or root):
        name = "/" + os.path.relpath(path, root)
        _check(path, name, info)
        kind, what = "d", "-"
        if stat.S_ISLNK(info.st_mode):
            kind, what = "l", os.readlink(path)
        elif stat.S_ISREG(info.st_mode):
            with open(path, "rb") as file:
                kind, what = "f", hashlib.file_digest(file, "sha256").hexdigest()
            size, files = size + info.st_size, files + 1
        lines.append(f"{kind} {stat.S_IMODE(info.st_mode):04o} {what} {os.fsencode(name)!r}")
    return Listing(sorted(lines), size, files)


def _check(path, name, info):
    mode = info.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise BuildError(f"{name} is a device, a pipe or a socket; an image has none of these")
    if stat.S_ISLNK(mode):
        return
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise BuildError(f"{name} is setuid or setgid; an image has no such file")
    if not mode & 0o004 or (stat.S_ISDIR(mode) and not mode & 0o001):
        raise BuildError(f"{name} is not readable by everybody (mode {stat.S_IMODE(mode):04o})")
    if "security.capability" in os.listxattr(path, follow_symlinks=False):
        raise BuildError(f"{name} carries file capabilities; an image has no such file")
