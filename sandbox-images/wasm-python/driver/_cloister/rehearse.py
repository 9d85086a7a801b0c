"""What is done once, before the snapshot, so that no session does it: imports, and a first run through the usual paths."""

from . import trusted

# Imported in the snapshot: there an import costs a session nothing but the memory that it writes to later.
STANDARD = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "bisect", "calendar", "cmath", "collections", "collections.abc",
    "contextlib", "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "email", "email.message", "enum",
    "fractions", "functools", "glob", "gzip", "hashlib", "heapq", "hmac", "html", "html.parser", "importlib.metadata",
    "importlib.resources", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "linecache", "locale", "logging", "math",
    "numbers", "operator", "os", "pathlib", "pickle", "platform", "pprint", "queue", "random", "re", "reprlib", "secrets", "shlex",
    "shutil", "signal", "socket", "sqlite3", "statistics", "string", "struct", "subprocess", "tempfile", "textwrap", "threading", "time",
    "timeit", "tokenize", "traceback", "types", "typing", "unicodedata", "unittest", "urllib.parse", "uuid", "warnings", "weakref",
    "xml.etree.ElementTree", "zipfile", "zlib", "bz2", "lzma", "zoneinfo", "encodings.idna", "encodings.latin_1", "encodings.utf_8_sig",
    "encodings.utf_16", "encodings.cp1252", "concurrent.futures",
)


def import_all():
    """Import what cells usually do. A module that is missing here is a mistake of the image, so it raises."""
    for name in STANDARD:
        trusted.load(name)


def cells(session):
    """Run through what first cells do: values, containers, an error, an awaited sleep, a clear. Nothing of it is kept."""
    for number, (source, clear) in enumerate((
        ("def f(n):\n    return [str(i) for i in range(n)]\n{'x': f(3)}", False),
        ("import asyncio\nawait asyncio.sleep(0)\nprint('warm', 1.5, [1, 2])", False),
        ("class A:\n    pass\nA().x", False),
        ("import json, re, math, datetime\nre.sub('a', 'b', json.dumps({'a': [1, 2.5, None]})), datetime.date(2025, 1, 1)", False),
        ("print('warm')", True),
    )):
        session.run({"op": "run", "id": f"warm-{number}", "language": "python", "clear": clear, "memory": 0, "display": 1 << 20,
                     "displays": 8}, source.encode())
    session.forget()
