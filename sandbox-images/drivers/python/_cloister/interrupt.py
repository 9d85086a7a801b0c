"""SIGINT: a KeyboardInterrupt while a cell runs, nothing at any other time; and guest handlers undone after each cell."""

import _signal
import threading
from _operator import is_


class Interrupts:
    """Owns SIGINT. Use the object itself as a context manager to hold an interrupt back (`with interrupts: …`).

    Between cells the handler stays a Python function that returns: with SIG_IGN, children of background threads
    would inherit a SIGINT that they cannot receive.
    """

    def __init__(self):
        # Plain attributes, because the places that set them must not contain a point where a signal can be handled.
        self.armed = False
        self._held = 0
        self._pending = False
        self._main = threading.get_ident()
        self._handlers = {}

    def install(self):
        """Take SIGINT and remember every other handler as the state to go back to."""
        _signal.signal(_signal.SIGINT, self._handle)
        self._handlers = {number: _signal.getsignal(number) for number in range(1, _signal.NSIG)
                          if number in _signal.valid_signals()}

    def _handle(self, _number, _frame):
        if not self.armed:
            return
        if self._held:
            self._pending = True
            return
        raise KeyboardInterrupt

    def __enter__(self):
        # Signals are handled on the main thread only, so other threads need no shield.
        if threading.get_ident() == self._main:
            self._held += 1

    def __exit__(self, *_):
        if threading.get_ident() == self._main:
            self._held -= 1
            if self._pending and not self._held:
                self._pending = False
                if self.armed:
                    raise KeyboardInterrupt

    def guard(self, step):
        """Run `step()` with the interrupt armed. Returns the exception that ended it, or None. Never raises."""
        self._pending = False
        try:
            try:
                self.armed = True
                step()
            finally:
                self.armed = False
        except BaseException as error:
            return error
        return None

    def restore(self):
        """Undo what the cell did to timers, wakeup descriptor, mask and handlers.

        Timers first: an alarm whose handler is gone would end the process.
        """
        for timer in (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF):
            _signal.setitimer(timer, 0)
        _signal.set_wakeup_fd(-1)
        self._restore_handlers()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())

    def _restore_handlers(self):
        # The usual case, a cell that has changed nothing, without a step of Python for each. By identity: `==` would ask the guest's
        # handlers.
        if all(map(is_, map(_signal.getsignal, self._handlers), self._handlers.values())):
            return
        for number, handler in self._handlers.items():
            # None: installed outside Python (a C library); it cannot be put back from here and is left alone.
            if handler is not None and _signal.getsignal(number) is not handler:
                try:
                    _signal.signal(number, handler)
                except (OSError, ValueError):
                    pass

    def after_fork(self):
        """In a forked child nothing is being written that a signal could cut in half, and this thread is the main one."""
        self._held = 0
        self._main = threading.get_ident()
