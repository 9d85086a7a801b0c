"""Descriptors 0, 1, 2 and the text layers on them: whole at the start of each cell, flushed at its end.

Guest code may replace sys.stdout, close descriptor 1 or point it elsewhere. Private copies of the three descriptors
put that right for the next cell.
"""

import io
import os
import sys

from . import trusted, wire

_NAMES = ("stdin", "stdout", "stderr")


def _identity(fd):
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _layer(fd):
    """A text layer that can write any str: what UTF-8 cannot say is written as an escape instead of failing.

    Line buffered and not write-through: write-through makes two writes of one print(), and forked children interleave.
    closefd=False, so that sys.stdout.close() leaves the descriptor alone.
    """
    if fd == 0:
        raw = io.BufferedReader(io.FileIO(0, "r", closefd=False))
        return io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape")
    raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True)


def _usable(layer):
    try:
        return not layer.closed
    except ValueError:  # detach() was called on it
        return False


class Streams:
    """The three standard streams of the session."""

    def __init__(self):
        self._private = [wire.move_high(fd) for fd in range(3)]
        self._identities = [_identity(fd) for fd in self._private]
        self._layers = [None] * 3
        self._modules_seen = 0
        self._c_flush = None
        self.repair()

    def repair(self):
        """Make 0, 1, 2, sys.stdin, sys.stdout and sys.stderr what they were when the driver started."""
        for fd, name in enumerate(_NAMES):
            if _identity(fd) != self._identities[fd]:
                try:
                    os.dup2(self._private[fd], fd)
                except OSError:
                    continue  # the private copy was closed as well; nothing is left to repair with
            layer = self._layers[fd]
            if layer is None or not _usable(layer):
                layer = self._layers[fd] = _layer(fd)
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
        """Push out what Python and C hold back, repair, and push out what a closed descriptor had kept back."""
        self._flush_layers()
        self._flush_c()
        self.repair()
        self._flush_layers()

    def write_error(self, text):
        """Text for descriptor 2, whatever sys.stderr is at the moment."""
        try:
            self._layers[2].write(text)
            self._layers[2].flush()
        except (OSError, ValueError):
            pass

    def after_fork(self):
        """In a forked child: the private copies are of no use there and would keep the pipes open."""
        for fd in self._private:
            try:
                os.close(fd)
            except OSError:
                pass
        self._private = [-1, -1, -1]

    def _flush_layers(self):
        for layer in self._layers[1:]:
            try:
                layer.flush()
            except (OSError, ValueError):
                pass

    def _flush_c(self):
        """fflush(NULL), once something that may print through C is loaded. Loading ctypes for a plain cell costs 3 ms."""
        if self._c_flush is None and self._foreign_code_loaded():
            try:
                ctypes = trusted.load("ctypes")
                self._c_flush = ctypes.CDLL(None).fflush
                self._c_flush.argtypes = [ctypes.c_void_p]
            except Exception:
                return  # a guest has put something in the place of what ctypes needs; only its own C output comes late
        if self._c_flush is not None:
            self._c_flush(None)

    def _foreign_code_loaded(self):
        if len(sys.modules) == self._modules_seen:
            return False
        self._modules_seen = len(sys.modules)
        if "ctypes" in sys.modules or "_ctypes" in sys.modules:
            return True
        own = os.path.join(os.path.dirname(os.__file__), "lib-dynload")
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.endswith(".so") and not file.startswith(own):
                return True
        return False
