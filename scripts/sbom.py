#!/usr/bin/env python3
"""Writes what is in a release, as CycloneDX: one document for the programs, one for each sandbox image.

  scripts/sbom.py [FOLDER]        (default: target/sbom)

The programs' parts are those that cargo resolves for them from Cargo.lock, without what only tests and builds need. The images' parts
are those of their lock files: Debian packages, wheels, npm packages. Nothing is fetched, no server is named, and the same commit gives
the same bytes.
"""

import base64
import json
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
# What a release consists of.
PROGRAMS = ("cloister", "cloister-jail", "cloister-wasm")
TARGET = "x86_64-unknown-linux-gnu"
# Identifies the documents of this product; the rest of a serial number comes from the content.
SPACE = uuid.UUID("6f0e6f39-6c1c-5a77-9e4b-0c1a0f3a2f5e")


def component(kind: str, name: str, version: str, purl: str, **more: object) -> dict:
    """A part, as CycloneDX wants it."""
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl, **more}


def sha(algorithm: str, value: str) -> list[dict]:
    """A hash."""
    return [{"alg": algorithm, "content": value}]


def metadata() -> dict:
    """What cargo says of the workspace; from the lock file and what has been fetched already."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={TARGET}"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def crates(told: dict) -> tuple[list[dict], list[dict]]:
    """Every crate that is linked into a program, and which needs which."""
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}
    waiting = [i for i, package in packages.items() if package["name"] in PROGRAMS and package["source"] is None]
    needs: dict[str, list[str]] = {}
    while waiting:
        here = waiting.pop()
        if here not in needs:
            linked = [d["pkg"] for d in nodes[here]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
            needs[here] = linked
            waiting += linked
    purl = {i: f"pkg:cargo/{packages[i]['name']}@{packages[i]['version']}" for i in needs}
    parts = []
    for i in sorted(needs, key=purl.__getitem__):
        package = packages[i]
        more = {}
        if package.get("license"):
            more["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        if checksum := checksums.get((package["name"], package["version"])):
            more["hashes"] = sha("SHA-256", checksum)
        kind = "application" if package["name"] in PROGRAMS else "library"
        parts.append(component(kind, package["name"], package["version"], purl[i], **more))
    edges = [{"ref": purl[i], "dependsOn": sorted({purl[d] for d in needs[i]})} for i in sorted(needs, key=purl.__getitem__)]
    return parts, edges


def image(name: str) -> list[dict]:
    """Every locked part of an image."""
    folder, parts = ROOT / "sandbox-images" / name, []
    debs = tomllib.loads((ROOT / "sandbox-images" / "images.lock").read_text()).get(name, {}).get("debs", {})
    for deb, entry in debs.items():
        purl = f"pkg:deb/debian/{quote(deb)}@{quote(entry['version'])}?arch={entry['arch']}&distro=debian-12"
        parts.append(component("library", deb, entry["version"], purl, hashes=sha("SHA-256", entry["sha256"])))
    for line in lines(folder / "requirements.txt"):
        found = re.fullmatch(r"([^=\s]+)==(\S+) --hash=sha256:([0-9a-f]{64})", line)
        if not found:
            raise SystemExit(f"sbom: {folder.name}/requirements.txt has a line that locks nothing: {line}")
        purl = f"pkg:pypi/{found[1].lower().replace('_', '-')}@{quote(found[2])}"
        parts.append(component("library", found[1], found[2], purl, hashes=sha("SHA-256", found[3])))
    if (lock := folder / "package-lock.json").exists():
        for path, entry in json.loads(lock.read_text())["packages"].items():
            if path:
                package, more = path.rsplit("node_modules/", 1)[1], {}
                # What comes inside of another package has no hash of its own.
                if "integrity" in entry:
                    algorithm, _, digest = entry["integrity"].partition("-")
                    more["hashes"] = sha(algorithm.upper().replace("SHA", "SHA-"), base64.b64decode(digest).hex())
                if "license" in entry:
                    more["licenses"] = [{"expression": entry["license"]}]
                parts.append(component("library", package, entry["version"], f"pkg:npm/{quote(package)}@{entry['version']}", **more))
    if (lock := folder / "toolchain.lock").exists():
        parts += made_of(tomllib.loads(lock.read_text()))
    # A package may lie in several folders of an image.
    return [part for _, part in sorted({part["purl"]: part for part in parts}.items())]


def made_of(lock: dict) -> list[dict]:
    """What an interpreter of our own is compiled from. Tools that only take part in that are not in the image."""
    parts = []
    for release, sources in lock.get("sources", {}).items():
        for name, entry in sources.items():
            version = entry["version"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch=source&distro=debian-{release}"
            origin = next(digest for file, digest in entry["files"].items() if ".orig." in file and not file.endswith(".asc"))
            parts.append(component("library", name, version, purl, hashes=sha("SHA-256", origin)))
    for name, entry in lock.get("crates", {}).items():
        purl = f"pkg:cargo/{name}@{entry['version']}"
        parts.append(component("library", name, entry["version"], purl, hashes=sha("SHA-256", entry["sha256"])))
    return parts


def lines(path: Path) -> list[str]:
    """Lines of a list that may not be there, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")] if path.exists() else []


def document(name: str, kind: str, version: str, parts: list[dict], edges: list[dict]) -> str:
    """The whole of it. The serial number is a name for the content, so that equal contents are equal documents."""
    about = component(kind, name, version, f"pkg:generic/{name}@{version}")
    body = {"components": parts, **({"dependencies": edges} if edges else {})}
    serial = uuid.uuid5(SPACE, json.dumps([about, body], sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps({**head, "metadata": {"component": about}, **body}, indent=1, ensure_ascii=False) + "\n"


def every() -> dict[str, str]:
    """Every document by its file's name."""
    told = metadata()
    version = next(p["version"] for p in told["packages"] if p["name"] == "cloister" and p["source"] is None)
    parts, edges = crates(told)
    documents = {"cloister.cdx.json": document("cloister-release", "application", version, parts, edges)}
    for description in sorted((ROOT / "sandbox-images").glob("*/image.toml")):
        name = description.parent.name
        documents[f"image-{name}.cdx.json"] = document(f"cloister-image-{name}", "container", version, image(name), [])
    return documents


def main() -> None:
    """Writes them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in every().items():
        (folder / name).write_text(text)
        print(f"{folder / name}: {len(json.loads(text)['components'])} parts")


if __name__ == "__main__":
    main()
