"""The entry points that the C shim calls: start, warm, reseed, run."""

import _signal
import gc
import os
import site
import sys
from json import loads

# exit, help and their like, which a start without the module site leaves out. First, because the context notes the builtins when it
# is loaded.
site.setquit()
site.sethelper()
site.setcopyright()

from . import eventloop, hooks, interrupt, limits, packages, refusals, rehearse, report, session, streams, tier, trusted, wire
from . import reseed as randomness

SEED = 32  # bytes of randomness at the start of what `reseed` is given

_session = None
_generators = []


class _Interrupts(interrupt.Interrupts):
    """SIGINT is a flag that the host sets in memory. There are no timers, masks and other signals to put back."""

    def install(self):
        _signal.signal(_signal.SIGINT, self._handle)
        self._handlers = {number: _signal.getsignal(number) for number in range(1, _signal.NSIG)}

    def restore(self):
        self._restore_handlers()


class _Session(session.Session):
    """A session in linear memory."""

    def __init__(self):
        interrupts = _Interrupts()
        super().__init__(wire.Channel(interrupts), interrupts, streams.Streams())

    def _prepare(self):
        trusted.set_path(sys.path)
        packages.begin()
        sys.path.insert(0, "")
        sys.argv = [""]
        os.environ["MPLBACKEND"] = "Agg"
        sys.breakpointhook = refusals.refuse_breakpoint
        limits.cap_recursion()
        tier.change_loaded()
        hooks.install(self._display, {**tier.changes(), "asyncio": eventloop.change})
        self._interrupts.install()

    def forget(self):
        """As if no cell had run: the next one has the number 1."""
        self._loop.reset()
        self._context.clear()

    def rebase(self):
        self._context.rebase()

    def _describe(self, error):
        tier.hint(error)
        if type(error) is KeyboardInterrupt:
            # The host repeats an interrupt until the cell has ended. Saying where this one struck runs no code of the guest.
            try:
                return report.describe(error)
            except Exception:
                return report.undescribed(error)
        return super()._describe(error)


def start():
    """Make the session. Called once; the environment is that of k_init."""
    global _session
    _enter(os.environ.get("PWD"))
    _session = _Session()


def warm():
    """Everything that can be done before there is a session to do it for. The snapshot is taken when this has returned."""
    global _generators
    rehearse.import_all()
    rehearse.cells(_session)
    _generators = randomness.prepare()
    gc.collect()
    gc.freeze()


def reseed(data):
    """Make a session of the snapshot: `data` is 32 random bytes and the session's environment (`KEY=VALUE`, separated by NUL)."""
    entries = data[SEED:].decode("utf-8", "surrogateescape").split("\0")
    for entry in entries:
        name, mark, value = entry.partition("=")
        if mark and name:
            os.environ[name] = value
            if name == "PWD":
                _enter(value)
    if entries != [""]:
        _session.rebase()
    number = int.from_bytes(data[:SEED], "big")
    for position, generator in enumerate(_generators):
        generator.seed(number + position)
    modules = sys.modules
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = modules["tempfile"].tempdir = None
    if "uuid" in modules:
        modules["uuid"]._node = modules["uuid"]._last_timestamp = None


def run(header, code):
    """Answer one `run` request."""
    _session.run(loads(header), code)


def _enter(folder):
    if folder:
        try:
            os.chdir(folder)
        except OSError:
            pass
