"""Gives matplotlib its list of fonts beforehand.

Matplotlib keeps the list in the user's cache folder and makes it at the first import when it is not there. A session's home is
always new, so every process that is not forked from a zygote would make it again, and a read-only MPLCONFIGDIR only earns a
warning. So the list lies beside matplotlib's own data, and `font_manager` reads it from there when the user has none. Setting
MPLCONFIGDIR, adding fonts, or installing another matplotlib work as ever.
"""

import hashlib
from base64 import urlsafe_b64encode

from . import enter, tree
from .run import BuildError

_BEFORE = """    fm_path = Path(
        mpl.get_cachedir(), f"fontlist-v{FontManager.__version__}.json")
"""
_AFTER = _BEFORE + """    if try_read_cache and not fm_path.exists():  # cloister: the image brings the list of its fonts
        fm_path = Path(mpl.get_data_path(), fm_path.name)
"""
_LIST = """
import sys
from matplotlib import font_manager
fonts = font_manager.FontManager()
fonts.ttflist.sort(key=lambda font: font.fname)
fonts.afmlist.sort(key=lambda font: font.fname)
font_manager.json_dump(fonts, "/tmp/fonts.json")
print(fonts.__version__)
print(open("/tmp/fonts.json", encoding="utf-8").read())
"""


def seed(progress, root, packages):
    """Does nothing if the image has no matplotlib."""
    module = f"{packages}/matplotlib/font_manager.py"
    if not (root / module).exists():
        return
    source = (root / module).read_text(encoding="utf-8")
    if source.count(_BEFORE) != 1:
        raise BuildError("matplotlib's font_manager.py no longer reads its cache as builder/fonts.py expects; adapt _BEFORE")
    try:
        version, content = enter.run(root, ["/usr/bin/python3", "-I", "-B", "-c", _LIST]).split("\n", 1)
    except BuildError as error:
        # Only speed is lost; a host without namespaces can still build.
        progress.warn(f"no list of fonts in the image, so the first import of pyplot in a new process is slower: {error}")
        return
    tree.write(root, f"{packages}/matplotlib/mpl-data/fontlist-v{version}.json", content)
    patched = source.replace(_BEFORE, _AFTER)
    tree.write(root, module, patched)
    _record(root, packages, patched.encode())


def _record(root, packages, content):
    """The wheel's own list of hashes follows, so that a check of the installation stays truthful."""
    (record,) = (root / packages).glob("matplotlib-*.dist-info/RECORD")
    digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    lines = [f"matplotlib/font_manager.py,sha256={digest},{len(content)}" if line.startswith("matplotlib/font_manager.py,") else line
             for line in record.read_text(encoding="utf-8").splitlines()]
    tree.write(root, record.relative_to(root), "\n".join(lines) + "\n")
