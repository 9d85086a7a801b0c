"""The soft memory limit of a cell: most overruns become a MemoryError that leaves the session's state alive.

It stops the cheap denial of service (`x = bytearray(10**10)`); the cgroup limit behind it stops the rest.
"""

import resource
import threading

# Thread stacks count against RLIMIT_DATA: with the usual 8 MiB each, 47 threads fill a 400 MiB limit. But 1000 levels of
# recursion through C (a sorted() whose key calls sorted()) overrun 1.5 MiB and end the process, where a script would get
# its RecursionError. 4 MiB is twice what that needs.
THREAD_STACK = 4 << 20


def limit_thread_stacks():
    threading.stack_size(THREAD_STACK)


_whole = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def lower(size):
    """Set the soft limit of the data segment to `size` bytes; 0 leaves it alone."""
    global _whole
    if size:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        _whole = (hard, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def lift():
    """Back to the hard limit, so that the driver itself can always read the next request.

    The pair was made beforehand: when a cell has used everything up, there is no memory to make it now.
    """
    try:
        resource.setrlimit(resource.RLIMIT_DATA, _whole)
    except (OSError, ValueError):  # guest code has lowered the hard limit as well
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
