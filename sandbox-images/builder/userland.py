"""What Debian's maintainer scripts would have done, by hand: users, names, certificates, alternatives, mount points."""

import hashlib
import os
import shutil
from pathlib import Path

from . import tree
from .run import BuildError, output

AGENT = 65532  # the only user that runs anything in a sandbox
HOME = "/home/agent"


def extra_authority():
    """A certificate authority that this site adds to Debian's (CLOISTER_EXTRA_CA names a PEM file), or None.

    For networks whose proxy opens TLS: without it `pip install` in a session could not verify any server.
    """
    path = os.environ.get("CLOISTER_EXTRA_CA")
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"CLOISTER_EXTRA_CA: {path}: {error.strerror}") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise BuildError(f"CLOISTER_EXTRA_CA: {path} holds no certificate in PEM form")
    return text


def write(root, authority):
    """All of it. `root` holds the unpacked packages."""
    _identity(root)
    _names(root)
    _certificates(root, authority)
    _alternatives(root)
    _mount_points(root)
    _linker_cache(root)


def _identity(root):
    tree.write(root, "etc/passwd",
               "root:x:0:0:root:/root:/bin/bash\n"
               f"agent:x:{AGENT}:{AGENT}:agent:{HOME}:/bin/bash\n"
               "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
    tree.write(root, "etc/group", f"root:x:0:\nagent:x:{AGENT}:\nnogroup:x:65534:\n")
    # No account has a password; the file exists for programs that look.
    tree.write(root, "etc/shadow", "root:*:20089::::::\nagent:*:20089::::::\nnobody:*:20089::::::\n")
    tree.write(root, "etc/shells", "/bin/sh\n/bin/bash\n/bin/dash\n")


def _names(root):
    tree.write(root, "etc/hostname", "sandbox\n")
    # Every sandbox has its own host name; `myhostname`-like lookups must not need DNS.
    tree.write(root, "etc/hosts", "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost\n")
    # Empty: no name server. Where a policy gives network, names are resolved by the proxy outside.
    tree.write(root, "etc/resolv.conf", "")
    tree.write(root, "etc/nsswitch.conf",
               "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n")
    # A file to bind a session's own over; the placeholder is valid and is nobody's.
    tree.write(root, "etc/machine-id", hashlib.md5(b"cloister image", usedforsecurity=False).hexdigest() + "\n")
    tree.write(root, "etc/timezone", "Etc/UTC\n")
    tree.link(root, "etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
    tree.write(root, "etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
    tree.write(root, "etc/environment", "")
    # Git asks this before it works in a folder that another id owns: writeFiles and the guest may differ in id.
    tree.write(root, "etc/gitconfig", "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n")


def _certificates(root, authority):
    source = root / "usr/share/ca-certificates"
    found = sorted(source.rglob("*.crt"))
    if not found:
        raise BuildError("the package ca-certificates brought no certificate; is it in packages.txt?")
    bundle = "".join(path.read_text(encoding="utf-8").rstrip("\n") + "\n" for path in found)
    if authority:
        bundle += authority.rstrip("\n") + "\n"
    tree.write(root, "etc/ssl/certs/ca-certificates.crt", bundle)
    # Where OpenSSL (and so Python) looks by itself; Debian fills a folder of hashed links instead, 280 of them.
    tree.link(root, "usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
    tree.write(root, "etc/ca-certificates.conf", "")


def _alternatives(root):
    """update-alternatives would have chosen these. There is no editor in any image, and no shell in an image without bash."""
    if not (root / "usr/bin/bash").exists():
        return
    for name, to in {
        "usr/bin/awk": "gawk", "usr/bin/nawk": "gawk", "usr/bin/which": "which.debianutils", "usr/bin/pager": "less",
        "usr/bin/lzma": "xz", "usr/bin/unlzma": "unxz", "usr/bin/lzcat": "xzcat",
        "usr/bin/sh": "dash", "usr/bin/python": "python3",
    }.items():
        if (root / name).parent.joinpath(to).is_symlink() or (root / name).parent.joinpath(to).exists():
            tree.link(root, name, to)
        else:
            raise BuildError(f"/{name} should lead to {to}, which no package of the image brings")


def _mount_points(root):
    """The root is read-only, so whatever is mounted over must exist."""
    for path in ("proc", "sys", "dev", "run", "tmp", "workspace", "home/agent", "root", "opt/cloister", "srv", "mnt", "media"):
        tree.make_dir(root, path)
    for path, to in {"var/tmp": "/tmp", "var/run": "/run", "var/lock": "/run/lock", "etc/mtab": "/proc/self/mounts"}.items():
        # Packages bring some of these as folders of their own.
        if (root / path).is_dir() and not (root / path).is_symlink():
            shutil.rmtree(root / path)
        tree.link(root, path, to)
    # Where clients of the AWS service find the session's files.
    tree.link(root, "opt/amazon/genesis1p-tools/var", "/workspace")


def _linker_cache(root):
    # The host's ldconfig reads the image's libraries as data; it is of the same Debian. Without a cache each start of a program
    # searches the folders by trial.
    output(["/usr/sbin/ldconfig", "-r", root], what="ldconfig")
    (root / "var/cache/ldconfig/aux-cache").unlink(missing_ok=True)
