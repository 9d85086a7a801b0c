#!/usr/bin/python3
"""Chooses the versions of everything that a list of requirements needs, and writes them down with their hashes.

    lock.py requirements.in requirements.txt

The lock is for the Python that runs this (Debian 12: CPython 3.11 on x86-64) and names no index: where packages come from is
the machine's own configuration, and the hashes make every source equal.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import venv


def resolve(wanted: pathlib.Path) -> list[tuple[str, str, str]]:
    """Name, version and hash of everything that would be installed into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        report = pathlib.Path(folder, "report.json")
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--dry-run", "--only-binary", ":all:"]
        subprocess.run([*pip, "--report", report, "--requirement", wanted], check=True)
        installs = json.loads(report.read_text())["install"]
    found = []
    for item in installs:
        name = item["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        found.append((name, item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"]))
    return sorted(found)


def main() -> None:
    wanted, lock = map(pathlib.Path, sys.argv[1:3])
    lines = [f"# Written by lock.py from {wanted.name}; do not edit."]
    lines += [f"{name}=={version} --hash=sha256:{digest}" for name, version, digest in resolve(wanted)]
    lock.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
