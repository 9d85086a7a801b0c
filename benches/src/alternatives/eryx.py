"""Drives pyeryx, one request per line of standard input, one answer per line of output."""

import json
import os
import sys
import time

sys.path.insert(0, os.environ["ERYX"])

import eryx


def timed(work, expected):
    begun = time.perf_counter_ns()
    said = work().stdout
    took = time.perf_counter_ns() - begun
    if isinstance(said, bytes):
        said = said.decode()
    if expected not in said:
        raise RuntimeError(f"no {expected!r} in {said[:400]!r}")
    return {"ns": took, "said": said}


def main():
    kept = []
    for line in sys.stdin:
        question = json.loads(line)
        code, expected = question.get("code", ""), question.get("expected", "")
        try:
            match question["op"]:
                case "first":
                    answer = timed(lambda: eryx.Session().execute(code), expected)
                case "open":
                    kept.append(eryx.Session())
                    answer = {"session": len(kept) - 1}
                case "run":
                    answer = timed(lambda: kept[question["session"]].execute(code), expected)
                case _:
                    break
        except Exception as error:  # the bench shows it as the reason
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
