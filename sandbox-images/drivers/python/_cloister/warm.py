"""Do early what a first cell would otherwise wait for: imports and a rehearsal in the zygote, page faults in the pool."""

import io
import sys

from . import cellcode, figures, forms, report, trusted

_STANDARD = ("asyncio", "ctypes", "inspect", "subprocess", "tempfile", "random", "decimal", "csv", "datetime",
             "concurrent.futures", "importlib.metadata", "encodings.utf_8_sig")


def import_all(names):
    """Import the driver's own late modules and `names`. Returns a sentence for each of `names` that is not there."""
    for name in _STANDARD:
        trusted.load(name)
    missing = []
    for name in names:
        try:
            __import__(name)
        except Exception as error:
            missing.append(f"preload: {name} cannot be imported: {type(error).__name__}: {error}")
    return missing


def rehearse():
    """Run once through what first cells do, so that children inherit the result: caches, fonts, lazy imports."""
    _cells()
    _pandas(forms_too=True)
    _pyplot()


def pretouch():
    """A tiny describe(): writes to the pages that a first pandas call writes to, so that they are this process's own."""
    _cells()
    _pandas(forms_too=False)


def _cells():
    names = {}
    source = b"def f(n):\n    return [str(i) for i in range(n)]\n{'x': f(3)}".decode("utf-8-sig")
    cell = cellcode.Cell(source, "<warm-up>", 0)
    forms.of(cell.run(names, None), 1 << 16, _ignore)
    try:
        cellcode.Cell("1 / 0", "<warm-up>", 0).run(names, None)
    except ZeroDivisionError as error:
        report.describe(error)


def _pandas(forms_too):
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return
    described = pandas.DataFrame({"x": [1.0, 2.0]}).describe()
    repr(described)
    if forms_too:
        forms.of(described, 1 << 20, _ignore)
        frame = pandas.read_csv(io.StringIO("k,v\na,1\nb,2\na,3\n"))
        repr(frame.groupby("k")["v"].sum())


def _pyplot():
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    figure, axes = pyplot.subplots(figsize=(2, 2))
    axes.plot([1, 2, 3], [1, 4, 9], label="x")
    axes.set_title("x")
    axes.legend()
    figures.png(figure)
    figures.close()
    # The cached fonts hold files open, whose descriptors a child does not have; matplotlib drops them after every fork, and
    # each would then complain on the user's stderr that it cannot be closed.
    sys.modules["matplotlib.font_manager"]._get_font.cache_clear()


def _ignore(_sentence):
    pass
