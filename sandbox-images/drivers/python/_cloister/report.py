"""Exceptions as text: the lines of the guest's cell, none of ours, and never so long that they crowd out the answer."""

import os
import sys
import traceback

from .wire import clean

MAX_MESSAGE = 16 << 10
MAX_TRACEBACK = 256 << 10
MAX_FRAMES = 1000
CELL = "<cell "

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


def name_of(error):
    return clean(type(error).__name__)[:200]


def describe(error):
    """`(name, message, traceback)` of an exception. Runs guest code (`__str__`), so call it with the interrupt armed."""
    formatted = _format(error)
    message = str(formatted) if not isinstance(error, SyntaxError) else (formatted.msg or "")
    return name_of(error), _shorten(clean(message), MAX_MESSAGE), _shorten(_text(formatted), MAX_TRACEBACK)


def undescribed(error):
    """What is said when describing the error failed itself (a `__str__` that loops until the interrupt)."""
    name = name_of(error)
    return name, "", f"{name}: its message could not be made\n"


def text(error):
    """The traceback alone, for descriptor 2."""
    return describe(error)[2]


def free_frames(error):
    """Let go of what the frames of a failed cell hold. After a MemoryError it may be most of the memory."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def thread_hook(arguments):
    """threading.excepthook: as the standard one, with our kind of traceback."""
    if arguments.exc_type is SystemExit or sys.stderr is None:
        return
    thread = arguments.thread.name if arguments.thread is not None else "?"
    sys.stderr.write(f"Exception in thread {thread}:\n{text(arguments.exc_value)}")


def _format(error):
    """The exception as data. Of a million frames (sys.setrecursionlimit) the first and the last ones are read."""
    tb, depth = error.__traceback__, 0
    while tb is not None:
        tb, depth = tb.tb_next, depth + 1
    limit = MAX_FRAMES if depth > 2 * MAX_FRAMES else None
    formatted = traceback.TracebackException(type(error), error, error.__traceback__, limit=limit, compact=True)
    if limit is not None:
        left_out = traceback.FrameSummary("…", 0, f"[{depth - 2 * limit} calls left out]", lookup_line=False, line="")
        formatted.stack += [left_out, *traceback.extract_tb(error.__traceback__, limit=-limit)]
    return formatted


def _text(formatted):
    frames = formatted.stack
    first = next((n for n, frame in enumerate(frames) if frame.filename.startswith(CELL)), None)
    if first:
        # What lies before the cell is how it was started: the driver, the event loop, threading's bootstrap.
        del frames[:first]
    _drop_own(formatted, set())
    return clean("".join(formatted.format()))


def _drop_own(formatted, seen):
    """Take the driver's frames out of an exception, its causes, its contexts and the members of its group."""
    todo = [formatted]
    while todo:
        item = todo.pop()
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        if item.stack is not None:
            item.stack[:] = [frame for frame in item.stack if not frame.filename.startswith(_OWN)]
            if not item.stack:
                item.stack = None
        todo += [item.__cause__, item.__context__, *(item.exceptions or ())]


def _shorten(text, limit):
    """The first and the last part of `text`: an error's beginning tells where, its end tells what."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… [{len(text) - 2 * half} characters left out] …\n{text[-half:]}"
