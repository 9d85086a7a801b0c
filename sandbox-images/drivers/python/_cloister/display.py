"""What a cell shows: display frames and the value frame, within the limits that the request set."""

import posix
import sys
import threading

from . import figures, forms
from .wire import MAX_BLOB


class Display:
    """Sends the forms of values for the running cell. One for the whole session; `begin` and `end` mark the cell."""

    def __init__(self, channel):
        self._channel = channel
        self._lock = threading.Lock()
        self._id = None
        self._limit = MAX_BLOB
        self._left = 0
        self._most = 0
        self._pid = posix.getpid()

    def begin(self, call, limit, displays):
        self._limit = min(limit, MAX_BLOB) if limit > 0 else MAX_BLOB
        self._most = self._left = displays
        self._id = call

    def end(self):
        """From here on nothing is sent for the call. Threads that outlive it display as text."""
        self._id = None

    def value(self, value):
        """The value of the cell's last expression. A forked child that runs off the end has none, like a script."""
        if self._reachable():
            self._send("value", self._id, forms.of(value, self._limit, self._complain))

    def figure(self, figure):
        """One figure, as an image."""
        if self._take():
            self._send("display", self._id, forms.picture(figures.png(figure), repr(figure), self._limit))

    def flush_figures(self):
        """Show the open figures and close them: after each cell, and where it calls plt.show()."""
        if self._reachable():
            figures.flush(self.figure)

    def display(self, *values, raw=False, **_):
        """Show values in their richest forms (HTML, image, …) as well as text, each as a display of its own.

        raw=True: the values are dicts of MIME type to data. Other keywords of notebooks are accepted and not used.
        """
        call = self._id
        for value in values:
            if not self._reachable():
                print(value if isinstance(value, str) else repr(value))
            elif self._take():
                self._send("display", call, self._raw(value) if raw and isinstance(value, dict)
                           else forms.of(value, self._limit, self._complain))

    def _raw(self, bundle):
        return forms.of(_Bundle(bundle), self._limit, self._complain)

    def _reachable(self):
        """Whether frames of this process count: not in a forked child, and not after the call has ended."""
        return self._id is not None and posix.getpid() == self._pid

    def _take(self):
        """Use up one display; the first one too many is said on descriptor 2, where it is seen."""
        with self._lock:
            self._left -= 1
            left = self._left
        if left == -1:
            self._complain(f"this call has shown {self._most} displays, which is the most it may; the rest is left out")
        return left >= 0

    def _complain(self, sentence):
        print(f"display: {sentence}", file=sys.stderr)

    def _send(self, event, call, found):
        message = {"ev": event, "id": call, "forms": [{"mime": mime, "len": len(data)} for mime, data in found.items()]}
        if not self._channel.send(message, b"".join(found.values()), unless=lambda: self._id != call):
            print(found["text/plain"].decode())  # the call ended while its thread made the forms


class _Bundle:
    """A MIME bundle given to display(raw=True)."""

    def __init__(self, bundle):
        self._data = bundle

    def _repr_mimebundle_(self):
        return self._data

    def __repr__(self):
        return repr(self._data)
