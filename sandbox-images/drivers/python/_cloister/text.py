"""repr() with a ceiling: the same text as repr() where that is short, a beginning where it would be gigantic."""

from itertools import islice

# Containers of at most this many parts are left to repr() itself, which is faster.
_SMALL = 10_000
_BRACKETS = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), dict: ("{", "}")}


class _Full(Exception):
    pass


def bounded_repr(value, limit):
    """`(text, cut)`: repr(value), or its first `limit` characters and True.

    The built-in containers and strings are written piece by piece, so that the repr of a list of 10**8 numbers costs
    `limit` and not gigabytes. Anything else is asked for its repr(), which may raise, loop or be large.
    """
    if _is_small(value, limit):
        text = repr(value)
    else:
        pieces = _Pieces(limit)
        try:
            pieces.write(value, 0)
        except _Full:
            pass
        text = "".join(pieces.parts)
    return (text[:limit], True) if len(text) > limit else (text, False)


def _is_small(value, limit):
    left, todo = _SMALL, [value]
    while todo:
        item = todo.pop()
        kind = type(item)
        left -= 1
        if kind in (str, bytes, bytearray):
            if len(item) > limit:
                return False
        elif kind in _BRACKETS:
            if len(item) > left:
                return False
            todo.extend(item)
            if kind is dict:
                todo.extend(item.values())
        if left < 0:
            return False
    return True


class _Pieces:
    """Collects text until there is more than `limit` of it, then raises _Full."""

    def __init__(self, limit):
        self.parts = []
        self._left = limit
        self._open = set()

    def add(self, text):
        self.parts.append(text)
        self._left -= len(text)
        if self._left < 0:
            raise _Full

    def write(self, value, depth):
        kind = type(value)
        if kind in (str, bytes, bytearray) and len(value) > self._left:
            self.add(repr(value[:self._left + 1]))
        elif kind not in _BRACKETS or not value or depth > 100:
            self.add(repr(value))
        elif id(value) in self._open:
            self.add("{...}" if kind is dict else "[...]" if kind is list else "(...)")
        else:
            self._open.add(id(value))
            self._container(value, kind, depth)
            self._open.discard(id(value))

    def _container(self, value, kind, depth):
        start, end = _BRACKETS[kind]
        self.add(start)
        # islice by length: a container that another thread grows must not keep this loop running.
        for number, item in enumerate(islice(value, len(value))):
            if number:
                self.add(", ")
            self.write(item, depth + 1)
            if kind is dict:
                self.add(": ")
                self.write(value[item], depth + 1)
        self.add(",)" if kind is tuple and len(value) == 1 else end)
