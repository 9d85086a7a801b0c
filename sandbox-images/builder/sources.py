"""Debian's own entries among the host's apt sources.

Only the mirror is taken from the host. Suites, component and signing key are ours, so that another party's repository can
neither add a package to an image nor replace one.
"""

from pathlib import Path

from .run import BuildError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")


def debian_entries(etc=Path("/etc/apt")):
    """`[(uri, suite)]`, in the order of SUITES."""
    found = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.is_file() and path.suffix in (".list", ".sources"):
            text = path.read_text(encoding="utf-8", errors="replace")
            found += _deb822(text) if path.suffix == ".sources" else _one_line(text)
    entries = {(uri, suite): None for uri, suite in found}
    if not any(suite == "bookworm" for _, suite in entries):
        raise BuildError("no Debian bookworm entry with component main in /etc/apt/sources.list or /etc/apt/sources.list.d; "
                         "add Debian's mirror there and run `apt-get update`")
    if not KEYRING.exists():
        raise BuildError(f"{KEYRING} is missing; install the package debian-archive-keyring")
    return sorted(entries, key=lambda entry: SUITES.index(entry[1]))


def entries_of(release):
    """The same mirrors for another release of Debian, which the host need not know: `[(uri, suite)]`."""
    return [(uri, suite.replace("bookworm", release)) for uri, suite in debian_entries()]


def _one_line(text):
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] != "deb":
            continue
        options = []
        if len(words) > 1 and words[1].startswith("["):
            end = next((i for i, word in enumerate(words) if word.endswith("]")), len(words))
            options, words = words[1:end + 1], [words[0], *words[end + 1:]]
        if len(words) >= 4 and _ours(words[2], words[3:], " ".join(options)):
            yield words[1], words[2]


def _deb822(text):
    for stanza in text.split("\n\n"):
        fields, last = {}, None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and last:
                fields[last] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                last = name.strip().lower()
                fields[last] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for suite in fields.get("suites", "").split():
            if _ours(suite, fields.get("components", "").split(), fields.get("signed-by", "")):
                yield from ((uri, suite) for uri in fields.get("uris", "").split())


def _ours(suite, components, signed_by):
    """Another party may call its suite `bookworm` as well: then it brings a key of its own."""
    foreign_key = "signed-by" in signed_by.lower() or signed_by.strip().startswith(("/", "-----"))
    return suite in SUITES and "main" in components and (not foreign_key or "debian-archive" in signed_by)
