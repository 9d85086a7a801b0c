"""The table of cases and verdicts, for a terminal and as `docs/attack-report.md`."""

import os
import platform
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from register import ROOT, TIERS, Case
from run import FAIL, PASS, SKIP, Verdict, together

# How a reason is called in a narrow column.
SHORT = {"not-applicable": "–", "needs": "needs", "not-offered": "not offered", "open": "OPEN"}

Row = dict[str, Verdict]


def rows(cases: list[Case], verdicts: dict[str, Verdict]) -> list[tuple[Case, Row]]:
    """Each case with a verdict per tier: pass, fail, skip, or the kind of its reason."""
    table = []
    for case in cases:
        row = {}
        for tier, proof in case.tiers.items():
            known = [verdicts[test] for test in proof.tests]
            row[tier] = together(known) if known else Verdict(proof.kind, proof.reason)
        table.append((case, row))
    return table


def totals(table: list[tuple[Case, Row]]) -> dict[str, Counter[str]]:
    """How often each verdict was found, by tier."""
    return {tier: Counter(row[tier].verdict for _, row in table) for tier in TIERS}


def shown(table: list[tuple[Case, Row]]) -> str:
    """For a terminal: id, tier, verdict, and what there is to say of it."""
    lines = []
    for case, row in table:
        for tier in TIERS:
            verdict = row[tier]
            if verdict.verdict == "not-applicable":
                continue
            why = "" if verdict.verdict in (PASS, FAIL) else f"  {verdict.why}"
            lines.append(f"{case.id:8} {tier:8} {verdict.verdict}{why}")
    return "\n".join(lines)


def written(table: list[tuple[Case, Row]]) -> str:
    """The report."""
    kinds = (PASS, FAIL, SKIP, "not-applicable", "not-offered", "needs", "open")
    counted = totals(table)
    head = f"""# Attack report

Written by `make attack` and not by hand. The cases and the tests behind each verdict stand in [tests/attacks](../tests/attacks/README.md).

| | |
|---|---|
{host()}
| cases | {len(table)} |

| tier | {" | ".join(kinds)} |
|---|{"---|" * len(kinds)}
"""
    sums = "".join(f"| {tier} | {' | '.join(str(counted[tier][kind]) for kind in kinds)} |\n" for tier in TIERS)
    body = "\n| case | promise | " + " | ".join(TIERS) + " |\n|---|---|" + "---|" * len(TIERS) + "\n"
    for case, row in table:
        cells = " | ".join(SHORT.get(row[tier].verdict, row[tier].verdict) for tier in TIERS)
        body += f"| {case.id} | {case.promise} | {cells} |\n"
    return head + sums + body + reasons(table)


def reasons(table: list[tuple[Case, Row]]) -> str:
    """Everything that is neither a pass nor beside the point, with its reason."""
    text = "\n## What did not run, and why\n\n| case | tier | verdict | reason |\n|---|---|---|---|\n"
    for case, row in table:
        for tier in TIERS:
            verdict = row[tier]
            if verdict.verdict not in (PASS, "not-applicable"):
                why = "see the run's output" if verdict.verdict == FAIL else verdict.why.replace("|", "\\|")
                text += f"| {case.id} | {tier} | {verdict.verdict} | {why} |\n"
    return text


def host() -> str:
    """What the run had: the verdicts are of this machine."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    facts = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": f"{commit or 'none'}, or the change that brought this report",
        "kernel": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} processors",
        "user": f"{'root' if os.geteuid() == 0 else 'an ordinary user'} (capabilities {status.get('CapEff', '?')})",
        "required": "everything (`REQUIRE=all`)" if os.environ.get("REQUIRE") == "all" else "what this machine has",
    }
    return "\n".join(f"| {name} | {fact} |" for name, fact in facts.items())
