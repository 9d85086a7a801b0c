"""The sizes of C's types, for libraries that ask for nothing else (sympy does). There are no foreign functions in WebAssembly."""

import struct


class _Simple:
    """A C number: a value, and the size of its type."""

    _code_ = "B"

    def __init__(self, value=0):
        self.value = value

    def __repr__(self):
        return f"{type(self).__name__}({self.value!r})"


def _types():
    codes = {"c_byte": "b", "c_ubyte": "B", "c_char": "c", "c_bool": "?", "c_short": "h", "c_ushort": "H", "c_int": "i", "c_uint": "I",
             "c_long": "l", "c_ulong": "L", "c_longlong": "q", "c_ulonglong": "Q", "c_size_t": "N", "c_ssize_t": "n",
             "c_float": "f", "c_double": "d", "c_void_p": "P"}
    return {name: type(name, (_Simple,), {"_code_": code, "__module__": __name__}) for name, code in codes.items()}


globals().update(_types())


def sizeof(kind):
    """The size in bytes of a C type or of an instance of one."""
    code = getattr(kind, "_code_", None)
    if code is None:
        raise TypeError("this type has no size")
    return struct.calcsize(code)


def __getattr__(name):
    raise AttributeError(f"module 'ctypes' has no attribute {name!r}: this is the WebAssembly tier, which has no foreign functions; "
                         "use an interpreter of the process tier (aws.codeinterpreter.v1)")
