"""Play the transcripts of the cell channel against a driver: what every driver must do, whatever its language.

    run_transcripts.py --driver '/usr/bin/python3 -I python/driver.py' --language python [--interrupt signal|pipe]
                       [--lacking processes,interrupts] [FILE…]

A transcript is a JSON file:

    {"promise": "a sentence", "steps": [{"send": {…}, "expect": {…}}, …]}

`send`    {"op": "run", "code": …} with any of `clear`, `memory`, `display`, `displays`, and `interrupt_after` (seconds);
          or {"op": "warm"}
`expect`  `frames`: patterns for the frames in order, all of them; `stdout`, `stderr`: patterns for the streams
          (a stream that is not named must be empty, except that stderr is free where a frame reports an error)

Wherever an object has the key `python` or `javascript`, the member of the language under test is meant; `typescript`
falls back to `javascript`, and a step whose code is missing for the language is left out. So is a step that `needs` something
the driver under test is said to lack: `processes` or `interrupts`. Patterns:

    "text"                 exactly this            {"regex": "…"}           found somewhere in the text
    {"member": pattern}    these members match     [pattern, …]             the same number of items, each matches
    {"any": true}          anything                {"same": "name"}         as at the last time this name was used
    forms                  in a frame, MIME type → pattern for the decoded form; these must be there, others may
"""

import argparse
import json
import os
import re
import shlex
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from cell_client import Driver, forms  # noqa: E402

LANGUAGES = ("python", "javascript", "typescript")
MISSING = object()


class Mismatch(Exception):
    """What was expected, what came, and where."""


def localized(node, language):
    """`node` with every choice between languages made; MISSING where there is nothing for this one."""
    if isinstance(node, dict):
        if any(name in node for name in LANGUAGES):
            names = (language, "javascript") if language == "typescript" else (language,)
            return next((localized(node[name], language) for name in names if name in node), MISSING)
        made = {key: localized(value, language) for key, value in node.items()}
        return {key: value for key, value in made.items() if value is not MISSING}
    if isinstance(node, list):
        return [item for item in (localized(item, language) for item in node) if item is not MISSING]
    return node


def match(pattern, actual, where, same):
    """Raise Mismatch unless `actual` is what `pattern` describes."""
    if isinstance(pattern, dict):
        if pattern.get("any") is True:
            return
        if set(pattern) == {"regex"}:
            if not (isinstance(actual, str) and re.search(pattern["regex"], actual)):
                raise Mismatch(f"{where}: {actual!r} does not match /{pattern['regex']}/")
            return
        if set(pattern) == {"same"}:
            if same.setdefault(pattern["same"], actual) != actual:
                raise Mismatch(f"{where}: {actual!r} is not {same[pattern['same']]!r}")
            return
        if not isinstance(actual, dict):
            raise Mismatch(f"{where}: {actual!r} is not an object")
        for key, expected in pattern.items():
            if key not in actual:
                raise Mismatch(f"{where}.{key} is missing; there is {sorted(actual)}")
            match(expected, actual[key], f"{where}.{key}", same)
    elif isinstance(pattern, list):
        if not isinstance(actual, list) or len(pattern) != len(actual):
            raise Mismatch(f"{where}: {len(pattern)} items were expected, and there is {actual!r}")
        for number, (expected, item) in enumerate(zip(pattern, actual)):
            match(expected, item, f"{where}[{number}]", same)
    elif type(pattern) is not type(actual) or pattern != actual:
        raise Mismatch(f"{where}: {actual!r} is not {pattern!r}")


def readable(frame):
    """A frame as transcripts see it: the forms decoded, an error's blob as `traceback`, no id."""
    seen = {key: value for key, value in frame.items() if key not in ("id", "blob")}
    if "forms" in seen:
        found = forms(frame)
        if "text/plain" not in found:
            raise Mismatch(f"a {frame['ev']} frame without text/plain: {sorted(found)}")
        seen["forms"] = {mime: data.decode("latin-1" if mime.startswith("image/") and "xml" not in mime else "utf-8")
                         for mime, data in found.items()}
    elif frame["ev"] == "error":
        seen["traceback"] = frame["blob"].decode("utf-8")
    return seen


def play_step(driver, step, language, same):
    send, expect = step["send"], step["expect"]
    if send["op"] == "warm":
        reply = driver.warm()
    else:
        options = {key: value for key, value in send.items() if key not in ("op", "code")}
        reply = driver.run(send["code"], language=language, **options)
    frames = [readable(frame) for frame in reply.frames]
    match(expect.get("frames", [{"any": True}] * len(frames)), frames, "frames", same)
    match(expect.get("stdout", ""), reply.stdout.decode("utf-8", "backslashreplace"), "stdout", same)
    free = {"any": True} if reply.of("error") else ""
    match(expect.get("stderr", free), reply.stderr.decode("utf-8", "backslashreplace"), "stderr", same)


def play(path, argv, language, interrupt, lacking=()):
    """Play one file with a driver of its own. Returns how many steps there were; raises on the first that fails."""
    with open(path, encoding="utf-8") as file:
        transcript = json.load(file)
    steps = [localized(step, language) for step in transcript["steps"]]
    steps = [step for step in steps if step["send"]["op"] != "run" or "code" in step["send"]]
    steps = [step for step in steps if step.get("needs") not in lacking]
    same = {}
    with tempfile.TemporaryDirectory(prefix="transcript-", ignore_cleanup_errors=True) as workspace:
        env = {**os.environ, "HOME": workspace}
        with Driver(argv, interrupt=interrupt, env=env, cwd=workspace) as driver:
            match({"ev": "ready", "version": {"regex": r"^\d+\.\d+"}}, driver.ready, "ready", same)
            for number, step in enumerate(steps):
                try:
                    play_step(driver, step, language, same)
                except Exception as error:
                    raise Mismatch(f"step {number + 1}, {json.dumps(step['send'])[:200]}\n      {type(error).__name__}: "
                                   f"{error}") from error
    return len(steps)


def main():
    parser = argparse.ArgumentParser(description="Play the transcripts of the cell channel against a driver.")
    parser.add_argument("--driver", required=True, help="the command that starts the driver, quoted as for a shell")
    parser.add_argument("--language", required=True, choices=LANGUAGES)
    parser.add_argument("--interrupt", default="signal", choices=("signal", "pipe"))
    parser.add_argument("--lacking", default="", help="what the driver's tier does not have, separated by commas")
    parser.add_argument("files", nargs="*", help="transcripts (default: all in transcripts/)")
    options = parser.parse_args()
    folder = os.path.join(HERE, "transcripts")
    files = options.files or sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".json"))
    # The driver starts in a workspace of its own, so a path given relative to here must be made absolute.
    argv = [os.path.abspath(word) if os.path.exists(word) else word for word in shlex.split(options.driver)]
    passed = failed = skipped = 0
    for path in files:
        name = os.path.basename(path)
        try:
            steps = play(path, argv, options.language, options.interrupt, options.lacking.split(","))
        except Exception as error:
            failed += 1
            print(f"FAIL  {name}: {error}")
            if not isinstance(error, Mismatch):
                traceback.print_exc()
            continue
        if steps:
            passed += 1
            print(f"ok    {name}: {steps} steps")
        else:
            skipped += 1
            print(f"skip  {name}: nothing for {options.language}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
