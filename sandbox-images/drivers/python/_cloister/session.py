"""One session of cells: what lasts from one cell to the next, and how a request is answered.

It needs no descriptor, thread or signal of its own, so the driver of the WebAssembly tier runs the same file.
"""

import posix
import sys

from . import asyncloop, cellcode, context, display, figures, forks, limits, packages, refusals, report


class Session:
    """Everything that lasts from one cell to the next."""

    def __init__(self, channel, interrupts, streams):
        self._pid = posix.getpid()
        self._channel = channel
        self._interrupts = interrupts
        self._streams = streams
        self._display = display.Display(channel)
        self._loop = asyncloop.Loop()
        self._prepare()
        self._context = context.Context({"display": self._display.display, "input": refusals.refuse_input})

    def _prepare(self):
        """What guest code finds. Called once, before the context notes how the session began."""

    def run(self, request, blob):
        """Answer one `run` request, up to and with its `done`."""
        call = request["id"]
        self._display.begin(call, request["display"], request["displays"])
        self._streams.repair()
        error = self._attempt(request, blob)
        status, code = self._settle(call, error)
        # The exception goes before `done` does: its frames may hold most of the cell's memory.
        if isinstance(error, MemoryError):
            report.free_frames(error)
        del error
        self._interrupts.guard(self._streams.flush_guest)
        self._interrupts.restore()
        self._streams.flush()
        self._display.end()
        self._channel.send({"ev": "done", "id": call, "status": status, "exit_code": code})

    def _attempt(self, request, blob):
        """Run the cell and show what it made. Returns the exception that ended it, or None."""
        error = self._limited(lambda: self._cell(request, blob), request["memory"])
        if posix.getpid() != self._pid:
            forks.leave(error)
        self._interrupts.restore()
        if isinstance(error, KeyboardInterrupt):
            self._interrupts.guard(figures.close)  # the time for drawing is over
            return error
        drawing = self._limited(self._display.flush_figures, request["memory"])
        return drawing if error is None else error

    def _limited(self, step, memory):
        """Run guest code with the interrupt armed and the memory limit in force; the exception that ended it, or None."""
        limits.lower(memory)
        error = self._interrupts.guard(step)
        limits.lift()
        return error

    def _cell(self, request, blob):
        if request["language"] != "python":
            raise ValueError(f"this driver runs python, not {request['language']}")
        if request["clear"]:
            self._loop.reset()
            self._context.clear()
        ctx = self._context
        if ctx.number == 0:
            ctx.enter_workspace()
        packages.refresh()
        source = blob.removeprefix(b"\xef\xbb\xbf").decode()
        cell = cellcode.Cell(source, ctx.begin(source), ctx.features)
        ctx.features = cell.features
        value = cell.run(ctx.names, self._loop)
        if value is not None:
            if sys.displayhook is not sys.__displayhook__:
                sys.displayhook(value)  # guest code wants to show values its own way
            else:
                ctx.remember(value)
                self._display.value(value)

    def _settle(self, call, error):
        """Send the error frame if there is one. Returns `(status, exit_code)` of the call."""
        if error is None:
            return "ok", 0
        if isinstance(error, SystemExit):
            code, message = forks.exit_code(error)
            if message is not None:
                self._interrupts.guard(lambda: print(message, file=sys.stderr))
            return "exit", code
        name, message, traceback = self._describe(error)
        self._channel.send({"ev": "error", "id": call, "name": name, "message": message},
                           traceback.encode("utf-8", "backslashreplace"))
        return ("interrupted", 130) if isinstance(error, KeyboardInterrupt) else ("error", 1)

    def _describe(self, error):
        """`(name, message, traceback)`, with the interrupt armed: guest code makes the message."""
        described = []
        failure = self._interrupts.guard(lambda: described.append(report.describe(error)))
        return described[0] if failure is None else report.undescribed(error)
