"""Runs the host's programs, and tells the person who waits how far things are."""

import os
import subprocess
import sys
import time


class BuildError(Exception):
    """A sentence for the person who builds: what happened, to what, and what to do."""


def output(argv, *, env=None, cwd=None, what=None):
    """The standard output of a program, as text. Fails with the program's last words."""
    try:
        done = subprocess.run([str(part) for part in argv], env=env, cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed; run `make deps`") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        raise BuildError(f"{what or argv[0]} failed with status {done.returncode}:\n  " + "\n  ".join(said))
    return done.stdout


def pipe(first, second, *, what):
    """`first | second`, both of which must succeed."""
    with subprocess.Popen([str(p) for p in first], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        sink = subprocess.run([str(p) for p in second], stdin=source.stdout, stderr=subprocess.PIPE, check=False)
        source.stdout.close()
        complaint = source.stderr.read().decode(errors="replace").strip()
    if source.returncode != 0 or sink.returncode != 0:
        raise BuildError(f"{what}: {complaint or sink.stderr.decode(errors='replace').strip()}")


class Progress:
    """One line that rewrites itself on a terminal; plain lines, and not many, elsewhere."""

    def __init__(self, name):
        self._name = name
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._started = time.monotonic()

    def say(self, text):
        """A line that stays."""
        self._clear()
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def warn(self, text):
        """A line that stays and must not be overlooked."""
        self.say(f"WARNING: {text}")

    def step(self, text):
        """A line that the next one replaces; shown on a terminal only."""
        if self._terminal:
            columns = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
            self._clear()
            print(f"{self._name}: {text}"[:columns], end="", file=sys.stderr, flush=True)

    def seconds(self):
        return time.monotonic() - self._started

    def _clear(self):
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr)
