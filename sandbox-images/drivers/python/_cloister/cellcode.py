"""From text to something that runs: the statements, and the last bare expression whose value is shown."""

import __future__
import _ast  # the nodes and flags of `ast`, without its 3 ms of import

from . import magics

_FEATURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names
                 if getattr(__future__, name).compiler_flag > 0xFFFF})
_COROUTINE = 0x80  # CO_COROUTINE: the code awaits at top level and must be run by the event loop


class Cell:
    """A compiled cell. Both parts are compiled before either runs, so a syntax error has no side effects."""

    __slots__ = ("_body", "_tail", "features")

    def __init__(self, source, filename, features):
        """Compile `source` (text with any line ends). Raises SyntaxError, ValueError (null bytes) and MemoryError."""
        flags = _ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | features
        tree, source = _parse(source, filename, flags)
        tail = None
        if tree.body and isinstance(tree.body[-1], _ast.Expr):
            last = tree.body[-1]
            if not _semicolon_follows(source, last):
                tree.body.pop()
                tail = _ast.Expression(last.value)
        self._body = self._tail = None
        if tree.body:
            self._body = compile(tree, filename, "exec", flags=flags, dont_inherit=True)
            flags |= self._body.co_flags & _FEATURES
        if tail is not None:
            self._tail = compile(tail, filename, "eval", flags=flags, dont_inherit=True)
        self.features = flags & _FEATURES

    def run(self, names, loop):
        """Run in `names`; the value of the last bare expression, or None."""
        parts = [code for code in (self._body, self._tail) if code is not None]
        if any(code.co_flags & _COROUTINE for code in parts):
            # One await puts the whole cell on the loop, so that its other statements find a running one.
            return loop.run(self._run_awaiting(names))
        for code in parts:
            value = eval(code, names)  # code compiled for "exec" gives None
        return value if self._tail is not None else None

    async def _run_awaiting(self, names):
        value = None
        for code in (self._body, self._tail):
            if code is not None:
                value = eval(code, names)
                if code.co_flags & _COROUTINE:
                    value = await value
        return value if self._tail is not None else None


def _parse(source, filename, flags):
    """The tree, and the text that it was made from: `source`, or what magics made of it when it is not Python."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return _tree(source, filename, flags), source
    except SyntaxError as error:
        rewritten = magics.rewrite(source, error, lambda text: _tree(text, filename, flags))
        if rewritten is None:
            raise
        return rewritten


def _tree(source, filename, flags):
    return compile(source, filename, "exec", flags=flags | _ast.PyCF_ONLY_AST, dont_inherit=True)


def _semicolon_follows(source, statement):
    """Whether the first thing after `statement` is a semicolon. Column offsets count UTF-8 bytes."""
    line = source.split("\n")[statement.end_lineno - 1].encode()
    return line[statement.end_col_offset:].lstrip(b" \t\f").startswith(b";")
