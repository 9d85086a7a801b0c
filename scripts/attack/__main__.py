"""Runs the tests that the register of attack cases names, and says what they prove.

  python3 scripts/attack [ID or FAMILY …] [--continue] [--jobs N] [--seconds N]

Without an id everything is run, and docs/attack-report.md is written. Exit status: 1 if a test fails, or if one skips under
REQUIRE=all; 2 if the register makes no sense.
"""

import argparse
import math
import os
import sys
import time

import programs
import register
import report
import run


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="attack", description="Runs the attack cases and prints what they prove.")
    parser.add_argument("ids", nargs="*", help="cases or families, such as NET-05 or FS; all without")
    parser.add_argument("--continue", dest="proceed", action="store_true", help="take over what an earlier run of the same programs found")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="tests at once (default: one a processor)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no test after so long; the report says which")
    asked = parser.parse_args()
    until = time.monotonic() + asked.seconds
    try:
        cases = register.chosen(register.read(), asked.ids)
        tests = sorted({test for case in cases for proof in case.tiers.values() for test in proof.tests})
        kept = run.Kept(programs.target() / "attack" / "verdicts.json", use=asked.proceed)
        verdicts = run.every(tests, kept, asked.jobs, until)
    except register.Wrong as wrong:
        print(f"attack: {wrong}", file=sys.stderr)
        return 2
    table = report.rows(cases, verdicts)
    print(report.shown(table))
    for tier, counted in report.totals(table).items():
        print(f"{tier}: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counted.items())))
    if not asked.ids:
        (register.ROOT / "docs" / "attack-report.md").write_text(report.written(table))
        print("docs/attack-report.md is written")
    failed = {test: verdict for test, verdict in verdicts.items() if verdict.verdict == run.FAIL}
    for test, verdict in failed.items():
        print(f"\n---- {test}\n{verdict.why}", file=sys.stderr)
    skipped = [test for test, verdict in verdicts.items() if verdict.verdict == run.SKIP]
    if skipped and os.environ.get("REQUIRE") == "all":
        print(f"REQUIRE=all, but {len(skipped)} tests were skipped: {', '.join(skipped)}", file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
