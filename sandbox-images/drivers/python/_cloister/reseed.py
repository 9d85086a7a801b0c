"""Randomness after a fork: children of one zygote would otherwise all draw the same numbers.

Python reseeds `random` itself after os.fork(); everything else that holds state drawn before the fork is listed here.
A package that brings an OpenSSL of its own (cryptography does) is out of reach and must not be preloaded.
"""

import gc
import os
import sys


def prepare():
    """Called in the zygote, before gc.freeze(). Returns the generator objects that imported packages have made."""
    if "ssl" in sys.modules:
        # Sets OpenSSL's generator up here, once: in each child that would take 5 ms and 1.5 MiB.
        sys.modules["ssl"].RAND_bytes(1)
    kinds = []
    if "random" in sys.modules:
        kinds.append(sys.modules["random"].Random)
    if "numpy.random" in sys.modules:
        kinds += [sys.modules["numpy.random"].RandomState, sys.modules["numpy.random"].Generator]
    return [item for item in gc.get_objects() if type(item) in kinds] if kinds else []


def reseed(generators):
    """Give this process randomness of its own. `generators` is what `prepare` returned before the fork.

    numpy's global generator is among them.
    """
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    for generator in generators:
        _renew(generator)
    if "tempfile" in modules:
        # Its name sequence notices a fork by the pid, and pids repeat between pid namespaces.
        modules["tempfile"]._name_sequence = None
        modules["tempfile"].tempdir = None
    if "uuid" in modules:
        modules["uuid"]._node = modules["uuid"]._last_timestamp = None
    if "ssl" in modules:
        # OpenSSL notices a fork by the pid as well: two children that are pid 1 of their namespaces, forked by a pid 1,
        # draw the same bytes without this.
        modules["ssl"].RAND_add(os.urandom(64), 64.0)
    if "multiprocessing.process" in modules:
        process = modules["multiprocessing.process"].current_process()
        process.authkey = os.urandom(32)


def _renew(generator):
    if hasattr(generator, "bit_generator"):
        source = generator.bit_generator
        source.state = type(source)().state
    elif hasattr(generator, "set_state"):
        generator.seed([int.from_bytes(os.urandom(4), "big") for _ in range(8)])
    else:
        generator.seed()
