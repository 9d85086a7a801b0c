"""Small changes to modules that guest code imports later, made right after the import and never by importing them.

| module | change | why |
|---|---|---|
| matplotlib.pyplot | show() and Figure.show() display the figure | there is no window |
| getpass | getpass() refuses in a sentence | there is no terminal |
| IPython.core.display_functions | display() is ours | without a running IPython it prints reprs only |
"""

import sys

from . import refusals


def install(display, more=None):
    """Set the hooks up, with `more` of the kind `{module: step}`. Modules that are loaded already (in a child of the zygote) are
    changed at once.
    """
    changes = {
        "matplotlib.pyplot": lambda module: _change_pyplot(module, display),
        "getpass": refusals.change_getpass,
        "IPython.core.display_functions": lambda module: setattr(module, "display", display.display),
        **(more or {}),
    }
    for name in list(changes):
        if name in sys.modules:
            changes.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(changes))


def _change_pyplot(module, display):
    # Plain functions: pyplot sets attributes on show(), which a bound method refuses.
    def show(*, block=None):
        """Display the open figures now, and close them."""
        display.flush_figures()

    def show_one(self, warn=True):
        """Display this figure now. It is not displayed again after the cell."""
        display.display(self)

    module.show = show
    module.Figure.show = show_one


class _AfterImport:
    """A finder that finds what the others find and adds a step after the module has run."""

    def __init__(self, changes):
        self._changes = changes

    def find_spec(self, name, path=None, target=None):
        change = self._changes.get(name)
        if change is None:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                break
        else:
            return None
        run = getattr(spec.loader, "exec_module", None)
        if run is not None:
            def run_and_change(module):
                run(module)
                change(module)
            # On the instance: the loader stays what it is for everybody who asks it for resources or source.
            spec.loader.exec_module = run_and_change
        return spec
