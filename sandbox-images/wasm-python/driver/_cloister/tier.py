"""What this tier does not have says so, in a sentence that names the tier that has it, where a program asks for it."""

import errno

_ELSEWHERE = "use an interpreter of the process tier (aws.codeinterpreter.v1)"
_SENTENCE = "this is the WebAssembly tier, which has no {}; " + _ELSEWHERE

# Functions of `os` that programs call without asking whether they exist.
_PROCESSES = frozenset(("fork", "forkpty", "system", "popen", "posix_spawn", "posix_spawnp", "execv", "execve", "execvp", "execvpe",
                        "spawnv", "spawnve", "spawnl", "spawnlp", "kill", "killpg", "wait", "waitpid", "pipe"))

# What a program that imports a package of the analysis image will look for here.
_NOT_HERE = frozenset((
    "numpy", "pandas", "pyarrow", "polars", "duckdb", "scipy", "sklearn", "statsmodels", "matplotlib", "seaborn", "plotly", "PIL",
    "lxml", "cryptography", "torch", "tensorflow", "cv2", "docx", "pptx", "reportlab", "xlsxwriter", "httpx", "requests", "pip", "numba",
    "regex", "orjson", "psutil", "pydantic", "pydantic_core", "zmq", "IPython", "h5py", "xgboost", "lightgbm", "transformers",
    "ssl", "_ssl", "_ctypes", "_posixsubprocess", "fcntl", "resource", "termios", "mmap", "_multiprocessing", "multiprocessing.shared_memory",
    "curses", "_curses", "readline", "tkinter", "_tkinter", "ensurepip", "venv", "syslog", "grp", "_posixshmem",
))


def sentence(what):
    """The sentence about `what` (in the plural)."""
    return _SENTENCE.format(what)


def hint(error):
    """Add a note to a ModuleNotFoundError of a module that the process tier has, if it has none yet."""
    name = getattr(error, "name", None)
    if isinstance(error, ModuleNotFoundError) and isinstance(name, str) and not getattr(error, "__notes__", None):
        if name in _NOT_HERE or name.partition(".")[0] in _NOT_HERE:
            error.add_note(f"The WebAssembly tier has pure Python packages only, and no `{name}`: {_ELSEWHERE}.")


def refuse(what, kind=OSError):
    """A function that raises."""
    def refused(*_, **__):
        raise _error(what, kind)
    return refused


def _error(what, kind):
    return kind(errno.ENOTSUP, sentence(what)) if kind is OSError else kind(sentence(what))


def change_loaded():
    """The changes to modules that the interpreter itself has loaded."""
    import _thread
    import os
    import threading

    def missing(name):
        if name in _PROCESSES:
            raise AttributeError(f"module 'os' has no attribute {name!r}: {sentence('processes')}")
        raise AttributeError(f"module 'os' has no attribute {name!r}")

    # By the module's __getattr__, so that hasattr(os, "fork") stays False: libraries ask that.
    os.__getattr__ = missing
    no_threads = refuse("threads", RuntimeError)
    threading.Thread.start = no_threads
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        if hasattr(_thread, name):
            setattr(_thread, name, no_threads)
    for name in ("_start_joinable_thread", "_start_new_thread"):
        if hasattr(threading, name):
            setattr(threading, name, no_threads)


def changes():
    """`{module: step}` for modules that guest code imports later."""
    return {"subprocess": _change_subprocess, "socket": _change_socket, "multiprocessing.process": _change_multiprocessing,
            "concurrent.futures.process": _change_executor}


def _change_subprocess(module):
    module.Popen.__init__ = refuse("processes")


def _change_multiprocessing(module):
    module.BaseProcess.start = refuse("processes")


def _change_executor(module):
    module._check_system_limits = refuse("processes", NotImplementedError)


def _change_socket(module):
    module.socket.__init__ = refuse("sockets")
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "create_connection", "create_server",
                 "socketpair", "fromfd"):
        setattr(module, name, refuse("sockets"))
