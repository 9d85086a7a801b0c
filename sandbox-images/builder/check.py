"""Runs what an image is for, once, in the image: the interpreters, the preload list, the shell's tools; or the browser."""

from . import enter
from .run import BuildError

_PROGRAMS = (["python", "--version"], ["pip", "--version"], ["node", "--version"], ["npm", "--version"], ["deno", "--version"],
             ["git", "--version"], ["curl", "--version"], ["jq", "--version"], ["sqlite3", "--version"], ["perl", "-e", "print 1"],
             ["bash", "-c", "set -o pipefail; echo a b | awk '{print $2}' | grep -q b && which ls && date +%Z"])

_PYTHON = """
import importlib, importlib.metadata, subprocess, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import pandas as pd, matplotlib.pyplot as plt
frame = pd.DataFrame({"x": [1, 2, 3, 4, 5], "y": [2, 4, 6, 8, 10]})
plt.plot(frame["x"], frame["y"])
plt.savefig("/tmp/output.png")
assert open("/tmp/output.png", "rb").read(4) == b"\\x89PNG"
print(frame.describe())
"""


def check(progress, root, description):
    """Raises BuildError with what failed."""
    env = description.get("env", {})
    if "browser" in description:
        _browser(progress, root, description["browser"]["argv"][0], env)
    if "runners" in description:
        _code(progress, root, description, env)


def _browser(progress, root, program, env):
    """That its libraries and fonts are there. It cannot build its own sandbox here, so it opens no page."""
    progress.step(f"checking {program}")
    progress.say(f"check: {enter.run(root, [program, '--version'], env=env).strip()}")
    for wanted, pattern in (("Liberation Sans", "Arial"), ("Noto Sans CJK JP", "sans-serif:lang=ja"), ("Noto Color Emoji", "emoji")):
        found = enter.run(root, ["/usr/bin/fc-match", "-f", "%{family[0]}", pattern], env=env)
        if found != wanted:
            raise BuildError(f"the font for {pattern} is {found}, and should be {wanted}")
    progress.say("check: Latin, Japanese and emoji have their fonts")


def _code(progress, root, description, env):
    for argv in _PROGRAMS:
        progress.step(f"checking {argv[0]}")
        first = enter.run(root, argv, env=env).splitlines()
        progress.say(f"check: {argv[0]} ok ({first[0] if first else 'no output'})")
    preload = description["runners"].get("python", {}).get("preload", [])
    progress.step("checking Python packages")
    enter.run(root, ["/usr/bin/python3", "-c", _PYTHON, *preload], env=env)
    enter.run(root, ["/usr/bin/python3", "-m", "pip", "check"], env=env)
    progress.say("check: the analysis stack imports, draws and describes")
