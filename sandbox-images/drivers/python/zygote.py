"""The zygote: import everything once, then become a fresh sandboxed driver as often as it is asked to.

    imports, rehearsal ─▶ gc.freeze() ─▶ one thread only? ─▶ lib.cloister_zygote_serve()
                                                              │ 0: in a forked child, already jailed ─▶ the driver's loop
                                                              │ 1: the zygote is no longer needed     ─▶ exit 0

`/usr/bin/python3 -I /opt/cloister/python/zygote.py`, with

    CLOISTER_ZYGOTE_LIB       a shared library with `int cloister_zygote_serve(void)`; it forks with the GIL held and has
                              called PyOS_AfterFork_Child in the child, whose descriptors are 0, 1, 2 and the cell channel, 3
    CLOISTER_ZYGOTE_PRELOAD   modules to import first, separated by commas

It runs no guest code, keeps no generator that children are not given anew (`reseed`), and starts no thread.
"""

import os
import sys

# Read by the libraries while they are imported. Their worker threads would not exist in a forked child.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
os.environ["MPLBACKEND"] = "Agg"

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _HERE)
try:
    from _cloister import reseed, serve, warm
finally:
    sys.path.remove(_HERE)

import ctypes
import gc

LIBRARY = "CLOISTER_ZYGOTE_LIB"
PRELOAD = "CLOISTER_ZYGOTE_PRELOAD"
CHILD_CELL_FD = 3
ARENA = 1 << 20  # what CPython takes from the system at once
ARENAS = 32  # together somewhat less than what the imports need
BLOCK = 400  # bytes of an object that CPython's own allocator serves
THREADS = 3  # exit status: something that was imported has started a thread


def main():
    library = os.environ.pop(LIBRARY, None)
    if library is None:
        sys.exit(f"zygote: {LIBRARY} must name the library that forks the children")
    preload = [name for name in os.environ.pop(PRELOAD, "").split(",") if name]
    serve_children = ctypes.PyDLL(library).cloister_zygote_serve
    serve_children.restype = ctypes.c_int
    kept = take_arenas()
    prepare(preload)
    generators = reseed.prepare()
    gc.collect()
    gc.freeze()
    answer = run(serve_children, generators)
    del kept
    sys.exit(0 if answer == 1 else f"zygote: cloister_zygote_serve() returned {answer}")


def take_arenas():
    """Take the arenas that the imports will fill now, one beside the other. They stay as long as the result does.

    Taken one by one during the imports they would lie between the libraries that are loaded meanwhile, in pieces too small for
    the huge pages in which the library gathers them, and every fork copies an entry for each page that is in none.
    """
    blocks = [None] * (ARENAS * ARENA // BLOCK)  # at once: a list that grows would take memory in between
    for number in range(len(blocks)):
        blocks[number] = bytes(BLOCK)
    return blocks[::ARENA // BLOCK // 4]  # some of every arena, which is given back when nothing in it is left


def prepare(preload):
    """Import, rehearse, and make sure that there is still one thread only."""
    for sentence in warm.import_all(preload):
        print(f"zygote: {sentence}", file=sys.stderr, flush=True)
    warm.rehearse()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        print(f"zygote: {threads} threads are running after the imports and a fork keeps only one of them; "
              f"the preload list was {','.join(preload)}", file=sys.stderr, flush=True)
        sys.exit(THREADS)


def run(serve_children, generators):
    """Serve until the zygote is no longer needed. In a child this never returns."""
    answer = serve_children()
    if answer == 0:
        try:
            become_driver(generators)
        finally:
            os._exit(1)
    return answer


def become_driver(generators):
    """In the child: randomness of its own, then the driver's loop.

    The library names the channel in the C environment, which os.environ (read at start-up) does not show. It is always
    descriptor 3, so the names only have to go, before a program that a cell starts inherits them.
    """
    for name in (serve.CELL_FD, serve.INTERRUPT_FD):
        os.unsetenv(name)
    reseed.reseed(generators)
    serve.main(CHILD_CELL_FD)


if __name__ == "__main__":
    main()
