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
        guest_path, guest_module = sys.path, sys.modules.get(name)
        planted = guest_module is not None and not _is_ours(guest_module)
        sys.path = list(_path or guest_path)  # before set_path() no guest code has run
        if planted:
            del sys.modules[name]
        try:
            __import__(name)
            module = _modules[name] = sys.modules[name]
        finally:
            sys.path = guest_path
            if planted:
                sys.modules[name] = guest_module
    return module


def _is_ours(module):
    """Whether a loaded module is the interpreter's or the image's. A cell may have imported a file of the workspace by that name."""
    file = getattr(module, "__file__", None)
    return not isinstance(file, str) or not _folders or is_of_image(file)
