"""Runs tests and tells their verdicts: pass, fail, or skipped with the reason that the test gives."""

import json
import os
import re
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import programs
from register import ROOT

# No test of a case takes so long; one that does hangs.
PATIENCE = 900
PASS, FAIL, SKIP = "pass", "fail", "skip"
# The reason of a skip that says nothing about the machine.
NO_TIME = "not begun within the time of this run"


@dataclass(frozen=True)
class Verdict:
    """What became of a test. `why`: the reason of a skip, or what a failed test said."""

    verdict: str
    why: str = ""


class Kept:
    """Verdicts of earlier runs, so that a run that was cut off can be continued."""

    def __init__(self, path: Path, use: bool) -> None:
        self.path = path
        self.known = json.loads(path.read_text()) if use and path.exists() else {}

    def of(self, test: str, age: str) -> Verdict | None:
        """A verdict that was found with the same programs; failures are tried again."""
        entry = self.known.get(test)
        if entry and entry["age"] == age and entry["verdict"] != FAIL:
            return Verdict(entry["verdict"], entry["why"])
        return None

    def put(self, test: str, age: str, verdict: Verdict) -> None:
        """Written at once: the next test may be the one that is cut off."""
        if verdict.why == NO_TIME:
            return
        self.known[test] = {"age": age, **asdict(verdict)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.known))
        beside.replace(self.path)


def one(program: programs.Program, name: str) -> Verdict:
    """One test in a process of its own."""
    command = program.command(name)
    try:
        ran = subprocess.run(command, cwd=program.folder, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Verdict(FAIL, f"no end within {PATIENCE} s")
    if ran.returncode != 0:
        return Verdict(FAIL, (ran.stdout + ran.stderr).strip())
    # `SKIPPED: test: why`, as tests/src/needs.rs writes it.
    skips = [line.split(": ", 2)[-1] for line in ran.stderr.splitlines() if line.startswith("SKIPPED: ")]
    if skips:
        return Verdict(SKIP, "; ".join(dict.fromkeys(skips)))
    return Verdict(PASS) if "1 passed" in ran.stdout else Verdict(FAIL, "the program ran no such test")


def rust(tests: list[str], kept: Kept, jobs: int, until: float) -> dict[str, Verdict]:
    """Tests of Rust programs, several at once."""
    placed = programs.build(tests) if tests else {}
    verdicts: dict[str, Verdict] = {}
    with ThreadPoolExecutor(jobs) as pool:
        running = {}
        for test, (program, name) in placed.items():
            age = programs.age(program)
            if (known := kept.of(test, age)) is not None:
                verdicts[test] = known
            else:
                running[pool.submit(timed, program, name, until)] = (test, age)
        if verdicts:
            programs.say(f"{len(verdicts)} verdicts are taken over from an earlier run of the same programs")
        for done in as_completed(running):
            test, age = running[done]
            verdicts[test], seconds = done.result()
            kept.put(test, age, verdicts[test])
            programs.say(f"[{len(verdicts):3}/{len(placed)}] {verdicts[test].verdict:4} {seconds:6.1f} s  {test}")
    return verdicts


def timed(program: programs.Program, name: str, until: float) -> tuple[Verdict, float]:
    """A verdict, and how long it took."""
    begun = time.monotonic()
    if begun > until:
        return Verdict(SKIP, NO_TIME), 0
    verdict = one(program, name)
    return verdict, time.monotonic() - begun


def images(tests: list[str]) -> dict[str, Verdict]:
    """Tests of the image builder, all in one process."""
    if not tests:
        return {}
    names = {test.rsplit("::", 1)[1]: test for test in tests}
    command = ["/usr/bin/python3", "-m", "unittest", "-v", *(word for name in names for word in ("-k", name))]
    ran = subprocess.run(command, cwd=ROOT / "sandbox-images", capture_output=True, text=True)
    verdicts = {test: Verdict(FAIL, "the test was not run") for test in tests}
    for line in ran.stderr.splitlines():
        if found := re.match(r"(test_\w+) .*\.\.\. (ok|skipped '(.*)'|.*)$", line):
            said = Verdict(PASS) if found[2] == "ok" else Verdict(SKIP, found[3]) if found[3] else Verdict(FAIL, ran.stderr)
            if found[1] in names:
                verdicts[names[found[1]]] = said
    for test in tests:
        programs.say(f"{verdicts[test].verdict:4} {test}")
    return verdicts


def conformance(tests: list[str], until: float) -> dict[str, Verdict]:
    """Tests with foreign clients, against one server."""
    if not tests or time.monotonic() > until:
        return dict.fromkeys(tests, Verdict(SKIP, NO_TIME))
    report = programs.target() / "attack" / "conformance.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    nodes = [f"{module}.py::{name}" for module, name in (test.split("::")[1:] for test in tests)]
    command = [str(ROOT / "tests/conformance/run.sh"), f"--junitxml={report}", *nodes]
    bin_ = os.environ.get("CLOISTER_BIN", str(programs.target() / "debug" / "cloister"))
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "CLOISTER_BIN": bin_})
    if not report.exists():
        return dict.fromkeys(tests, Verdict(FAIL, (ran.stdout + ran.stderr).strip()))
    said: dict[str, list[Verdict]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        # A test with parameters is several cases of one name.
        name = f"conformance::{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name', '').split('[')[0]}"
        wrong, skipped = case.find("failure"), case.find("skipped")
        wrong = wrong if wrong is not None else case.find("error")
        if wrong is not None:
            verdict = Verdict(FAIL, wrong.text or "")
        else:
            verdict = Verdict(PASS) if skipped is None else Verdict(SKIP, skipped.get("message", ""))
        said.setdefault(name, []).append(verdict)
    verdicts = {test: together(said.get(test, [Verdict(FAIL, "the test was not run")])) for test in tests}
    for test in tests:
        programs.say(f"{verdicts[test].verdict:4} {test}")
    return verdicts


def together(verdicts: list[Verdict]) -> Verdict:
    """Of several tests: what fails counts most, then what was skipped."""
    for kind in (FAIL, SKIP):
        found = [v for v in verdicts if v.verdict == kind]
        if found:
            return Verdict(kind, "; ".join(dict.fromkeys(v.why for v in found)))
    return Verdict(PASS)


def every(tests: list[str], kept: Kept, jobs: int, until: float) -> dict[str, Verdict]:
    """The verdict of every test; none begins after `until`."""
    foreign = [test for test in tests if test.startswith("conformance::")]
    built = [test for test in tests if test.startswith("images::")]
    verdicts = rust([test for test in tests if test not in {*foreign, *built}], kept, jobs, until)
    return {**verdicts, **images(built), **conformance(foreign, until)}
