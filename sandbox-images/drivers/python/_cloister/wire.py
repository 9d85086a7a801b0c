"""Frames on the cell channel: read requests, write events, one whole frame at a time.

    frame = u32 json_length | u32 blob_length | json (one object) | blob          (big-endian)
"""

import fcntl
import posix  # not `os`: guest code that mocks os.write must not cut the driver off
import resource
import threading
from json import JSONEncoder, loads

MAX_JSON = 1 << 20
MAX_BLOB = 8 << 20

_encode = JSONEncoder(separators=(",", ":")).encode


class ProtocolError(Exception):
    """The peer sent something that is not a frame. Framing is lost and the driver ends."""


def move_high(fd):
    """A private copy of `fd`, closed on exec, near the top of the descriptor table where guest code rarely looks.

    At most 1008, so that a large RLIMIT_NOFILE does not make the kernel grow the table for us.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = 1024 if soft == resource.RLIM_INFINITY else min(soft, 1024)
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(10, top - 16))


def clean(text):
    """`text` without lone surrogates: JSON parsers outside Python refuse them, and one of them would close the channel."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Channel:
    """The driver's end of the cell channel.

    `shield` is a context manager that holds an interrupt back; half a frame would end the session.
    """

    __slots__ = ("_fd", "_lock", "_shield")

    def __init__(self, fd, shield):
        self._fd = move_high(fd)
        posix.close(fd)
        self._lock = threading.Lock()
        self._shield = shield

    def receive(self):
        """The next `(object, blob)`, or None when init closed the channel."""
        header = self._read(8)
        if not header:
            return None
        json_length = int.from_bytes(header[:4], "big")
        blob_length = int.from_bytes(header[4:], "big")
        if json_length > MAX_JSON or blob_length > MAX_BLOB:
            raise ProtocolError(f"a frame of {json_length} + {blob_length} bytes is over the limit")
        try:
            message = loads(self._read(json_length))
        except ValueError as error:
            raise ProtocolError(f"a frame without valid JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("a frame whose JSON is not an object")
        return message, self._read(blob_length)

    def send(self, message, blob=b"", unless=None):
        """Write one frame, whole. `unless` is asked while the lock is held; if it says yes, nothing is written."""
        head = _encode(message).encode()
        if len(head) > MAX_JSON or len(blob) > MAX_BLOB:
            raise ValueError(f"a frame of {len(head)} + {len(blob)} bytes is over the limit")
        data = len(head).to_bytes(4, "big") + len(blob).to_bytes(4, "big") + head
        # A small frame is one write; a large blob is not copied just to join it to its header.
        parts = [data + blob] if len(blob) <= 65536 else [data, blob]
        with self._shield, self._lock:
            if self._fd < 0 or (unless is not None and unless()):
                return False
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[self._retry(posix.write, rest):]
        return True

    def close_in_child(self):
        """After fork, in the child: let go of the channel, so that only the driver can answer on it."""
        fd, self._fd = self._fd, -1
        self._lock = threading.Lock()
        if fd >= 0:
            posix.close(fd)

    def _read(self, size):
        """Exactly `size` bytes, or b"" at a clean end of stream."""
        parts, missing = [], size
        while missing:
            part = self._retry(posix.read, missing)
            if not part:
                if missing == size:
                    return b""
                raise ProtocolError("the channel ended inside a frame")
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _retry(self, call, argument):
        """`call(fd, argument)`. The interpreter itself repeats EINTR; EAGAIN means guest code made the socket non-blocking."""
        while True:
            try:
                return call(self._fd, argument)
            except BlockingIOError:
                posix.set_blocking(self._fd, True)
