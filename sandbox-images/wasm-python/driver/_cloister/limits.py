"""The memory limit of a session is the host's: linear memory stops growing there, and Python raises MemoryError.

What is limited here is depth: Python's frames lie on the heap, but each level of recursion that passes through C takes native
stack of the host, and the interpreter was built for a stack of 4 MiB.
"""

import sys

# Far above what programs ask for, far below what fills the memory with frames before anything stops it.
MAX_RECURSION = 20_000

_set_limit = sys.setrecursionlimit


def lower(_size):
    """The host's."""


def lift():
    """The host's."""


def cap_recursion():
    """Replace sys.setrecursionlimit() by one that knows a most."""

    def setrecursionlimit(limit, /):
        """Set the maximum depth of the Python interpreter stack to n, at most 20,000 in the WebAssembly tier."""
        if isinstance(limit, int) and limit > MAX_RECURSION:
            raise ValueError(f"the recursion limit can be at most {MAX_RECURSION:,} in the WebAssembly tier, not {limit:,}")
        _set_limit(limit)

    sys.setrecursionlimit = setrecursionlimit
