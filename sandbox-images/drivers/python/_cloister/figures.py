"""Matplotlib figures as PNG: the open ones after a cell, or at the point where guest code calls show()."""

import io
import sys
import weakref

_shown = weakref.WeakSet()  # figures that this cell has displayed by name; they are not displayed a second time


def is_figure(value):
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(value, module.Figure)


def png(figure):
    """The picture as a notebook makes it: trimmed to what is drawn, in the figure's own resolution and colours."""
    buffer = io.BytesIO()
    figure.canvas.print_figure(buffer, format="png", dpi=figure.dpi, facecolor=figure.get_facecolor(),
                               edgecolor=figure.get_edgecolor(), bbox_inches="tight")
    return buffer.getvalue()


def mark_shown(figure):
    _shown.add(figure)


def flush(show):
    """Call `show(figure)` for each open figure that has something on it, and close them all, also when drawing fails."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return
    try:
        for manager in helpers.Gcf.get_all_fig_managers():
            figure = manager.canvas.figure
            if figure not in _shown and not _is_empty(figure):
                show(figure)
    finally:
        close()


def close():
    """Close every open figure."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is not None:
        helpers.Gcf.destroy_all()
    _shown.clear()


def _is_empty(figure):
    return not (figure.axes or figure.lines or figure.images or figure.texts or figure.patches or figure.artists
                or figure.legends or figure.subfigs)
