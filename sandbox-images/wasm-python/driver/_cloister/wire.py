"""Frames of the cell channel, handed to the host by a call instead of a socket."""

from json import JSONEncoder

import _cloister_host

MAX_JSON = 1 << 20
MAX_BLOB = 8 << 20

_encode = JSONEncoder(separators=(",", ":")).encode


def clean(text):
    """`text` without lone surrogates: JSON parsers outside Python refuse them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Channel:
    """The way to the host. `shield` is a context manager that holds an interrupt back."""

    __slots__ = ("_event", "_shield")

    def __init__(self, shield):
        self._event = _cloister_host.event  # not looked up later: guest code may change the module
        self._shield = shield

    def send(self, message, blob=b"", unless=None):
        """Hand over one frame. `unless` is asked first; if it says yes, nothing is sent."""
        head = _encode(message).encode()
        if len(head) > MAX_JSON or len(blob) > MAX_BLOB:
            raise ValueError(f"a frame of {len(head)} + {len(blob)} bytes is over the limit")
        with self._shield:
            if unless is not None and unless():
                return False
            self._event(head, blob)
        return True
