"""Forked children: they let go of the channel, and one that runs off the end of its cell ends there."""

import os
import sys

from . import report


def install(channel, interrupts, streams, loop):
    """Register what a child of os.fork() does first. Children of exec have nothing of ours: it is all close-on-exec."""

    def in_child():
        channel.close_in_child()
        interrupts.after_fork()
        streams.after_fork()
        loop.after_fork()

    os.register_at_fork(after_in_child=in_child)


def leave(error):
    """End a forked child as a script would end. Two processes must never answer for one call."""
    code = 0
    try:
        if isinstance(error, SystemExit):
            code, message = exit_code(error)
            if message is not None:
                print(message, file=sys.stderr)
        elif error is not None:
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
            print(report.text(error), end="", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def exit_code(error):
    """`(code, message)` of a SystemExit: the exit status that a process would have, and what it would print."""
    if error.code is None:
        return 0, None
    if isinstance(error.code, int):
        return error.code & 0xFF, None
    return 1, error.code
