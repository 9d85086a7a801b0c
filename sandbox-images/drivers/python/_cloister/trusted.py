"""Import standard modules late without letting a file of the guest's stand in for them."""

import sys

_modules = {}
_path = []
_folders = ()


def set_path(path):
    """Fix the path on which `load` looks: sys.path as it was before any guest code ran."""
    global _folders
    _path[:] = path
    _folders = tuple(path)


def is_of_image(folder):
    """Whether `folder` is on the path of start-up, or below it."""
    return folder.startswith(_folders)


def load(name):
    """The module `name`, imported on the path of start-up; remembered, so later changes to sys.modules do not matter."""
    module = _modules.get(name)
    if module is None:
        guest_path = sys.path
        sys.path = list(_path or guest_path)  # before set_path() no guest code has run
        try:
            __import__(name)
            module = _modules[name] = sys.modules[name]
        finally:
            sys.path = guest_path
    return module
