"""Where the tests of the register are: built once, each run by a command of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from register import ROOT, Wrong


@dataclass(frozen=True)
class Program:
    """A test program that cargo has built."""

    path: Path
    folder: Path
    tests: frozenset[str]

    def command(self, test: str) -> list[str]:
        """Runs one test. A test needs a process of its own, so that what it says can be told from what others say."""
        return [str(self.path), "--exact", test]


def cargo() -> list[dict]:
    """Builds all tests, and the programs that they start. What cargo says of each is returned. All, since some would have features of
    their libraries of their own, and be built anew for minutes where `make test` has built everything."""
    # The kernel, browser and service tests start what is built beside them.
    subprocess.run(["cargo", "build", "--locked", "--workspace", "--quiet"], cwd=ROOT, check=True)
    command = ["cargo", "test", "--locked", "--workspace", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]


def build(tests: list[str]) -> dict[str, tuple[Program, str]]:
    """The program of each test, and the test's name in it."""
    found: dict[str, list[Program]] = {}
    for message in cargo():
        if message.get("reason") != "compiler-artifact" or not message.get("executable") or not message["profile"]["test"]:
            continue
        folder = Path(message["manifest_path"]).parent
        name = message["target"]["name"] if folder.name == "tests" else folder.name
        path = Path(message["executable"])
        found.setdefault(name, []).append(Program(path, folder, listed(path, folder)))
    placed = {}
    for test in tests:
        first, rest = test.split("::", 1)
        programs = [program for program in found.get(first, []) if rest in program.tests]
        if not programs:
            raise Wrong(f"no program has the test {test}")
        placed[test] = (programs[0], rest)
    return placed


def listed(path: Path, folder: Path) -> frozenset[str]:
    """Names of the tests of a program."""
    shown = subprocess.run([str(path), "--list", "--format", "terse"], cwd=folder, check=True, capture_output=True, text=True)
    return frozenset(line.removesuffix(": test") for line in shown.stdout.splitlines() if line.endswith(": test"))


def age(program: Program) -> str:
    """Changes with the program, and with every program that it may start."""
    beside = program.path.parent.parent
    parts = [program.path, *(beside / name for name in ("cloister", "cloister-jail", "cloister-wasm", "libcloister_jail.so"))]
    return " ".join(f"{part.stat().st_mtime_ns:x}" for part in parts if part.exists())


def target() -> Path:
    """Cargo's target folder."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def say(line: str) -> None:
    """A line of progress."""
    print(line, flush=True)
    sys.stdout.flush()
