"""The driver's loop: say `ready`, then answer one request after the other until init closes the channel."""

import faulthandler
import os
import posix
import sys
import threading

from . import (asyncloop, cellcode, context, display, figures, forks, hooks, interrupt, limits, packages, refusals,
               report, streams, trusted, warm, wire)

CELL_FD = "CLOISTER_CELL_FD"
INTERRUPT_FD = "CLOISTER_INTERRUPT_FD"

# exit status of the driver itself
LOST_FRAMING = 2


def main_from_environment():
    """Serve on the channel that CLOISTER_CELL_FD names. Never returns."""
    try:
        fd = int(os.environ.pop(CELL_FD))
    except (KeyError, ValueError):
        sys.exit(f"driver: {CELL_FD} must be the number of the cell channel's descriptor; init starts this program")
    os.environ.pop(INTERRUPT_FD, None)
    main(fd)


def main(fd):
    """Serve on the connected stream socket `fd`, which is taken over. Never returns: not even to a forked child's caller."""
    code = 1
    try:
        code = Session(fd).serve()
    except BaseException as error:
        posix.write(2, f"driver: {report.text(error)}".encode("utf-8", "backslashreplace"))
    finally:
        posix._exit(code)


class Session:
    """Everything that lasts from one cell to the next."""

    def __init__(self, fd):
        self._pid = posix.getpid()
        self._interrupts = interrupt.Interrupts()
        self._channel = wire.Channel(fd, self._interrupts)
        self._streams = streams.Streams()
        self._display = display.Display(self._channel)
        self._loop = asyncloop.Loop()
        self._prepare_process()
        self._context = context.Context({"display": self._display.display, "input": refusals.refuse_input})

    def _prepare_process(self):
        """What guest code finds: an interactive interpreter without a terminal, whose figures go to the client."""
        trusted.set_path(sys.path)
        packages.begin()
        sys.path.insert(0, "")
        sys.argv = [""]
        os.environ["MPLBACKEND"] = "Agg"  # for programs that cells start, too
        threading.excepthook = report.thread_hook
        sys.breakpointhook = refusals.refuse_breakpoint
        hooks.install(self._display)
        limits.limit_thread_stacks()
        faulthandler.enable(2)  # a crash in C code names the line of the cell that led to it
        self._interrupts.install()
        forks.install(self._channel, self._interrupts, self._streams, self._loop)

    def serve(self):
        """Answer requests until the channel ends. Returns the driver's exit status."""
        version = ".".join(map(str, sys.version_info[:3]))
        self._channel.send({"ev": "ready", "version": version})
        try:
            while (received := self._channel.receive()) is not None:
                request, blob = received
                operation = request.get("op")
                if operation == "run":
                    self._run(request, blob)
                elif operation == "warm":
                    self._interrupts.guard(warm.pretouch)
                    self._channel.send({"ev": "warmed"})
                else:
                    raise wire.ProtocolError(f"an unknown operation {operation!r}")
        except (wire.ProtocolError, KeyError, ConnectionError) as error:
            self._streams.write_error(f"driver: the cell channel is closed: {error!r}\n")
            return LOST_FRAMING
        return 0

    def _run(self, request, blob):
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
        source = blob.decode("utf-8-sig")
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
        described = []
        failure = self._interrupts.guard(lambda: described.append(report.describe(error)))
        name, message, traceback = described[0] if failure is None else report.undescribed(error)
        self._channel.send({"ev": "error", "id": call, "name": name, "message": message},
                           traceback.encode("utf-8", "backslashreplace"))
        return ("interrupted", 130) if isinstance(error, KeyboardInterrupt) else ("error", 1)
