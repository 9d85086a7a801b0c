"""The context that calls share: the `__main__` module, and what `clear` puts back to how the session began."""

import builtins
import gc
import linecache
import os
import sys
import threading
import types
import warnings

# Taken when this module is loaded: in the zygote that is before the fork, and children share it.
_BUILTINS = dict(vars(builtins))

# Sources kept for tracebacks and inspect.getsource; older cells are forgotten first.
_SOURCES_KEPT = 8 << 20


class Context:
    """Names, cell numbers and sources of one session."""

    def __init__(self, own_builtins):
        """`own_builtins`: names that the driver adds to or replaces in `builtins`."""
        self.number = 0
        self.features = 0  # compiler flags of `from __future__` imports, which hold for later cells as in a notebook
        self._sources = {}
        self._sources_size = 0
        self._last = None
        self.module = None
        self._own_builtins = own_builtins
        vars(builtins).update(own_builtins)
        self._new_module()
        self._workspace = os.getcwd()
        self._path = list(sys.path)
        self._environ = dict(os.environ)
        self._filters = list(warnings.filters)
        self._recursion_limit = sys.getrecursionlimit()
        self._hooks = [(owner, name, getattr(owner, name)) for owner, name in (
            (sys, "displayhook"), (sys, "excepthook"), (sys, "breakpointhook"), (sys, "unraisablehook"),
            (threading, "excepthook"))]

    def _new_module(self):
        """A real module in sys.modules: pickle and dataclasses look a class's module up there."""
        module = types.ModuleType("__main__")
        module.__builtins__ = builtins
        self.module = sys.modules["__main__"] = module

    @property
    def names(self):
        return self.module.__dict__

    def rebase(self):
        """Take the environment and the working directory of now as those that `clear` goes back to."""
        self._environ = dict(os.environ)
        self._workspace = os.getcwd()

    def enter_workspace(self):
        """Resolve the working directory again: a workspace mounted after the fork lies over the directory held so far."""
        try:
            os.chdir(self._workspace)
        except OSError:
            pass

    def begin(self, source):
        """A new cell: its file name, under which tracebacks find `source`."""
        self.number += 1
        # Warnings are remembered by line number, and each cell has a line 1: without this a warning of one cell would
        # hide that of the next.
        self.names.pop("__warningregistry__", None)
        filename = f"<cell {self.number}>"
        self._sources[filename] = len(source)
        self._sources_size += len(source)
        while len(self._sources) > 1 and self._sources_size > _SOURCES_KEPT:
            oldest = next(iter(self._sources))
            self._sources_size -= self._sources.pop(oldest)
            linecache.cache.pop(oldest, None)
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        return filename

    def remember(self, value):
        """`_` is the last value, unless guest code gave the name another meaning."""
        names = self.names
        if "_" not in names or names["_"] is self._last:
            names["_"] = self._last = value

    def clear(self):
        """An empty context. Files, threads and installed packages stay; they are not part of it."""
        self._close_figures()
        self._forget_workspace_modules()
        for filename in self._sources:
            linecache.cache.pop(filename, None)
        self._sources.clear()
        self._sources_size = 0
        self.number = self.features = 0
        self._last = None
        self._new_module()
        for owner, name, value in self._hooks:
            setattr(owner, name, value)
        for name in vars(builtins).keys() - _BUILTINS.keys():
            delattr(builtins, name)
        vars(builtins).update({**_BUILTINS, **self._own_builtins})
        warnings.filters[:] = self._filters
        warnings._filters_mutated()
        sys.path[:] = self._path
        sys.setrecursionlimit(self._recursion_limit)
        if dict(os.environ) != self._environ:
            os.environ.clear()
            os.environ.update(self._environ)
        self.enter_workspace()
        gc.collect()  # the old names go now, not at some later cell whose memory limit they would use up

    def _forget_workspace_modules(self):
        """Modules that are files of the workspace are imported anew, edited or not. Installed packages stay loaded."""
        inside = self._workspace.rstrip(os.sep) + os.sep
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str):
                file = os.path.abspath(file)
                if file.startswith(inside) and "site-packages" not in file and file.endswith(".py"):
                    del sys.modules[name]

    def _close_figures(self):
        helpers = sys.modules.get("matplotlib._pylab_helpers")
        if helpers is not None:
            helpers.Gcf.destroy_all()
            sys.modules["matplotlib"].rc_file_defaults()
