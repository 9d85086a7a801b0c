# What every hostile guest starts with: an attempt is recorded with its outcome, and all outcomes are printed as one JSON line.
import ctypes, errno, json, os, struct, sys

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
VERDICTS = {}


def attempt(name, call):
    """Records `done` with what came back, the errno's name, or the exception's class."""
    try:
        got = call()
    except OSError as e:
        VERDICTS[name] = errno.errorcode.get(e.errno, str(e.errno or e))
    except BaseException as e:
        VERDICTS[name] = type(e).__name__
    else:
        VERDICTS[name] = "done" if got is None else f"done: {got!r}"[:400]


def raw(number, *args):
    """A system call by number; a refusal is an OSError."""
    args = [a if isinstance(a, (bytes, ctypes.Array, ctypes.Structure)) else ctypes.c_long(a) for a in args]
    ctypes.set_errno(0)
    got = _libc.syscall(ctypes.c_long(number), *args)
    if got < 0:
        raise OSError(ctypes.get_errno(), "raw")
    return got


def read(path, size=4096):
    with open(path, "rb", buffering=0) as file:
        return file.read(size)


def write(path, data):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def verdicts():
    print(json.dumps(VERDICTS))
