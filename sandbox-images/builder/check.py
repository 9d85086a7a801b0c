"""Runs what an image is for, once, in the image: the interpreters, the preload list, the shell's tools."""

from . import enter

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
    for argv in _PROGRAMS:
        progress.step(f"checking {argv[0]}")
        first = enter.run(root, argv, env=env).splitlines()
        progress.say(f"check: {argv[0]} ok ({first[0] if first else 'no output'})")
    preload = description["runners"].get("python", {}).get("preload", [])
    progress.step("checking Python packages")
    enter.run(root, ["/usr/bin/python3", "-c", _PYTHON, *preload], env=env)
    enter.run(root, ["/usr/bin/python3", "-m", "pip", "check"], env=env)
    progress.say("check: the analysis stack imports, draws and describes")
