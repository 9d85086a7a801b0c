"""Compiles Python files of an image with a Python of the same version: the host's, or one of the stage `tools`. Nothing of the image
is executed.
"""

import os
import subprocess

from . import place
from .run import BuildError

# Two processes, each with every second file, one after the other: what the interpreter has compiled before shows in the bytes of
# a compiled file (as reference flags), so only a fixed order gives equal images. Errors are fine: some packages ship templates,
# and files for other versions of Python.
_SHARES = 2
_COMPILE = """
import compileall, os, py_compile, sys
root, share, shares, *folders = sys.argv[1:]
files = sorted(os.path.join(where, name) for folder in folders for where, _, names in os.walk(os.path.join(root, folder))
               for name in names if name.endswith(".py"))
for file in files[int(share)::int(shares)]:
    compileall.compile_file(file, force=True, quiet=2, stripdir=root, prependdir="/",
                            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""


def compile_tree(root, *folders, interpreter="/usr/bin/python3"):
    """Writes __pycache__ for every source below `folders`, for the version of `interpreter`.

    Unchecked: the image is read-only, so no import has to compare a source with its compiled form. Whoever changes a source
    after this must compile again.
    """
    running = [subprocess.Popen([interpreter, "-I", "-c", _COMPILE, os.fspath(root), str(share), str(_SHARES), *folders],
                                env=place.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
               for share in range(_SHARES)]
    complaints = [process.communicate()[1].decode(errors="replace") for process in running]
    if any(process.returncode for process in running):
        raise BuildError(f"compiling {', '.join(folders)} failed:\n  " + "\n  ".join("".join(complaints).splitlines()[-8:]))
