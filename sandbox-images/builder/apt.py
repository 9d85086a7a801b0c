"""A private apt: the host's Debian mirror and proxy, but a state, a cache and a list of installed packages of its own.

With nothing installed, what a package needs is a question about Debian and not about this host.
"""

import re
import subprocess

from . import place, sources
from .lockfile import Deb
from .run import BuildError, output

_INST = re.compile(r"^Inst (\S+) \((\S+) ")


class Apt:
    """apt-get and apt-cache with a private configuration."""

    def __init__(self, without=(), releases=("bookworm",)):
        """`without`: packages to treat as installed, so that they and what only they need stay out. With more than one of Debian's
        releases, source packages can be fetched too, and only packages with a version.
        """
        home = place.work("apt" if len(releases) == 1 else "apt-" + "-".join(releases))
        for folder in ("etc/empty", "state/lists/partial", "cache/archives/partial"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "status").write_text("".join(_pretend(name) for name in without), encoding="utf-8")
        (home / "sources.list").write_text(
            "".join(f"{kind} [signed-by={sources.KEYRING}] {uri} {suite} main\n" for release in releases
                    for uri, suite in sources.entries_of(release) for kind in (("deb",) if len(releases) == 1 else ("deb", "deb-src"))),
            encoding="utf-8")
        (home / "apt.conf").write_text(_configuration(home), encoding="utf-8")
        self._env = place.environment(APT_CONFIG=str(home / "apt.conf"), DEBIAN_FRONTEND="noninteractive")

    def update(self):
        """Fetches the lists of packages. apt checks their signatures against Debian's key."""
        self._run("apt-get", "-q", "--error-on=any", "update", what="apt-get update (Debian's package lists)")

    def closure(self, names):
        """`names` and everything they need, at the newest versions of the mirror."""
        said = self._run("apt-get", "-s", "-y", "install", *names, what="choosing Debian packages")
        found = dict(match.groups() for match in map(_INST.match, said.splitlines()) if match)
        return self.describe([f"{name}={version}" for name, version in sorted(found.items())])

    def describe(self, specs):
        """The packages `name=version`, with their hashes."""
        debs = []
        for stanza in self._run("apt-cache", "show", *specs, what="looking up Debian packages").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
            if f"{fields.get('Package')}={fields.get('Version')}" in specs:
                debs.append(Deb(name=fields["Package"], version=fields["Version"], arch=fields["Architecture"],
                                size=int(fields["Size"]), sha256=fields["SHA256"]))
        return sorted(set(debs))

    def versions(self, names):
        """`{name: {version, …}}`: what the mirror has."""
        table = {name: set() for name in names}
        for line in self._run("apt-cache", "madison", *names, what="looking up Debian packages").splitlines():
            name, version, _ = (part.strip() for part in line.split("|", 2))
            table.setdefault(name, set()).add(version)
        return table

    def download(self, deb, folder):
        """One package into `folder`. apt checks it against the signed lists; the caller checks it against the lock."""
        self._run("apt-get", "-q", "download", deb.spec, cwd=folder, what=f"downloading the Debian package {deb.spec}")
        files = list(folder.glob("*.deb"))
        if len(files) != 1:
            raise BuildError(f"apt-get download {deb.spec} left {len(files)} files in {folder}; expected one")
        return files[0]

    def newest(self, name, release, kind):
        """The newest version of `name` in a release; `kind` is "Packages" or "Sources"."""
        found = None
        for line in self._run("apt-cache", "madison", name, what="looking up Debian packages").splitlines():
            package, version, where = (part.strip() for part in line.split("|", 2))
            words = where.split()
            if package == name and words[-1] == kind and words[1].split("/")[0].startswith(release):
                if found is None or compare(version, found) > 0:
                    found = version
        return found

    def source_files(self, name, version):
        """`{file: sha256}` of a source package."""
        for stanza in self._run("apt-cache", "showsrc", "--only-source", name, what=f"looking up the source of {name}").split("\n\n"):
            if f"\nVersion: {version}\n" in f"\n{stanza}\n":
                listed = re.search(r"^Checksums-Sha256:\s*\n((?: .+\n?)+)", stanza, re.M)
                return {file: sha256 for sha256, _, file in (line.split() for line in listed[1].splitlines())}
        raise BuildError(f"Debian's mirror has no source package {name} {version}; run `make images-lock`")

    def download_source(self, name, version, folder):
        """The files of one source package into `folder`, checked by apt against the signed lists."""
        self._run("apt-get", "-q", "source", "--download-only", "--only-source", f"{name}={version}", cwd=folder,
                  what=f"downloading the source of {name} {version}")

    def _run(self, *argv, cwd=None, what):
        return output(argv, env=self._env, cwd=cwd, what=what)


def compare(left, right):
    """-1, 0 or 1: how two of Debian's versions compare."""
    for operator, answer in (("lt", -1), ("gt", 1)):
        if subprocess.run(["dpkg", "--compare-versions", left, operator, right], check=False).returncode == 0:
            return answer
    return 0


def _pretend(name):
    return (f"Package: {name}\nStatus: install ok installed\nMaintainer: none\nArchitecture: all\nMulti-Arch: foreign\n"
            "Version: 9999\nDescription: stays out\n\n")


def _configuration(home):
    # How this host reaches the network is the administrator's choice and is kept; hooks and everything else are not.
    lines = output(["apt-config", "dump"], env=place.environment(), what="apt-config").splitlines()
    kept = [line for line in lines if re.match(r"Acquire::(http|https|ftp|Retries|ForceIPv[46]|PDiffs)\b", line)]
    return "\n".join([
        f'Dir "{home}";',
        f'Dir::State "{home}/state";',
        f'Dir::State::status "{home}/status";',
        f'Dir::Cache "{home}/cache";',
        f'Dir::Etc "{home}/etc";',
        f'Dir::Etc::sourcelist "{home}/sources.list";',
        f'Dir::Etc::sourceparts "{home}/etc/empty";',
        f'Dir::Etc::parts "{home}/etc/empty";',
        f'Dir::Etc::preferencesparts "{home}/etc/empty";',
        f'Dir::Etc::trustedparts "{home}/etc/empty";',
        'Dir::Etc::netrc "/etc/apt/auth.conf";',
        'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";',
        'APT::Architecture "amd64";',
        'APT::Architectures { "amd64"; };',
        'APT::Install-Recommends "false";',
        # apt would drop to the user _apt, who cannot write below a home directory.
        'APT::Sandbox::User "root";',
        'Acquire::Languages "none";',
        *kept,
        ""])
