"""Packages that a command installed between two cells can be imported in the next one."""

import os
import sys
from itertools import islice

from . import trusted


_entries_at_start = 0
_user_sites = {}


def begin():
    """Note what the importer cache holds before any guest code runs: folders of the image, which do not change."""
    global _entries_at_start
    _entries_at_start = len(sys.path_importer_cache)


def refresh():
    """Forget cached directory listings, and put the user site directory (left out by `-I`) on the path once it exists.

    As importlib.invalidate_caches(), but for the folders that were added since the start only: looking at the others
    would copy 1 MiB of memory that a session shares with its zygote, and importlib.metadata (20 ms) is not imported.
    """
    cache = sys.path_importer_cache
    added = len(cache) - _entries_at_start
    for entry, finder in list(islice(reversed(cache.items()), max(added, 0))):
        if finder is None:
            del cache[entry]
        elif not trusted.is_of_image(entry) and hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()
    if sys.platform == "wasi":
        return  # nothing there runs pip
    directory = _user_site()
    if directory not in sys.path and os.path.isdir(directory):
        # addsitedir reads .pth files too, as a normal start of Python would.
        trusted.load("site").addsitedir(directory)


def _user_site():
    # Asked before every cell, and the answer hardly ever changes.
    asked = os.environ.get("PYTHONUSERBASE"), os.environ.get("HOME")
    if asked not in _user_sites:
        base = asked[0] or os.path.join(os.path.expanduser("~"), ".local")
        _user_sites.clear()
        _user_sites[asked] = os.path.join(base, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    return _user_sites[asked]
