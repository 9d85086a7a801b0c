"""The driver's loop: say `ready`, then answer one request after the other until init closes the channel."""

import faulthandler
import os
import posix
import sys
import threading

from . import forks, hooks, interrupt, limits, packages, refusals, report, session, streams, trusted, warm, wire

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
        code = Server(fd).serve()
    except BaseException as error:
        posix.write(2, f"driver: {report.text(error)}".encode("utf-8", "backslashreplace"))
    finally:
        posix._exit(code)


class Server(session.Session):
    """A session in a process of its own, on a channel."""

    def __init__(self, fd):
        interrupts = interrupt.Interrupts()
        super().__init__(wire.Channel(fd, interrupts), interrupts, streams.Streams())

    def _prepare(self):
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
                    self.run(request, blob)
                elif operation == "warm":
                    self._interrupts.guard(warm.pretouch)
                    self._channel.send({"ev": "warmed"})
                else:
                    raise wire.ProtocolError(f"an unknown operation {operation!r}")
        except (wire.ProtocolError, KeyError, ConnectionError) as error:
            self._streams.write_error(f"driver: the cell channel is closed: {error!r}\n")
            return LOST_FRAMING
        return 0
