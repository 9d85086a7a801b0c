"""sys.stdin, sys.stdout and sys.stderr: whole at the start of each cell, flushed at its end.

What is written goes to the host by a call, and what goes to descriptors 1 and 2 by os.write() takes the host's WASI and ends
in the same place.
"""

import io
import sys

import _cloister_host

_NAMES = ("stdin", "stdout", "stderr")


class _Raw(io.RawIOBase):
    """A stream of the host: 1 is stdout, 2 is stderr."""

    def __init__(self, number):
        self._number = number
        self._emit = _cloister_host.emit
        self.mode = "wb"
        self.name = f"<{_NAMES[number]}>"

    def writable(self):
        return True

    def fileno(self):
        return self._number

    def write(self, data):
        self._emit(self._number, data)
        return len(data)


def _layer(number):
    """A text layer that can write any str: what UTF-8 cannot say is written as an escape instead of failing."""
    if number == 0:
        return io.TextIOWrapper(io.BufferedReader(io.BytesIO()), encoding="utf-8", errors="surrogateescape")
    return io.TextIOWrapper(io.BufferedWriter(_Raw(number)), encoding="utf-8", errors="backslashreplace", newline="\n",
                            line_buffering=True)


def _usable(layer):
    try:
        return not layer.closed
    except ValueError:  # detach() was called on it
        return False


class Streams:
    """The three standard streams of the session."""

    def __init__(self):
        self._layers = [None] * 3
        self.repair()

    def repair(self):
        """Make sys.stdin, sys.stdout and sys.stderr what they were when the session started."""
        for number, name in enumerate(_NAMES):
            layer = self._layers[number]
            if layer is None or not _usable(layer):
                layer = self._layers[number] = _layer(number)
                setattr(sys, f"__{name}__", layer)
            setattr(sys, name, layer)

    def flush_guest(self):
        """Flush the streams that guest code put in place of ours. Runs guest code: call it with the interrupt armed."""
        for name, layer in zip(_NAMES[1:], self._layers[1:]):
            stream = getattr(sys, name, None)
            if stream is not None and stream is not layer:
                try:
                    stream.flush()
                except (KeyboardInterrupt, MemoryError):
                    raise
                except BaseException:
                    pass  # closed, or not a file at all: there is nothing to lose

    def flush(self):
        """Hand over what the layers hold back, and repair."""
        self._flush_layers()
        self.repair()

    def _flush_layers(self):
        for layer in self._layers[1:]:
            try:
                layer.flush()
            except (OSError, ValueError):
                pass
