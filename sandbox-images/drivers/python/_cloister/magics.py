"""Three habits from notebooks, for text that is not valid Python: `!command`, `%pip …` and `%matplotlib …`; and `%%bash`.

Valid Python never reaches this module. A line is rewritten only if it is the very line where Python's parser stopped,
so a `!` inside a string or in a continued expression keeps its meaning.
"""

import re
import sys

from . import packages, trusted

_LINE = re.compile(r"([ \t]*)(!|%(?=(?:pip|matplotlib)\b))([^\n]*)\Z")
_RUN = "__import__('sys').modules['_cloister.magics'].run"
_MOST_LINES = 200  # each rewritten line costs one more parse of the cell


def rewrite(source, error, parse):
    """`(tree, source)` after replacing magic lines, or None if `source` has none where the parser stopped."""
    lines = source.split("\n")
    if lines[0].strip() == "%%bash":
        text = f"{_RUN}({['/bin/bash', '-c', chr(10).join(lines[1:])]!r})"
        return parse(text + ";"), text + ";"
    for _ in range(_MOST_LINES):
        number = (error.lineno or 0) - 1
        match = _LINE.match(lines[number]) if 0 <= number < len(lines) else None
        if match is None:
            return None
        lines[number] = match[1] + _call(match[2], match[3])
        text = "\n".join(lines)
        try:
            return parse(text), text
        except SyntaxError as next_error:
            error = next_error
    return None


def _call(mark, rest):
    if mark == "!":
        return f"{_RUN}({['/bin/bash', '-c', rest.strip()]!r});"
    name, _, arguments = rest.strip().partition(" ")
    if name == "matplotlib":
        return "pass"  # figures are shown inline already
    try:
        words = trusted.load("shlex").split(arguments)
    except ValueError:
        words = arguments.split()
    return f"{_RUN}({[sys.executable, '-m', 'pip', *words]!r});"


def run(command):
    """Run a command on the cell's own descriptors; a failure is said on descriptor 2, as a notebook goes on after it."""
    subprocess = trusted.load("subprocess")
    sys.stdout.flush()
    sys.stderr.flush()
    code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    packages.refresh()
    if code:
        print(f"[the command ended with exit status {code}]", file=sys.stderr)
